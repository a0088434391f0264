// Sums of squares. Their order depends on sizes alone: not on addresses, and not on how wide the processor's vectors are.
//
// Lanes of the tensors' own type take at most a few dozen terms before they go into a double.

#pragma once

#include <algorithm>
#include <cstring>

namespace seqbench {

constexpr long kStrip = 1024;  // columns, or elements, after which lanes are emptied

#if defined(__AVX512F__)
constexpr long kVector = 64;
#elif defined(__AVX__)
constexpr long kVector = 32;
#else
constexpr long kVector = 16;
#endif

// 64 bytes of numbers, in vectors that the processor has: one that it has not would be kept in memory.
template <typename T>
struct Lanes {
  static constexpr long kCount = 64 / sizeof(T), kParts = 64 / kVector, kEach = kCount / kParts;
  typedef T Vector __attribute__((vector_size(kVector)));
  Vector parts[kParts];

  T operator[](long i) const { return parts[i / kEach][i % kEach]; }
  Lanes& operator+=(const Lanes& other) {
    for (long k = 0; k < kParts; k++) parts[k] += other.parts[k];
    return *this;
  }
  Lanes& operator*=(T factor) {
    for (long k = 0; k < kParts; k++) parts[k] *= factor;
    return *this;
  }
  friend Lanes operator+(Lanes a, const Lanes& b) { return a += b; }
  Lanes squared() const {
    Lanes result;
    for (long k = 0; k < kParts; k++) result.parts[k] = parts[k] * parts[k];
    return result;
  }
};

template <typename T>
inline Lanes<T> load(const T* p) {
  Lanes<T> v;
  for (long k = 0; k < v.kParts; k++) std::memcpy(&v.parts[k], p + k * v.kEach, kVector);
  return v;
}

template <typename T>
inline void add_to(T* p, Lanes<T> v) {
  v += load(p);
  for (long k = 0; k < v.kParts; k++) std::memcpy(p + k * v.kEach, &v.parts[k], kVector);
}

template <typename T>
inline double total(const Lanes<T>& lanes) {
  double sum = 0;
  for (long i = 0; i < Lanes<T>::kCount; i++) sum += lanes[i];
  return sum;
}

template <typename T>
inline double sum_of_squares(const T* x, long n) {
  using V = Lanes<T>;
  constexpr long W = V::kCount;
  double sum = 0;
  for (long start = 0; start < n; start += kStrip) {
    const long end = std::min(n, start + kStrip);
    V lanes[4] = {};
    long i = start;
    for (; i + 4 * W <= end; i += 4 * W)
#pragma GCC unroll 4
      for (long k = 0; k < 4; k++) {
        const V v = load(x + i + k * W);
        lanes[k] += v.squared();
        __builtin_prefetch(x + i + k * W + kStrip / 2);
      }
    for (; i < end; i++) sum += double(x[i]) * x[i];
    sum += total<T>((lanes[0] + lanes[1]) + (lanes[2] + lanes[3]));
  }
  return sum;
}

// (g_ij factor_i)^2 of `kRows` rows of m: column by column added to `columns`, and row by row, where wanted, to `rows`.
template <long kRows, bool kRowSums, typename T>
inline void add_squares(const T* g, long m, const T* factor, T* columns, double* rows) {
  using V = Lanes<T>;
  constexpr long W = V::kCount;
  for (long start = 0; start < m; start += kStrip) {
    const long end = std::min(m, start + kStrip);
    V lanes[kRows] = {};
    long j = start;
    for (; j + W <= end; j += W) {
      V column = {};
#pragma GCC unroll 4
      for (long i = 0; i < kRows; i++) {
        V v = load(g + i * m + j);
        if (!kRowSums) {
          v *= factor[i];
          __builtin_prefetch(g + (kRows + i) * m + j);  // these rows are in the cache: memory is free for the next ones
        }
        column += v.squared();
        if (kRowSums) lanes[i] += v.squared();
      }
      add_to(columns + j, column);
    }
    for (; j < end; j++)
      for (long i = 0; i < kRows; i++) {
        const T v = kRowSums ? g[i * m + j] : g[i * m + j] * factor[i];
        columns[j] += v * v;
        if (kRowSums) rows[i] += v * v;
      }
    if (kRowSums)
      for (long i = 0; i < kRows; i++) rows[i] += total<T>(lanes[i]);
  }
}

}  // namespace seqbench
