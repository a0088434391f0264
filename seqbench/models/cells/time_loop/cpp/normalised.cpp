// The time loop of an LSTM whose sums are normalised, forward and back, on the CPU. Called through normalised.py.
//
//   a = h_{t-1} U    b = x_t W    s = gain_a N(a) + gain_b N(b) + bias    i, f, o = logistic(s)   g = tanh(s)
//   c_t = f c_{t-1} + i g         h_t = o tanh(gain_c N(c_t) + bias_c)
//
// N is one of norms.h. Where it is of the batch, a feature's mean is over all rows, so rows cannot be shared out among
// threads. Kept for the way back are a, c and h; the gates and b cost less to compute again than to fetch.
//
// Layouts, row-major and contiguous: gates i, f, g, o (4 n); statistics and gains a, b, c (9 n); biases s, c (5 n).

#include <vector>

#include "exponential.h"
#include "norms.h"

namespace seqbench {
namespace {

template <typename T, typename Norm>
void forward(const Call& s) {
  const long n = s.n, rows = s.rows, wide = K * n, state = rows * n, width = whole_vectors<T>(wide);
  const T *U = static_cast<const T*>(s.weight), *gain = static_cast<const T*>(s.gain);
  const T *bias = static_cast<const T*>(s.bias), *h = static_cast<const T*>(s.h_before);
  const T* c_before = static_cast<const T*>(s.c_before);
  const Panels<T> weight(n, wide, width, [=](long i, long j) { return U[i * wide + j]; });
  const Inputs<T> inputs(s);
  Norm norm(s);
  std::vector<T> z(rows * width), b(rows * width), output_gate(state);
  for (long t = 0; t < s.steps; t++) {
    T* A = static_cast<T*>(s.A) + (s.keeps ? t : 0) * rows * wide;
    T* C = static_cast<T*>(s.C) + (s.keeps ? t : 0) * state;
    T* H = static_cast<T*>(s.H) + t * state;
    weight.template multiply<Into::kNew>(rows, {h, n, 1}, z.data(), width);
    inputs.multiply(t, b.data(), width);
    add_inner_bias(s, kHidden, z.data(), width);
    add_inner_bias(s, kInput, b.data(), width);
    norm.measure(t, kHidden, z.data(), width);
    norm.measure(t, kInput, b.data(), width);
    for (long row = 0; row < rows; row++) {
      const auto hidden = norm.of(t, kHidden, row);
      const auto input = norm.of(t, kInput, row);
      T *a = z.data() + row * width, *kept = A + row * wide, *c = C + row * n, *o = output_gate.data() + row * n;
      const T *own = b.data() + row * width, *cell = c_before + row * n;
#pragma GCC ivdep  // no two of the pointers overlap
      for (long j = 0; j < wide; j++) {
        kept[j] = a[j];
        a[j] = gain[j] * hidden(a[j], j) + gain[wide + j] * input(own[j], j) + bias[j];
      }
#pragma GCC ivdep  // c may be cell, number by number
      for (long j = 0; j < n; j++) {
        o[j] = logistic(a[3 * n + j]);
        c[j] = logistic(a[n + j]) * cell[j] + logistic(a[j]) * tanh_of(a[2 * n + j]);
      }
    }
    norm.measure(t, kCell, C, n);
    for (long row = 0; row < rows; row++) {
      const auto normalised = norm.of(t, kCell, row);
      const T *c = C + row * n, *o = output_gate.data() + row * n;
      T* out = H + row * n;
#pragma GCC ivdep  // no two of the pointers overlap
      for (long j = 0; j < n; j++)
        out[j] = o[j] * tanh_of(gain[2 * wide + j] * normalised(c[j], j) + bias[wide + j]);
    }
    h = H;
    c_before = C;
  }
}

template <typename T, typename Norm>
void backward(const Call& s) {
  const long n = s.n, rows = s.rows, wide = K * n, state = rows * n, width = whole_vectors<T>(wide);
  const long narrow = whole_vectors<T>(n);
  const T *U = static_cast<const T*>(s.weight), *W = static_cast<const T*>(s.input_weight);
  const T *gain = static_cast<const T*>(s.gain), *bias = static_cast<const T*>(s.bias);
  T *h_later = static_cast<T*>(s.h_later), *c_later = static_cast<T*>(s.c_later);
  const Panels<T> transposed(wide, n, narrow, [=](long i, long j) { return U[j * wide + i]; });
  const long d = s.x_grad ? s.d : 0, d_width = whole_vectors<T>(d);
  const Panels<T> transposed_input(wide, d, d_width, [=](long i, long j) { return W[j * wide + i]; });
  const Inputs<T> inputs(s);
  Norm norm(s);
  std::vector<T> b(rows * width), gates(rows * wide), da(rows * wide), db(rows * wide), dy(state);
  std::vector<T> sums(5 * n), normalised_sums(9 * n), before(rows * narrow), dx(rows * d_width);
  for (long t = s.steps - 1; t >= 0; t--) {
    const T *A = static_cast<const T*>(s.A) + t * rows * wide, *C = static_cast<const T*>(s.C) + t * state;
    const T* h_before = t ? static_cast<const T*>(s.H) + (t - 1) * state : static_cast<const T*>(s.h_before);
    const T *c_before = t ? C - state : static_cast<const T*>(s.c_before), *G = static_cast<const T*>(s.G) + t * state;
    norm.recall(t);
    std::fill(sums.begin(), sums.end(), T(0));
    std::fill(normalised_sums.begin(), normalised_sums.end(), T(0));
    inputs.multiply(t, b.data(), width);
    add_inner_bias(s, kInput, b.data(), width);
    for (long row = 0; row < rows; row++) {
      const auto hidden = norm.of(t, kHidden, row);
      const auto input = norm.of(t, kInput, row);
      const auto of_cell = norm.of(t, kCell, row);
      T* gate = gates.data() + row * wide;
      const T *a = A + row * wide, *own = b.data() + row * width;
#pragma GCC ivdep  // no two of the pointers overlap
      for (long j = 0; j < wide; j++) gate[j] = gain[j] * hidden(a[j], j) + gain[wide + j] * input(own[j], j) + bias[j];
      T *dcell = dy.data() + row * n, *sum = sums.data() + wide, *normalised_sum = normalised_sums.data() + 2 * wide;
      const T *c = C + row * n, *grad = G + row * n, *later = h_later + row * n, *cell_gain = gain + 2 * wide;
#pragma GCC ivdep  // no two of the pointers overlap
      for (long j = 0; j < n; j++) {
        const T i = logistic(gate[j]), f = logistic(gate[n + j]), o = logistic(gate[3 * n + j]);
        const T g = tanh_of(gate[2 * n + j]), dh = grad[j] + later[j], cell = of_cell(c[j], j);
        const T out = tanh_of(cell_gain[j] * cell + bias[wide + j]);
        dcell[j] = dh * o * (T(1) - out * out);
        sum[j] += dcell[j];
        normalised_sum[j] += dcell[j] * cell;
        gate[j] = i, gate[n + j] = f, gate[2 * n + j] = g, gate[3 * n + j] = dh * out * o * (T(1) - o);
      }
      norm.add(t, kCell, row, dcell, c);
    }
    for (long row = 0; row < rows; row++) {
      const auto hidden = norm.of(t, kHidden, row);
      const auto input = norm.of(t, kInput, row);
      T *dcell = dy.data() + row * n, *gate = gates.data() + row * wide, *later = c_later + row * n;
      const T *cell = c_before + row * n, *a = A + row * wide, *own = b.data() + row * width;
      norm.back(t, kCell, row, gain + 2 * wide, sums.data() + wide, normalised_sums.data() + 2 * wide, dcell, C + row * n,
                dcell);
#pragma GCC ivdep  // no two of the pointers overlap
      for (long j = 0; j < n; j++) {
        const T i = gate[j], f = gate[n + j], g = gate[2 * n + j], dc = dcell[j] + later[j];
        gate[j] = dc * g * i * (T(1) - i);
        gate[n + j] = dc * cell[j] * f * (T(1) - f);
        gate[2 * n + j] = dc * i * (T(1) - g * g);
        later[j] = dc * f;
      }
      T *sum = sums.data(), *hidden_sum = normalised_sums.data(), *input_sum = hidden_sum + wide;
#pragma GCC ivdep  // no two of the pointers overlap
      for (long j = 0; j < wide; j++) {
        sum[j] += gate[j];
        hidden_sum[j] += gate[j] * hidden(a[j], j);
        input_sum[j] += gate[j] * input(own[j], j);
      }
      norm.add(t, kHidden, row, gate, a);
      norm.add(t, kInput, row, gate, own);
    }
    const T *hidden_sums = normalised_sums.data(), *input_sums = hidden_sums + wide;
    for (long row = 0; row < rows; row++) {
      const T* ds = gates.data() + row * wide;
      norm.back(t, kHidden, row, gain, sums.data(), hidden_sums, ds, A + row * wide, da.data() + row * wide);
      norm.back(t, kInput, row, gain + wide, sums.data(), input_sums, ds, b.data() + row * width, db.data() + row * wide);
    }
    for (long j = 0; j < 5 * n; j++) s.bias_grad[j] += sums[j];
    for (long j = 0; j < 9 * n; j++) s.gain_grad[j] += normalised_sums[j];
    for (long row = 0; row < rows && s.inner_bias_grad; row++)
      for (long j = 0; j < wide; j++) {
        s.inner_bias_grad[j] += da[row * wide + j];
        s.inner_bias_grad[wide + j] += db[row * wide + j];
      }
    product<Into::kSum, T>(n, wide, rows, {h_before, 1, n}, da.data(), wide, static_cast<T*>(s.weight_grad), wide);
    inputs.add_gradient(t, db.data());
    transposed.template multiply<Into::kNew>(rows, {da.data(), wide, 1}, before.data(), narrow);
    for (long row = 0; row < rows; row++) std::copy_n(before.data() + row * narrow, n, h_later + row * n);
    if (s.x_grad) {
      transposed_input.template multiply<Into::kNew>(rows, {db.data(), wide, 1}, dx.data(), d_width);
      T* out = static_cast<T*>(s.x_grad) + t * rows * d;
      for (long row = 0; row < rows; row++) std::copy_n(dx.data() + row * d_width, d, out + row * d);
    }
  }
  norm.finish();
}

}  // namespace
}  // namespace seqbench

#define SEQBENCH_LOOP(norm, Norm, dtype)                                                              \
  extern "C" void seqbench_##norm##_forward_##dtype(const seqbench::Call* s) {                        \
    seqbench::forward<dtype, seqbench::Norm<dtype>>(*s);                                              \
  }                                                                                                   \
  extern "C" void seqbench_##norm##_backward_##dtype(const seqbench::Call* s) {                       \
    seqbench::backward<dtype, seqbench::Norm<dtype>>(*s);                                             \
  }

SEQBENCH_LOOP(columns, Columns, float)
SEQBENCH_LOOP(columns, Columns, double)
SEQBENCH_LOOP(rows, Rows, float)
SEQBENCH_LOOP(rows, Rows, double)
SEQBENCH_LOOP(both, Both, float)
SEQBENCH_LOOP(both, Both, double)
