// One call of the time loop of normalised.cpp, and what its inputs give.

#pragma once

#include <algorithm>

#include "panels.h"

namespace seqbench {

constexpr long K = 4;  // gates

// The sums that are normalised; their features lie in this order: 4 n, 4 n and n
enum Place { kHidden, kInput, kCell };
constexpr int kPlaces = 3;

// One call. As normalised.py's structure of the same name.
struct Call {
  long steps, rows, n, d;
  long keeps;                // whether A and C are kept for the way back; else they are one step's
  long normalises[kPlaces];  // whether a place has a norm
  long of_batch;             // Columns: whether the statistics are the batch's, and written, or given
  long window, remembered;   // Rows: steps of a window, and those before the first that it may reach back to
  double eps;
  double row_weight, column_weight;  // Both
  const void* ids;           // (steps, rows), of one-hot inputs, or null
  const void* x;             // (steps, rows, d), or null
  const void* input_weight;  // W (d, 4 n)
  const void* weight;        // U (n, 4 n)
  const void* gain;          // (9 n)
  const void* bias;          // (5 n): of the gates and of the cell
  const void* inner_bias;    // (8 n), added to the sums of hidden and input before their norms, or null
  const void* h_before;      // (rows, n)
  const void* c_before;      // (rows, n)
  void* mean;                // (steps, 9 n)
  void* variance;            // (steps, 9 n)
  void* own;                 // (2, 3, remembered + steps, rows): mean and variance of a place's features at one step
  void* used;                // (2, 3, steps, rows): mean and 1 / deviation that normalise
  void* A;                   // (steps, rows, 4 n): what hidden gives, with its inner bias
  void* C;                   // (steps, rows, n)
  void* H;                   // (steps, rows, n)
  // back only:
  const void* G;             // (steps, rows, n): the gradient of the outputs, later steps' apart
  void* h_later;             // (rows, n): in, the last output's gradient from later steps; out, that of h_before
  void* c_later;             // likewise
  void* own_grad;            // as own: in, the gradient of what is remembered after the last step; out, that before
  void* input_weight_grad;   // added to, as the next ones
  void* weight_grad;
  double* gain_grad;
  double* bias_grad;
  double* inner_bias_grad;   // or null
  void* x_grad;              // (steps, rows, d), or null
};

inline long features_of(Place place, long n) { return place == kCell ? n : K * n; }
inline long first_of(Place place, long n) { return place * K * n; }

// What the inputs of a step give, x_t W, a row of it for each row of the batch
template <typename T>
class Inputs {
 public:
  explicit Inputs(const Call& s)
      : s(s), weight(s.ids ? Panels<T>(0, 0, 0, [](long, long) { return T(0); })
                           : Panels<T>(s.d, K * s.n, whole_vectors<T>(K * s.n), [&s](long i, long j) {
                               return static_cast<const T*>(s.input_weight)[i * K * s.n + j];
                             })) {}

  void multiply(long t, T* b, long width) const {
    if (!s.ids) {
      weight.template multiply<Into::kNew>(s.rows, {static_cast<const T*>(s.x) + t * s.rows * s.d, s.d, 1}, b, width);
      return;
    }
    const long* ids = static_cast<const long*>(s.ids) + t * s.rows;
    for (long row = 0; row < s.rows; row++) {
      const T* from = static_cast<const T*>(s.input_weight) + ids[row] * K * s.n;
      std::copy(from, from + K * s.n, b + row * width);
    }
  }

  // Adds x_t^T db to the gradient of W. db is (rows, 4 n).
  void add_gradient(long t, const T* db) const {
    T* gradient = static_cast<T*>(s.input_weight_grad);
    const long wide = K * s.n;
    if (!s.ids) {
      const T* x = static_cast<const T*>(s.x) + t * s.rows * s.d;
      product<Into::kSum, T>(s.d, wide, s.rows, {x, 1, s.d}, db, wide, gradient, wide);
      return;
    }
    const long* ids = static_cast<const long*>(s.ids) + t * s.rows;
    for (long row = 0; row < s.rows; row++)
      for (long j = 0; j < wide; j++) gradient[ids[row] * wide + j] += db[row * wide + j];
  }

 private:
  const Call& s;
  const Panels<T> weight;
};

// Adds a place's inner bias, where there is one, to each row of z.
template <typename T>
void add_inner_bias(const Call& s, Place place, T* z, long row_length) {
  if (!s.inner_bias) return;
  const T* bias = static_cast<const T*>(s.inner_bias) + first_of(place, s.n);
  for (long row = 0; row < s.rows; row++)
    for (long j = 0; j < K * s.n; j++) z[row * row_length + j] += bias[j];
}

}  // namespace seqbench
