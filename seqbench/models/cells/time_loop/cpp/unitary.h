// The map h -> W h with W = D3 R2 F^-1 D2 P R1 F D1 (Arjovsky et al. 2016) by fast Fourier transforms, its adjoint, and the
// gradients of what makes it up. n, the complex units, is a power of two.
//
// Rows go through in blocks of a vector: a block's i-th vector holds the i-th numbers of its rows, so each step of a
// transform is the same for all of them. F leaves its output in bit-reversed order and F^-1 takes it so; P, D2 and R1 are
// given in that order. Nothing of the way forward is kept for the way back; it is gone again.

#pragma once

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "product.h"

namespace seqbench {

template <typename T>
class Unitary {
  static constexpr int kLanes = kVectorBytes / sizeof(T);
  using V = typename Vector<T, kLanes>::type;

  struct alignas(kVectorBytes) Lanes {
    T at[kLanes];
    V get() const { return load<V>(at); }
    void set(V v) { store(at, v); }
    void add(V v) { set(get() + v); }
  };

  struct Complex {
    V re, im;
    Complex operator+(Complex b) const { return {re + b.re, im + b.im}; }
    Complex operator-(Complex b) const { return {re - b.re, im - b.im}; }
    Complex operator*(Complex b) const { return {re * b.re - im * b.im, re * b.im + im * b.re}; }
    Complex times_i() const { return {-im, re}; }
    Complex conj() const { return {re, -im}; }
  };

  struct Block {
    std::vector<Lanes> re, im;
    explicit Block(long n = 0) : re(n), im(n) {}
    Complex get(long i) const { return {re[i].get(), im[i].get()}; }
    void set(long i, Complex z) {
      re[i].set(z.re);
      im[i].set(z.im);
    }
    void add(long i, Complex z) {
      re[i].add(z.re);
      im[i].add(z.im);
    }
  };

  // A vector of n complex numbers, the same for all rows: real parts, then imaginary parts
  struct Constant {
    const T* data;
    long n;
    Complex operator[](long i) const { return {data[i] - V{}, data[n + i] - V{}}; }
  };

 public:
  struct Scratch {
    Block h, after_f, permuted, after_inverse, g, scattered;
    std::vector<Block> grad;  // of D1, D2, D3, u1, u2
  };

  // `weight` is (5, 2, n): the diagonals D1, D2, D3 and the unit vectors u1, u2 of R = I - 2 u u^H, each as real parts and
  // imaginary parts. out_j = in_permutation_j.
  Unitary(long n, long width, const T* weight, const long* permutation)
      : n(n), width(width), permutation(permutation), d2_scaled(2 * n), cosine(n), sine(n) {
    for (long k = 0; k < 5; k++) parts[k] = {weight + 2 * n * k, n};
    for (long i = 0; i < 2 * n; i++) d2_scaled[i] = parts[1].data[i] / T(n);  // what both transforms leave out
    parts[1].data = d2_scaled.data();
    for (long i = 0; i < n; i++) {
      const double angle = -2 * std::acos(-1.0) * i / n;
      cosine[i] = T(std::cos(angle));
      sine[i] = T(std::sin(angle));
    }
  }
  Unitary(const Unitary&) = delete;

  Scratch scratch() const {
    return {Block(n), Block(n), Block(n), Block(n), Block(n), Block(n), std::vector<Block>(5, Block(n))};
  }

  void add_grad(const Scratch& s, T* out) const {
    for (size_t k = 0; k < s.grad.size(); k++)
      for (long plane = 0; plane < 2; plane++)
        for (long i = 0; i < n; i++) {
          const Lanes& lanes = (plane ? s.grad[k].im : s.grad[k].re)[i];
          double sum = 0;
          for (int lane = 0; lane < kLanes; lane++) sum += lanes.at[lane];
          out[(2 * k + plane) * n + i] += T(k == 1 ? sum / n : sum);
        }
  }

  void forward(long rows, const T* h, T* z, Scratch& s) const {
    for (long row = 0; row < rows; row += kLanes, h += kLanes * width, z += kLanes * width) {
      const long here = std::min<long>(kLanes, rows - row);
      const Complex c = go(h, here, s);
      for (long i = 0; i < n; i++) s.g.set(i, (s.after_inverse.get(i) - twice(u2()[i] * c)) * d3()[i]);
      unload<true>(s.g, z, here);
    }
  }

  void backward(long rows, const T* h, const T* delta, T* later, Scratch& s) const {
    for (long row = 0; row < rows; row += kLanes) {
      const long here = std::min<long>(kLanes, rows - row), first = row * width;
      back(h + first, delta + first, later + first, here, s);
    }
  }

 private:
  long n, width;
  const long* permutation;
  Constant parts[5];
  std::vector<T> d2_scaled, cosine, sine;

  Constant d1() const { return parts[0]; }
  Constant d2() const { return parts[1]; }
  Constant d3() const { return parts[2]; }
  Constant u1() const { return parts[3]; }
  Constant u2() const { return parts[4]; }

  static Complex twice(Complex z) { return z + z; }

  // From h to the input of R2; gives u2^H of it. u1^H F D1 h is left in `c1`.
  Complex go(const T* from, long rows, Scratch& s, Complex* c1 = nullptr) const {
    load_rows(from, rows, s.h);
    for (long i = 0; i < n; i++) s.after_f.set(i, s.h.get(i) * d1()[i]);
    transform(s.after_f);
    const Complex c = dot(u1(), s.after_f);
    if (c1) *c1 = c;
    for (long j = 0; j < n; j++) {
      const long i = permutation[j];
      const Complex z = s.after_f.get(i) - twice(u1()[i] * c);
      s.permuted.set(j, z);
      s.after_inverse.set(j, z * d2()[j]);
    }
    inverse(s.after_inverse);
    return dot(u2(), s.after_inverse);
  }

