// Linear maps of a state: h -> h W forward, delta -> delta W^H back, and the gradient of W.

#pragma once

#include <algorithm>
#include <cstring>
#include <vector>

#include "panels.h"

namespace seqbench {

// W (n x n), padded to `width` columns with zeros
template <typename T>
struct Dense {
  long n, width;
  Panels<T> forward_panels, backward_panels;

  Dense(long n, long width, const T* weight)
      : n(n),
        width(width),
        forward_panels(n, n, width, [=](long k, long j) { return weight[k * n + j]; }),
        backward_panels(n, n, width, [=](long k, long j) { return weight[j * n + k]; }) {}

  struct Scratch {
    std::vector<T> grad, columns;  // grad is width x width: whole tiles
  };
  Scratch scratch() const { return {std::vector<T>(width * width, T(0)), {}}; }
  void add_grad(const Scratch& s, T* out) const {
    for (long i = 0; i < n && !s.grad.empty(); i++)
      for (long j = 0; j < n; j++) out[i * n + j] += s.grad[i * width + j];
  }
  void forward(long rows, const T* h, T* z, Scratch&) const {
    forward_panels.template multiply<Into::kSum>(rows, {h, width, 1}, z, width);
  }
  void backward(long rows, const T* h, const T* delta, T* later, Scratch& s) const {
    backward_panels.template multiply<Into::kNew>(rows, {delta, width, 1}, later, width);
    // grad W += h^T delta. The columns of h are copied into blocks that a tile reads in order.
    s.columns.resize(rows * width);
    for (long k = 0; k < rows; k++)
      for (long i = 0; i < width; i += kRows)
        std::memcpy(s.columns.data() + i * rows + k * kRows, h + k * width + i, kRows * sizeof(T));
    constexpr long panel = Panels<T>::kPanel;
    for (long first = 0; first < width; first += panel)
      for (long i = 0; i < width; i += kRows)
        product<Into::kSum, T>(kRows, std::min(panel, width - first), rows, {s.columns.data() + i * rows, 1, kRows},
                               delta + first, width, s.grad.data() + i * width + first, width);
  }
};

// W = A (x) C, A (P x P) the slower-varying factor: a row's state is a P x Q matrix X and becomes A X C^T. Complex
// matrices are given as real parts, then imaginary parts.
template <typename T>
struct Kronecker {
  long P, Q;
  bool complex;
  const T *a, *c;
  std::vector<T> minus_a, minus_c, c_transposed, minus_c_transposed;

  Kronecker(long P, long Q, bool complex, const T* a, const T* c) : P(P), Q(Q), complex(complex), a(a), c(c) {
    const long planes = complex ? 2 : 1;
    minus_a.resize(planes * P * P);
    for (long i = 0; i < planes * P * P; i++) minus_a[i] = -a[i];
    minus_c.resize(planes * Q * Q);
    for (long i = 0; i < planes * Q * Q; i++) minus_c[i] = -c[i];
    c_transposed.resize(planes * Q * Q);
    minus_c_transposed.resize(planes * Q * Q);
    for (long plane = 0; plane < planes; plane++)
      for (long i = 0; i < Q; i++)
        for (long j = 0; j < Q; j++) {
          c_transposed[plane * Q * Q + j * Q + i] = c[plane * Q * Q + i * Q + j];
          minus_c_transposed[plane * Q * Q + j * Q + i] = -c[plane * Q * Q + i * Q + j];
        }
  }

  struct Scratch {
    std::vector<T> grad;  // of A, then of C
    std::vector<T> middle, transposed, back;
  };

  Scratch scratch() const {
    const long planes = complex ? 2 : 1, n = planes * P * Q;
    return {std::vector<T>(planes * (P * P + Q * Q), T(0)), std::vector<T>(n), std::vector<T>(n), std::vector<T>(n)};
  }

  void add_grad(const Scratch& s, T* out) const {
    for (size_t i = 0; i < s.grad.size(); i++) out[i] += s.grad[i];
  }

