// The time loops of LSTM and GRU layers, forward and back, on the CPU. Called through gated.py.
//
// A row of the batch needs no other row, so each thread takes some rows through all steps. What the inputs give to the
// gates is one product before the loop, and the gradients of the weights are one product each after it: here is what a
// step needs of the one before. K is 4 for an LSTM (gates i, f, g, o), 3 for a GRU (r, z, n).
//
// Layouts, row-major and contiguous: gates (steps, rows, K n), states (rows, n), outputs (steps, rows, n).

#include <vector>

#include "exponential.h"
#include "panels.h"
#include "rows.h"

namespace seqbench {
namespace {

// One call. As gated.py's structure of the same name.
struct Call {
  long steps, rows, n, n_threads;
  long keeps;            // whether C or N is kept for the way back; else it is one step's
  const void* weight;    // U (K n, n)
  const void* bias;      // GRU: (n), of U_n h
  const void* h_before;  // (rows, n)
  const void* c_before;  // LSTM: (rows, n)
  void* gates;           // (steps, rows, K n): what the inputs give to them, then what they are; back: its gradient
  void* H;               // outputs
  void* C;               // LSTM: (steps, rows, n), cells
  void* N;               // GRU: (steps, rows, n), U_n h + bias; back: its gradient
  // back only:
  const void* G;   // (steps, rows, n): the gradient of the outputs, later steps' apart
  void* h_later;   // (rows, n): in, the last output's gradient from later steps; out, that of h_before
  void* c_later;   // LSTM: likewise
};

template <typename T>
struct Lstm {
  static constexpr long K = 4;

  static void forward(T* gates, const T* z, const T*, const T* c_before, T* h, T* c, T*, long n) {
#pragma GCC ivdep  // no two of the pointers overlap
    for (long j = 0; j < n; j++) {
      const T i = logistic(gates[j] + z[j]), f = logistic(gates[n + j] + z[n + j]);
      const T g = tanh_of(gates[2 * n + j] + z[2 * n + j]), o = logistic(gates[3 * n + j] + z[3 * n + j]);
      const T now = f * c_before[j] + i * g;
      gates[j] = i, gates[n + j] = f, gates[2 * n + j] = g, gates[3 * n + j] = o;
      c[j] = now;
      h[j] = o * tanh_of(now);
    }
  }

  static void backward(const T* grad, const T* c_before, const T*, const T* c, T*, T* gates, T* h_later, T* c_later,
                       long n) {
#pragma GCC ivdep  // no two of the pointers overlap
    for (long j = 0; j < n; j++) {
      const T i = gates[j], f = gates[n + j], g = gates[2 * n + j], o = gates[3 * n + j], t = tanh_of(c[j]);
      const T dh = grad[j] + h_later[j], dc = c_later[j] + dh * o * (T(1) - t * t);
      gates[j] = dc * g * i * (T(1) - i);
      gates[n + j] = dc * c_before[j] * f * (T(1) - f);
      gates[2 * n + j] = dc * i * (T(1) - g * g);
      gates[3 * n + j] = dh * t * o * (T(1) - o);
      c_later[j] = dc * f;
      h_later[j] = T(0);
    }
  }
};

template <typename T>
struct Gru {
  static constexpr long K = 3;

  static void forward(T* gates, const T* z, const T* bias, const T* h_before, T* h, T*, T* kept, long n) {
#pragma GCC ivdep  // no two of the pointers overlap
    for (long j = 0; j < n; j++) {
      const T r = logistic(gates[j] + z[j]), u = logistic(gates[n + j] + z[n + j]), own = z[2 * n + j] + bias[j];
      const T candidate = tanh_of(gates[2 * n + j] + r * own);
      gates[j] = r, gates[n + j] = u, gates[2 * n + j] = candidate;
      kept[j] = own;
      h[j] = candidate + u * (h_before[j] - candidate);
    }
  }