  void back(const T* h, const T* delta, T* later, long rows, Scratch& s) const {
    Complex c1, e{};
    const Complex c2 = go(h, rows, s, &c1);
    load_rows(delta, rows, s.g);
    for (long i = 0; i < n; i++) {
      const Complex g = s.g.get(i), u = u2()[i], g7 = g * d3()[i].conj();
      s.grad[2].add(i, g * (s.after_inverse.get(i) - twice(u * c2)).conj());
      s.g.set(i, g7);
      e = e + u.conj() * g7;
    }
    reflect_back(s.g, s.after_inverse, u2(), c2, e, s.grad[4]);
    transform(s.g);
    e = Complex{};
    for (long j = 0; j < n; j++) {
      const long i = permutation[j];
      const Complex g = s.g.get(j), g3 = g * d2()[j].conj();
      s.grad[1].add(j, g * s.permuted.get(j).conj());
      s.scattered.set(i, g3);
      e = e + u1()[i].conj() * g3;
    }
    reflect_back(s.scattered, s.after_f, u1(), c1, e, s.grad[3]);
    inverse(s.scattered);
    for (long i = 0; i < n; i++) {
      const Complex g = s.scattered.get(i);
      s.grad[0].add(i, g * s.h.get(i).conj());
      s.scattered.set(i, g * d1()[i].conj());
    }
    unload<false>(s.scattered, later, rows);
  }

  // g becomes R g, for y = R z = z - 2 u c with c = u^H z and e = u^H g; the gradient of u is added to `grad`.
  void reflect_back(Block& g, const Block& z, Constant u, Complex c, Complex e, Block& grad) const {
    for (long i = 0; i < n; i++) {
      const Complex here = g.get(i), change = here * c.conj() + e.conj() * z.get(i);
      grad.add(i, Complex{} - twice(change));
      g.set(i, here - twice(u[i] * e));
    }
  }

  // u^H z
  Complex dot(Constant u, const Block& z) const {
    Complex sum{};
    for (long i = 0; i < n; i++) sum = sum + u[i].conj() * z.get(i);
    return sum;
  }

  Complex root(long i) const { return {cosine[i] - V{}, sine[i] - V{}}; }  // e^{-2 pi i / n}

  // F, unnormalised, by decimation in frequency, two halvings at a time
  void transform(Block& z) const {
    long size = n;
    for (; size >= 4; size /= 4) {
      const long quarter = size / 4, turn = n / size;
      for (long j = 0; j < quarter; j++) {
        const Complex w = root(j * turn), w2 = root(2 * j * turn), w3 = root(3 * j * turn);
        for (long i = j; i < n; i += size) {
          const Complex a = z.get(i), b = z.get(i + quarter), c = z.get(i + 2 * quarter), d = z.get(i + 3 * quarter);
          const Complex even = a + c, odd = b + d, along = a - c, across = (b - d).times_i();
          z.set(i, even + odd);
          z.set(i + quarter, (even - odd) * w2);
          z.set(i + 2 * quarter, (along - across) * w);
          z.set(i + 3 * quarter, (along + across) * w3);
        }
      }
    }
    if (size == 2) halve(z);
  }

  // F^-1 times n, the steps of `transform` undone
  void inverse(Block& z) const {
    long size = 1;
    while (4 * size <= n) size *= 4;
    const bool odd_power = size < n;
    if (odd_power) halve(z);
    for (size = odd_power ? 8 : 4; size <= n; size *= 4) {
      const long quarter = size / 4, turn = n / size;
      for (long j = 0; j < quarter; j++) {
        const Complex w = root(j * turn).conj(), w2 = root(2 * j * turn).conj(), w3 = root(3 * j * turn).conj();
        for (long i = j; i < n; i += size) {
          const Complex a = z.get(i), b = z.get(i + quarter) * w2;
          const Complex c = z.get(i + 2 * quarter) * w, d = z.get(i + 3 * quarter) * w3;
          const Complex even = a + b, odd = a - b, along = c + d, across = (c - d).times_i();
          z.set(i, even + along);
          z.set(i + 2 * quarter, even - along);
          z.set(i + quarter, odd + across);
          z.set(i + 3 * quarter, odd - across);
        }
      }
    }
  }

  void halve(Block& z) const {
    for (long i = 0; i < n; i += 2) {
      const Complex a = z.get(i), b = z.get(i + 1);
      z.set(i, a + b);
      z.set(i + 1, a - b);
    }
  }

  // `to` has the rows' numbers; lanes without a row are zero.
  void load_rows(const T* from, long rows, Block& to) const {
    for (long plane = 0; plane < 2; plane++) {
      Lanes* lanes = (plane ? to.im : to.re).data();
      for (long i = 0; i < n && rows < kLanes; i++) lanes[i].set(V{});
      for (long first = 0; first < n; first += kLanes)
        for (long row = 0; row < rows; row++) {
          const T* x = from + row * width + plane * n;
          for (long i = first; i < std::min(n, first + kLanes); i++) lanes[i].at[row] = x[i];
        }
    }
  }

  template <bool kAdd>
  void unload(const Block& from, T* to, long rows) const {
    for (long plane = 0; plane < 2; plane++) {
      const Lanes* lanes = (plane ? from.im : from.re).data();
      for (long first = 0; first < n; first += kLanes)
        for (long row = 0; row < rows; row++) {
          T* z = to + row * width + plane * n;
          for (long i = first; i < std::min(n, first + kLanes); i++) z[i] = (kAdd ? z[i] : T(0)) + lanes[i].at[row];
        }
    }
  }
};

}  // namespace seqbench
