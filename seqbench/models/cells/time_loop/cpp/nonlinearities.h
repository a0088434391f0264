// Nonlinearities of recurrences: z becomes f(z) in place; the gradient of h = f(z) becomes that of z.

#pragma once

#include <algorithm>
#include <cmath>

namespace seqbench {

enum Nonlinearity { kModReLU = 0, kComplexModReLU = 1, kTanh = 2 };

// modReLU(z) = z / |z| max(|z| + b, 0), and 0 at 0 (Arjovsky et al. 2016)
template <typename T>
void modrelu(T* z, const T* bias, long n) {
  for (long i = 0; i < n; i++) {
    const T size = std::max(std::abs(z[i]) + bias[i], T(0));
    z[i] = z[i] == T(0) ? T(0) : std::copysign(size, z[i]);
  }
}

template <typename T>
void complex_modrelu(T* real, T* imaginary, const T* bias, long n) {
  for (long i = 0; i < n; i++) {
    const T size = std::sqrt(real[i] * real[i] + imaginary[i] * imaginary[i]);
    const T scale = size > T(0) ? std::max(size + bias[i], T(0)) / size : T(0);
    real[i] *= scale;
    imaginary[i] *= scale;
  }
}

// h is zero exactly where the unit is off, and has the sign of z where it is on.
template <typename T>
void modrelu_back(const T* h, T* delta, T* bias_sum, long n) {
  for (long i = 0; i < n; i++) {
    delta[i] = h[i] == T(0) ? T(0) : delta[i];
    bias_sum[i] += h[i] < T(0) ? -delta[i] : delta[i];
  }
}

// Along z the slope is 1, across it |h| / |z|, with |z| = |h| - b.
template <typename T>
void complex_modrelu_back(const T* h_real, const T* h_imaginary, const T* bias, T* real, T* imaginary, T* bias_sum,
                          long n) {
  for (long i = 0; i < n; i++) {
    const T size = std::sqrt(h_real[i] * h_real[i] + h_imaginary[i] * h_imaginary[i]);
    const T inverse = size > T(0) ? T(1) / size : T(0), before = size - bias[i];
    const T across = before > T(0) ? size / before : T(0);
    const T u_real = h_real[i] * inverse, u_imaginary = h_imaginary[i] * inverse;
    const T along = real[i] * u_real + imaginary[i] * u_imaginary;
    const T on = size > T(0) ? T(1) : T(0);
    real[i] = on * (along * u_real + across * (real[i] - along * u_real));
    imaginary[i] = on * (along * u_imaginary + across * (imaginary[i] - along * u_imaginary));
    bias_sum[i] += along;
  }
}

template <typename T>
void tanh_back(const T* h, T* delta, T* bias_sum, long n) {
  for (long i = 0; i < n; i++) {
    delta[i] *= T(1) - h[i] * h[i];
    bias_sum[i] += delta[i];
  }
}

}  // namespace seqbench