  static void backward(const T* grad, const T*, const T* h_before, const T*, T* kept, T* gates, T* h_later, T*, long n) {
#pragma GCC ivdep  // no two of the pointers overlap
    for (long j = 0; j < n; j++) {
      const T r = gates[j], u = gates[n + j], candidate = gates[2 * n + j], dh = grad[j] + h_later[j];
      const T dn = dh * (T(1) - u) * (T(1) - candidate * candidate);
      gates[j] = dn * kept[j] * r * (T(1) - r);
      gates[n + j] = dh * (h_before[j] - candidate) * u * (T(1) - u);
      gates[2 * n + j] = dn;
      kept[j] = dn * r;
      h_later[j] = dh * u;
    }
  }
};

template <typename T, typename Cell>
void forward(const Call& s) {
  constexpr long K = Cell::K;
  const long n = s.n, state = s.rows * n, wide_step = s.rows * K * n;
  const T* U = static_cast<const T*>(s.weight);
  const T *h_before = static_cast<const T*>(s.h_before), *c_before = static_cast<const T*>(s.c_before);
  T *H = static_cast<T*>(s.H), *C = static_cast<T*>(s.C), *N = static_cast<T*>(s.N), *A = static_cast<T*>(s.gates);
  const bool has_cell = c_before != nullptr;
  const long width = whole_vectors<T>(K * n);
  const Panels<T> transposed(n, K * n, width, [=](long i, long j) { return U[j * n + i]; });
  over_rows(s.rows, s.n_threads, kRows, [&](long first, long rows, long) {
    std::vector<T> z(rows * width), cells;
    if (has_cell) cells.assign(c_before + first * n, c_before + (first + rows) * n);
    for (long t = 0; t < s.steps; t++) {
      const long kept = s.keeps ? t : 0;
      const T* before = (t ? H + (t - 1) * state : h_before) + first * n;
      transposed.template multiply<Into::kNew>(rows, {before, n, 1}, z.data(), width);
      for (long row = 0; row < rows; row++) {
        const long at = (first + row) * n;
        T* c = has_cell ? C + kept * state + at : nullptr;
        Cell::forward(A + t * wide_step + K * at, z.data() + row * width, static_cast<const T*>(s.bias),
                      has_cell ? cells.data() + row * n : before + row * n, H + t * state + at, c,
                      has_cell ? nullptr : N + kept * state + at, n);
        if (has_cell) std::copy(c, c + n, cells.data() + row * n);
      }
    }
  });
}

template <typename T, typename Cell>
void backward(const Call& s) {
  constexpr long K = Cell::K;
  const long n = s.n, state = s.rows * n, wide_step = s.rows * K * n;
  const T *U = static_cast<const T*>(s.weight), *G = static_cast<const T*>(s.G);
  const T *h_before = static_cast<const T*>(s.h_before), *c_before = static_cast<const T*>(s.c_before);
  const T *H = static_cast<const T*>(s.H), *C = static_cast<const T*>(s.C);
  T *N = static_cast<T*>(s.N), *A = static_cast<T*>(s.gates);
  T *h_later = static_cast<T*>(s.h_later), *c_later = static_cast<T*>(s.c_later);
  const long width = whole_vectors<T>(n), n_direct = (N ? K - 1 : K) * n;
  const auto element = [=](long i, long j) { return U[i * n + j]; };
  const Panels<T> weight(n_direct, n, width, element);
  // a GRU's candidate gate reaches U_n h through the reset gate
  const Panels<T> reset_weight(K * n - n_direct, n, width, [=](long i, long j) { return element(n_direct + i, j); });
  over_rows(s.rows, s.n_threads, kRows, [&](long first, long rows, long) {
    std::vector<T> sum(rows * width);
    for (long t = s.steps - 1; t >= 0; t--) {
      T* gates = A + t * wide_step + first * K * n;
      for (long row = 0; row < rows; row++) {
        const long at = (first + row) * n;
        Cell::backward(G + t * state + at, c_before ? (t ? C + (t - 1) * state : c_before) + at : nullptr,
                       (t ? H + (t - 1) * state : h_before) + at, c_before ? C + t * state + at : nullptr,
                       N ? N + t * state + at : nullptr, gates + row * K * n, h_later + at,
                       c_later ? c_later + at : nullptr, n);
      }
      weight.template multiply<Into::kNew>(rows, {gates, K * n, 1}, sum.data(), width);
      if (N) reset_weight.template multiply<Into::kSum>(rows, {N + t * state + first * n, n, 1}, sum.data(), width);
      for (long row = 0; row < rows; row++)
        for (long j = 0; j < n; j++) h_later[(first + row) * n + j] += sum[row * width + j];
    }
  });
}

}  // namespace
}  // namespace seqbench

#define SEQBENCH_GATED(cell, Cell, T)                                                                               \
  extern "C" void seqbench_##cell##_forward_##T(const seqbench::Call* s) { seqbench::forward<T, seqbench::Cell<T>>(*s); } \
  extern "C" void seqbench_##cell##_backward_##T(const seqbench::Call* s) { seqbench::backward<T, seqbench::Cell<T>>(*s); }

SEQBENCH_GATED(lstm, Lstm, float)
SEQBENCH_GATED(lstm, Lstm, double)
SEQBENCH_GATED(gru, Gru, float)
SEQBENCH_GATED(gru, Gru, double)