  // middle = X C^T
  void right(const T* x, T* middle) const {
    const long n = P * Q, q = Q * Q;
    product<Into::kNew, T>(P, Q, Q, {x, Q, 1}, c_transposed.data(), Q, middle, Q);
    if (!complex) return;
    product<Into::kSum, T>(P, Q, Q, {x + n, Q, 1}, minus_c_transposed.data() + q, Q, middle, Q);
    product<Into::kNew, T>(P, Q, Q, {x, Q, 1}, c_transposed.data() + q, Q, middle + n, Q);
    product<Into::kSum, T>(P, Q, Q, {x + n, Q, 1}, c_transposed.data(), Q, middle + n, Q);
  }

  void forward(long rows, const T* h, T* z, Scratch& s) const {
    const long n = P * Q, p = P * P, width = complex ? 2 * n : n;
    T* m = s.middle.data();
    for (long row = 0; row < rows; row++, h += width, z += width) {
      right(h, m);
      product<Into::kSum, T>(P, Q, P, {a, P, 1}, m, Q, z, Q);
      if (!complex) continue;
      product<Into::kSum, T>(P, Q, P, {minus_a.data() + p, P, 1}, m + n, Q, z, Q);
      product<Into::kSum, T>(P, Q, P, {a, P, 1}, m + n, Q, z + n, Q);
      product<Into::kSum, T>(P, Q, P, {a + p, P, 1}, m, Q, z + n, Q);
    }
  }

  void backward(long rows, const T* h, const T* delta, T* later, Scratch& s) const {
    const long n = P * Q, p = P * P, q = Q * Q, planes = complex ? 2 : 1, width = planes * n;
    T *m = s.middle.data(), *m_transposed = s.transposed.data(), *d = s.back.data();
    for (long row = 0; row < rows; row++, h += width, delta += width, later += width) {
      // d = A^H delta, later = d conj(C)
      product<Into::kNew, T>(P, Q, P, {a, 1, P}, delta, Q, d, Q);
      if (complex) {
        product<Into::kSum, T>(P, Q, P, {a + p, 1, P}, delta + n, Q, d, Q);
        product<Into::kNew, T>(P, Q, P, {a, 1, P}, delta + n, Q, d + n, Q);
        product<Into::kSum, T>(P, Q, P, {minus_a.data() + p, 1, P}, delta, Q, d + n, Q);
      }
      product<Into::kNew, T>(P, Q, Q, {d, Q, 1}, c, Q, later, Q);
      if (complex) {
        product<Into::kSum, T>(P, Q, Q, {d + n, Q, 1}, c + q, Q, later, Q);
        product<Into::kNew, T>(P, Q, Q, {d + n, Q, 1}, c, Q, later + n, Q);
        product<Into::kSum, T>(P, Q, Q, {d, Q, 1}, minus_c.data() + q, Q, later + n, Q);
      }
      // grad A += delta M^H, M = X C^T;  grad C += d^T conj(X). The sign of an imaginary part is changed in place.
      right(h, m);
      for (long plane = 0; plane < planes; plane++)
        for (long i = 0; i < P; i++)
          for (long j = 0; j < Q; j++) m_transposed[plane * n + j * P + i] = m[plane * n + i * Q + j];
      T *grad_a = s.grad.data(), *grad_c = grad_a + planes * p;
      product<Into::kSum, T>(P, P, Q, {delta, Q, 1}, m_transposed, P, grad_a, P);
      product<Into::kSum, T>(Q, Q, P, {d, 1, Q}, h, Q, grad_c, Q);
      if (!complex) continue;
      product<Into::kSum, T>(P, P, Q, {delta + n, Q, 1}, m_transposed + n, P, grad_a, P);
      product<Into::kSum, T>(P, P, Q, {delta + n, Q, 1}, m_transposed, P, grad_a + p, P);
      product<Into::kSum, T>(Q, Q, P, {d + n, 1, Q}, h + n, Q, grad_c, Q);
      product<Into::kSum, T>(Q, Q, P, {d + n, 1, Q}, h, Q, grad_c + q, Q);
      for (long i = 0; i < n; i++) m_transposed[n + i] = -m_transposed[n + i];
      product<Into::kSum, T>(P, P, Q, {delta, Q, 1}, m_transposed + n, P, grad_a + p, P);
      for (long i = 0; i < n; i++) m[i] = -h[n + i];
      product<Into::kSum, T>(Q, Q, P, {d, 1, Q}, m, Q, grad_c + q, Q);
    }
  }
};

}  // namespace seqbench
