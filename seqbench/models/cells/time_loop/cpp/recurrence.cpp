// The time loops of recurrences h_t = f(x_t + h_{t-1} W), forward and back, on the CPU. Called through native.py.
//
// A row of the batch needs no other row, so each thread takes some rows through all steps. A step is a small matrix
// product, done by one register-tiled kernel on the rows at hand, and a nonlinearity on what has just been written.
//
// Layouts, all row-major and contiguous: H (steps, rows, width), a state (rows, width), G (steps, rows, n) without what
// `width` pads, which stays zero. Complex states are two halves of a row: the real parts, then the imaginary parts.

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "maps.h"
#include "nonlinearities.h"
#include "product.h"
#include "rows.h"
#include "unitary.h"

namespace seqbench {
namespace {

// One call. As native.py's structure of the same name.
struct Call {
  long steps, rows, n, width, n_threads, nonlinearity;
  long P, Q, complex;  // factors of a Kronecker product; P = 0: a dense W, or
  const long* permutation;  // (n / 2), of a W by Fourier transforms; null: none
  long d;              // input features
  const long* ids;     // (steps, rows): x is one-hot; or null, and
  const void* x;       // (steps, rows, d)
  const void* input_weight;  // (d, width)
  const void* weight;        // W, or A then C, or diagonals then reflections
  const void* bias;          // (width), or its half for complex states
  const void* before;        // (rows, width)
  void* H;
  // A linear layer on the outputs, y = h V^T + v, done on the way; c = 0: none.
  long c;
  const void* readout;       // V (c, width)
  const void* readout_bias;  // v (c)
  void* Y;              // (steps, rows, c)
  // back only:
  const void* G;     // (steps, rows, c): the gradients of y; or (steps, rows, n): those of h, later steps' apart
  void* later;       // (rows, width): in, the gradient of the last h from later steps; out, that of `before`
  double* bias_grad;
  void* weight_grad;  // these three are added to
  void* input_weight_grad;  // (d, n)
  void* readout_grad;       // (c, width)
  void* x_grad;             // written; may be null
};

template <typename T>
void apply(const Call& s, T* z, long rows) {
  const T* bias = static_cast<const T*>(s.bias);
  for (long row = 0; row < rows; row++, z += s.width) {
    if (s.nonlinearity == kModReLU) modrelu(z, bias, s.width);
    if (s.nonlinearity == kComplexModReLU) complex_modrelu(z, z + s.n / 2, bias, s.n / 2);
    if (s.nonlinearity == kTanh)
      for (long i = 0; i < s.n; i++) z[i] = std::tanh(z[i] + bias[i]);
  }
}

// delta, the gradient of h apart from later steps, becomes that of z; `after` comes from later steps.
template <typename T>
void apply_back(const Call& s, const T* h, const T* after, T* delta, T* bias_sum, long rows) {
  const long half = s.n / 2;
  for (long row = 0; row < rows; row++, h += s.width, after += s.width, delta += s.width) {
    for (long i = 0; i < s.n; i++) delta[i] += after[i];
    if (s.nonlinearity == kModReLU) modrelu_back(h, delta, bias_sum, s.n);
    if (s.nonlinearity == kComplexModReLU)
      complex_modrelu_back(h, h + half, static_cast<const T*>(s.bias), delta, delta + half, bias_sum, half);
    if (s.nonlinearity == kTanh) tanh_back(h, delta, bias_sum, s.n);
  }
}

// z = x U for the rows from `first` of step t
template <typename T>
void project(const Call& s, long t, long first, long rows, T* z) {
  const T* U = static_cast<const T*>(s.input_weight);
  const long position = t * s.rows + first;
  if (!s.ids) {
    const T* x = static_cast<const T*>(s.x) + position * s.d;
    return product<Into::kNew, T>(rows, s.width, s.d, {x, s.d, 1}, U, s.width, z, s.width);
  }
  for (long row = 0; row < rows; row++)
    std::memcpy(z + row * s.width, U + s.ids[position + row] * s.width, s.width * sizeof(T));
}

template <typename T>
void project_back(const Call& s, long t, long first, long rows, const T* delta, const T* U_transposed, T* grad) {
  const long position = t * s.rows + first;
  if (!s.ids) {
    const T* x = static_cast<const T*>(s.x) + position * s.d;
    product<Into::kSum, T>(s.d, s.n, rows, {x, 1, s.d}, delta, s.width, grad, s.n);
    T* x_grad = static_cast<T*>(s.x_grad) + position * s.d;
    if (s.x_grad) product<Into::kNew, T>(rows, s.d, s.n, {delta, s.width, 1}, U_transposed, s.d, x_grad, s.d);
    return;
  }
  for (long row = 0; row < rows; row++, delta += s.width) {
    T* to = grad + s.ids[position + row] * s.n;
    for (long i = 0; i < s.n; i++) to[i] += delta[i];
  }
}

// y = h V^T + v; `padded` holds V^T with whole vectors for rows, (n, wide), and `out` (rows, wide) is for the moment.
template <typename T>
void read(const Call& s, long t, long first, long rows, const T* h, const std::vector<T>& padded, std::vector<T>& out) {
  const long wide = padded.size() / s.n;
  product<Into::kNew, T>(rows, wide, s.n, {h, s.width, 1}, padded.data(), wide, out.data(), wide);
  T* y = static_cast<T*>(s.Y) + (t * s.rows + first) * s.c;
  const T* bias = static_cast<const T*>(s.readout_bias);
  for (long row = 0; row < rows; row++)
    for (long j = 0; j < s.c; j++) y[row * s.c + j] = out[row * wide + j] + bias[j];
}

// The gradient of h into delta (rows, width), whose padding stays zero; that of V into `readout_grad` (c, width).
template <typename T>
void read_back(const Call& s, long t, long first, long rows, const T* h, T* delta, std::vector<T>& readout_grad) {
  const T* g = static_cast<const T*>(s.G) + (t * s.rows + first) * (s.c ? s.c : s.n);
  if (s.c == 0) {
    for (long row = 0; row < rows; row++) std::memcpy(delta + row * s.width, g + row * s.n, s.n * sizeof(T));
    return;
  }
  const T* V = static_cast<const T*>(s.readout);
  product<Into::kNew, T>(rows, s.width, s.c, {g, s.c, 1}, V, s.width, delta, s.width);
  product<Into::kSum, T>(s.c, s.width, rows, {g, 1, s.c}, h, s.width, readout_grad.data(), s.width);
}

template <typename T>
void add_into(void* to, const std::vector<T>& from) {
  for (size_t i = 0; i < from.size(); i++) static_cast<T*>(to)[i] += from[i];
}

template <typename T, typename Map>
void forward(const Map& map, const Call& s) {
  const long step = s.rows * s.width;
  const T* before = static_cast<const T*>(s.before);
  T* H = static_cast<T*>(s.H);
  const long vector = kVectorBytes / sizeof(T), wide = (s.c + vector - 1) / vector * vector;
  std::vector<T> V_transposed(s.n * wide, T(0));
  for (long i = 0; i < s.c; i++)
    for (long j = 0; j < s.n; j++) V_transposed[j * wide + i] = static_cast<const T*>(s.readout)[i * s.width + j];
  over_rows(s.rows, s.n_threads, kRows, [&](long first, long rows, long) {
    auto scratch = map.scratch();
    std::vector<T> out(rows * wide);
    for (long t = 0; t < s.steps; t++) {
      T* here = H + t * step + first * s.width;
      project(s, t, first, rows, here);
      map.forward(rows, (t ? H + (t - 1) * step : before) + first * s.width, here, scratch);
      apply(s, here, rows);
      if (s.c) read(s, t, first, rows, here, V_transposed, out);
    }
  });
}

template <typename T, typename Map>
void backward(const Map& map, const Call& s) {
  const long step = s.rows * s.width, n_bias = s.nonlinearity == kComplexModReLU ? s.n / 2 : s.n;
  const T *before = static_cast<const T*>(s.before), *H = static_cast<const T*>(s.H);
  std::vector<T> U_transposed(s.x_grad ? s.n * s.d : 0);
  for (long i = 0; s.x_grad && i < s.d; i++)
    for (long j = 0; j < s.n; j++) U_transposed[j * s.d + i] = static_cast<const T*>(s.input_weight)[i * s.width + j];
  struct Sums {  // of one thread
    typename Map::Scratch map;
    std::vector<double> bias;
    std::vector<T> input_weight, readout;
  };
  std::vector<Sums> sums(s.n_threads);
  over_rows(s.rows, s.n_threads, kRows, [&](long first, long rows, long thread) {
    Sums& mine = sums[thread];
    mine = {map.scratch(), std::vector<double>(n_bias), std::vector<T>(s.d * s.n), std::vector<T>(s.c * s.width)};
    std::vector<T> bias(n_bias), delta(rows * s.width, T(0));
    T* after = static_cast<T*>(s.later) + first * s.width;
    for (long t = s.steps - 1; t >= 0; t--) {
      const T* h = H + t * step + first * s.width;
      read_back(s, t, first, rows, h, delta.data(), mine.readout);
      std::fill(bias.begin(), bias.end(), T(0));
      apply_back(s, h, after, delta.data(), bias.data(), rows);
      for (long i = 0; i < n_bias; i++) mine.bias[i] += bias[i];  // a float sum over all steps would round away
      map.backward(rows, (t ? H + (t - 1) * step : before) + first * s.width, delta.data(), after, mine.map);
      project_back(s, t, first, rows, delta.data(), U_transposed.data(), mine.input_weight.data());
    }
  });
  for (const Sums& mine : sums) {
    for (size_t i = 0; i < mine.bias.size(); i++) s.bias_grad[i] += mine.bias[i];
    map.add_grad(mine.map, static_cast<T*>(s.weight_grad));
    add_into(s.input_weight_grad, mine.input_weight);
    add_into(s.readout_grad, mine.readout);
  }
}

template <typename T, typename Run>
void with_map(const Call& s, Run run) {
  const T* weight = static_cast<const T*>(s.weight);
  if (s.permutation) return run(Unitary<T>(s.n / 2, s.width, weight, s.permutation));
  if (s.P == 0) return run(Dense<T>(s.n, s.width, weight));
  run(Kronecker<T>(s.P, s.Q, s.complex, weight, weight + s.P * s.P * (s.complex ? 2 : 1)));
}

}  // namespace
}  // namespace seqbench

#define SEQBENCH_RECURRENCE(T)                                                                  \
  extern "C" void seqbench_forward_##T(const seqbench::Call* call) {                            \
    seqbench::with_map<T>(*call, [&](const auto& map) { seqbench::forward<T>(map, *call); });   \
  }                                                                                             \
  extern "C" void seqbench_backward_##T(const seqbench::Call* call) {                           \
    seqbench::with_map<T>(*call, [&](const auto& map) { seqbench::backward<T>(map, *call); });  \
  }

SEQBENCH_RECURRENCE(float)
SEQBENCH_RECURRENCE(double)
