// The time loop of an LSTM whose three sums are normalised, forward and back, on the CPU. Called through normalised.py.
//
//   a = h_{t-1} U    b = x_t W    s = gain_a N(a) + gain_b N(b) + bias    i, f, o = logistic(s)   g = tanh(s)
//   c_t = f c_{t-1} + i g         h_t = o tanh(gain_c N(c_t) + bias_c)
//
// N(z) = (z - mean) / sqrt(variance + eps), of the batch at that step or given. A feature's mean is over all rows, so rows
// cannot be shared out among threads. Kept for the way back are N(a), c and h; the gates and N(b) cost less to compute
// again than to fetch.
//
// Layouts, row-major and contiguous: gates i, f, g, o (4 n); statistics and gains a, b, c (9 n); biases s, c (5 n).

#include <cmath>
#include <vector>

#include "exponential.h"
#include "panels.h"

namespace seqbench {
namespace {

constexpr long K = 4;

// One call. As normalised.py's structure of the same name.
struct Call {
  long steps, rows, n, d;
  long of_batch;             // whether the statistics are the batch's, and written, or given
  long keeps;                // whether A and C are kept for the way back; else they are one step's
  double eps;
  const void* ids;           // (steps, rows), of one-hot inputs, or null
  const void* x;             // (steps, rows, d), or null
  const void* input_weight;  // W (d, 4 n)
  const void* weight;        // U (n, 4 n)
  const void* gain;          // (9 n)
  const void* bias;          // (5 n)
  const void* h_before;      // (rows, n)
  const void* c_before;      // (rows, n)
  void* mean;                // (steps, 9 n)
  void* variance;            // (steps, 9 n)
  void* A;                   // (steps, rows, 4 n): N(a)
  void* C;                   // (steps, rows, n)
  void* H;                   // (steps, rows, n)
  // back only:
  const void* G;             // (steps, rows, n): the gradient of the outputs, later steps' apart
  void* h_later;             // (rows, n): in, the last output's gradient from later steps; out, that of h_before
  void* c_later;             // likewise
  void* input_weight_grad;   // added to, as the next ones
  void* weight_grad;
  double* gain_grad;
  double* bias_grad;
  void* x_grad;              // (steps, rows, d), or null
};

// Mean and biased variance of each column of z (rows x n), in two passes, which keep the digits of a small variance.
template <typename T>
void moments(long rows, const T* z, long row_length, long n, T* mean, T* variance) {
  std::fill(mean, mean + n, T(0));
  std::fill(variance, variance + n, T(0));
  for (long row = 0; row < rows; row++)
    for (long j = 0; j < n; j++) mean[j] += z[row * row_length + j];
  for (long j = 0; j < n; j++) mean[j] /= T(rows);
  for (long row = 0; row < rows; row++)
#pragma GCC ivdep  // no two of the pointers overlap
    for (long j = 0; j < n; j++) {
      const T distance = z[row * row_length + j] - mean[j];
      variance[j] += distance * distance;
    }
  for (long j = 0; j < n; j++) variance[j] /= T(rows);
}

// 1 / sqrt(variance + eps) of all three sums at a step
template <typename T>
void inverse_deviations(const T* variance, T eps, long n, T* inverse) {
  for (long j = 0; j < n; j++) inverse[j] = T(1) / std::sqrt(variance[j] + eps);
}

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

template <typename T>
void forward(const Call& s) {
  const long n = s.n, rows = s.rows, wide = K * n, state = rows * n, width = whole_vectors<T>(wide);
  const T *U = static_cast<const T*>(s.weight), *gain = static_cast<const T*>(s.gain);
  const T *bias = static_cast<const T*>(s.bias), *h = static_cast<const T*>(s.h_before);
  const T* c_before = static_cast<const T*>(s.c_before);
  const Panels<T> weight(n, wide, width, [=](long i, long j) { return U[i * wide + j]; });
  const Inputs<T> inputs(s);
  std::vector<T> z(rows * width), b(rows * width), output_gate(state), inverse(9 * n);
  for (long t = 0; t < s.steps; t++) {
    T *mean = static_cast<T*>(s.mean) + t * 9 * n, *variance = static_cast<T*>(s.variance) + t * 9 * n;
    T* A = static_cast<T*>(s.A) + (s.keeps ? t : 0) * rows * wide;
    T* C = static_cast<T*>(s.C) + (s.keeps ? t : 0) * state;
    T* H = static_cast<T*>(s.H) + t * state;
    weight.template multiply<Into::kNew>(rows, {h, n, 1}, z.data(), width);
    inputs.multiply(t, b.data(), width);
    if (s.of_batch) {
      moments(rows, z.data(), width, wide, mean, variance);
      moments(rows, b.data(), width, wide, mean + wide, variance + wide);
    }
    inverse_deviations(variance, T(s.eps), 2 * wide, inverse.data());
    for (long row = 0; row < rows; row++) {
      T *a = z.data() + row * width, *normalised = A + row * wide, *c = C + row * n, *o = output_gate.data() + row * n;
      const T *own = b.data() + row * width, *cell = c_before + row * n, *scale = inverse.data();
#pragma GCC ivdep  // no two of the pointers overlap
      for (long j = 0; j < wide; j++) {
        normalised[j] = (a[j] - mean[j]) * scale[j];
        a[j] = gain[j] * normalised[j] + gain[wide + j] * (own[j] - mean[wide + j]) * scale[wide + j] + bias[j];
      }
#pragma GCC ivdep  // c may be cell, number by number
      for (long j = 0; j < n; j++) {
        o[j] = logistic(a[3 * n + j]);
        c[j] = logistic(a[n + j]) * cell[j] + logistic(a[j]) * tanh_of(a[2 * n + j]);
      }
    }
    if (s.of_batch) moments(rows, C, n, n, mean + 2 * wide, variance + 2 * wide);
    inverse_deviations(variance + 2 * wide, T(s.eps), n, inverse.data() + 2 * wide);
    for (long row = 0; row < rows; row++) {
      const T *c = C + row * n, *o = output_gate.data() + row * n, *scale = inverse.data() + 2 * wide;
      T* out = H + row * n;
#pragma GCC ivdep  // no two of the pointers overlap
      for (long j = 0; j < n; j++)
        out[j] = o[j] * tanh_of(gain[2 * wide + j] * (c[j] - mean[2 * wide + j]) * scale[j] + bias[wide + j]);
    }
    h = H;
    c_before = C;
  }
}

// The way back through y = gain N(z) of n features: dy (rows x n) and the normalised z give dz, which may lie in either's
// place. The sums of dy and of dy N(z) over the rows are in the caller's hands, since biases and gains need them, too.
template <typename T>
void normalisation_back(long n, T share, const T* gain, const T* inverse, const T* sum, const T* normalised_sum,
                        const T* dy, const T* normalised, T* dz) {
#pragma GCC ivdep  // dz may be dy or normalised, number by number
  for (long j = 0; j < n; j++)
    dz[j] = gain[j] * inverse[j] * (dy[j] - share * (sum[j] + normalised[j] * normalised_sum[j]));
}

template <typename T>
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
  // 1 / rows where the statistics are the batch's, which pass gradients on, else 0
  const T share = s.of_batch ? T(1) / T(rows) : T(0);
  std::vector<T> b(rows * width), gates(rows * wide), da(rows * wide), db(rows * wide), dy(state), cells(state);
  std::vector<T> inverse(9 * n), sums(5 * n), normalised_sums(9 * n), before(rows * narrow), dx(rows * d_width);
  for (long t = s.steps - 1; t >= 0; t--) {
    const T *mean = static_cast<const T*>(s.mean) + t * 9 * n, *variance = static_cast<const T*>(s.variance) + t * 9 * n;
    const T *A = static_cast<const T*>(s.A) + t * rows * wide, *C = static_cast<const T*>(s.C) + t * state;
    const T* h_before = t ? static_cast<const T*>(s.H) + (t - 1) * state : static_cast<const T*>(s.h_before);
    const T *c_before = t ? C - state : static_cast<const T*>(s.c_before), *G = static_cast<const T*>(s.G) + t * state;
    inverse_deviations(variance, T(s.eps), 9 * n, inverse.data());
    std::fill(sums.begin(), sums.end(), T(0));
    std::fill(normalised_sums.begin(), normalised_sums.end(), T(0));
    inputs.multiply(t, b.data(), width);
    for (long row = 0; row < rows; row++) {
      T *own = b.data() + row * width, *gate = gates.data() + row * wide;
      const T *normalised = A + row * wide, *scale = inverse.data() + wide, *middle = mean + wide;
#pragma GCC ivdep  // no two of the pointers overlap
      for (long j = 0; j < wide; j++) {
        own[j] = (own[j] - middle[j]) * scale[j];
        gate[j] = gain[j] * normalised[j] + gain[wide + j] * own[j] + bias[j];
      }
      T *cell = cells.data() + row * n, *dcell = dy.data() + row * n, *sum = sums.data() + wide;
      T* normalised_sum = normalised_sums.data() + 2 * wide;
      const T *c = C + row * n, *grad = G + row * n, *later = h_later + row * n;
      const T *cell_gain = gain + 2 * wide, *cell_scale = inverse.data() + 2 * wide, *cell_mean = mean + 2 * wide;
#pragma GCC ivdep  // no two of the pointers overlap
      for (long j = 0; j < n; j++) {
        const T i = logistic(gate[j]), f = logistic(gate[n + j]), o = logistic(gate[3 * n + j]);
        const T g = tanh_of(gate[2 * n + j]), dh = grad[j] + later[j];
        cell[j] = (c[j] - cell_mean[j]) * cell_scale[j];
        const T out = tanh_of(cell_gain[j] * cell[j] + bias[wide + j]);
        dcell[j] = dh * o * (T(1) - out * out);
        sum[j] += dcell[j];
        normalised_sum[j] += dcell[j] * cell[j];
        gate[j] = i, gate[n + j] = f, gate[2 * n + j] = g, gate[3 * n + j] = dh * out * o * (T(1) - o);
      }
    }
    for (long row = 0; row < rows; row++) {
      T *dcell = dy.data() + row * n, *gate = gates.data() + row * wide, *later = c_later + row * n;
      const T *cell = c_before + row * n, *normalised = A + row * wide, *own = b.data() + row * width;
      normalisation_back(n, share, gain + 2 * wide, inverse.data() + 2 * wide, sums.data() + wide,
                         normalised_sums.data() + 2 * wide, dcell, cells.data() + row * n, dcell);
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
        hidden_sum[j] += gate[j] * normalised[j];
        input_sum[j] += gate[j] * own[j];
      }
    }
    for (long row = 0; row < rows; row++) {
      const T* ds = gates.data() + row * wide;
      normalisation_back(wide, share, gain, inverse.data(), sums.data(), normalised_sums.data(), ds, A + row * wide,
                         da.data() + row * wide);
      normalisation_back(wide, share, gain + wide, inverse.data() + wide, sums.data(), normalised_sums.data() + wide, ds,
                         b.data() + row * width, db.data() + row * wide);
    }
    for (long j = 0; j < 5 * n; j++) s.bias_grad[j] += sums[j];
    for (long j = 0; j < 9 * n; j++) s.gain_grad[j] += normalised_sums[j];
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
}

}  // namespace
}  // namespace seqbench

extern "C" void seqbench_forward_float(const seqbench::Call* s) { seqbench::forward<float>(*s); }
extern "C" void seqbench_forward_double(const seqbench::Call* s) { seqbench::forward<double>(*s); }
extern "C" void seqbench_backward_float(const seqbench::Call* s) { seqbench::backward<float>(*s); }
extern "C" void seqbench_backward_double(const seqbench::Call* s) { seqbench::backward<double>(*s); }
