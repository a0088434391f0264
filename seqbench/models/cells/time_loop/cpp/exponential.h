// exp, tanh and the logistic function, written so that a compiler turns loops over them into vectors.

#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

namespace seqbench {

template <typename T>
struct Format;
template <>
struct Format<float> {
  using Bits = int32_t;
  static constexpr int kMantissa = 23, kBias = 127, kTerms = 7;
  static constexpr float kLargest = 87, kLn2High = 0.693359375f, kLn2Low = -2.12194440e-4f;  // they add up to ln 2
};
template <>
struct Format<double> {
  using Bits = int64_t;
  static constexpr int kMantissa = 52, kBias = 1023, kTerms = 14;
  static constexpr double kLargest = 708, kLn2High = 0.6931471803691238, kLn2Low = 1.9082149292705877e-10;
};

// exp(x) = 2^n (1 + p) with p = exp(r) - 1 by its power series, |r| <= ln(2) / 2: n and p
template <typename T>
inline T reduced(T x, T& power) {
  using F = Format<T>;
  x = std::min(std::max(x, -F::kLargest), F::kLargest);
  const T n = std::floor(x * T(1.4426950408889634) + T(0.5));
  const T r = (x - n * F::kLn2High) - n * F::kLn2Low;
  T p = T(0);
  for (int k = F::kTerms; k >= 1; k--) p = r * (T(1) / T(k)) * (T(1) + p);
  power = __builtin_bit_cast(T, static_cast<typename F::Bits>(static_cast<typename F::Bits>(n) + F::kBias) << F::kMantissa);
  return p;
}

// 1 / (1 + exp(-x))
template <typename T>
inline T logistic(T x) {
  T power;
  const T p = reduced(-x, power);
  return T(1) / (T(1) + power * (T(1) + p));
}

// e / (e + 2) with e = exp(2 x) - 1, which keeps the digits of a small x
template <typename T>
inline T tanh_of(T x) {
  T power;
  const T p = reduced(T(2) * std::min(std::max(x, T(-20)), T(20)), power);
  const T e = (power - T(1)) + power * p;
  return e / (e + T(2));
}

}  // namespace seqbench
