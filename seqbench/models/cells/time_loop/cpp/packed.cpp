// Layers whose weights are packed in 1 or 4 bits, forward alone, on the CPU. Called through packed.py.
//
// Layouts, row-major and contiguous: gates (steps, rows, K n) with K = 4 (i, f, g, o) for an LSTM and 1 for a tanh RNN,
// states (rows, n), outputs (steps, rows, n).

#include <algorithm>
#include <vector>

#include "exponential.h"
#include "packed_vector.h"
#include "rows.h"

namespace seqbench {
namespace {

// One call. As packed.py's structure of the same name.
struct Call {
  Matrix weight;
  Coder coder;
  long steps, rows, n_threads;
  const void* x;         // linear: (rows, n)
  void* out;             // linear: (rows, K), which W x is added to
  void* whole;           // linear: int32 (rows, K), the whole numbers of it; or null
  void* gates;           // what the inputs give to them; overwritten
  const void* h_before;  // (rows, n)
  void* c;               // LSTM: (rows, n), the cell before, then the last one
  void* H;               // outputs, quantised
};

template <typename T>
void linear(const Call& s) {
  const long n = s.weight.n, K = s.weight.rows;
  over_rows(s.rows, s.n_threads, 8, [&](long first, long rows, long) {
    Vector<T> x(s.coder, s.weight);
    Product<T> product(s.weight);
    for (long row = first; row < first + rows; row++) {
      x.encode(static_cast<const T*>(s.x) + row * n);
      if (s.whole) {
        product.whole(x);
        std::copy(product.sums.begin(), product.sums.begin() + K, static_cast<int32_t*>(s.whole) + row * K);
      } else {
        product.add(x, static_cast<T*>(s.out) + row * K);
      }
    }
  });
}

template <typename T>
void lstm_step(const T* gates, T* c, T* h, long n) {
#pragma GCC ivdep  // no two of the pointers overlap
  for (long j = 0; j < n; j++) {
    const T i = logistic(gates[j]), f = logistic(gates[n + j]);
    const T g = tanh_of(gates[2 * n + j]), o = logistic(gates[3 * n + j]);
    c[j] = f * c[j] + i * g;
    h[j] = o * tanh_of(c[j]);
  }
}

template <typename T>
void rnn_step(const T* gates, T*, T* h, long n) {
  for (long j = 0; j < n; j++) h[j] = tanh_of(gates[j]);
}

template <typename T, void (*step)(const T*, T*, T*, long)>
void loop(const Call& s) {
  const long n = s.weight.n, K = s.weight.rows;
  T *A = static_cast<T*>(s.gates), *H = static_cast<T*>(s.H), *C = static_cast<T*>(s.c);
  over_rows(s.rows, s.n_threads, 1, [&](long first, long rows, long) {
    Vector<T> h(s.coder, s.weight);
    Product<T> product(s.weight);
    std::vector<T> real(n);
    for (long row = first; row < first + rows; row++) {
      h.encode(static_cast<const T*>(s.h_before) + row * n);
      for (long t = 0; t < s.steps; t++) {
        T* gates = A + (t * s.rows + row) * K;
        product.add(h, gates);
        step(gates, C ? C + row * n : nullptr, real.data(), n);
        h.encode(real.data());
        h.decode(H + (t * s.rows + row) * n);
      }
    }
  });
}

}  // namespace
}  // namespace seqbench

#define SEQBENCH_PACKED(T)                                                                                         \
  extern "C" void seqbench_packed_linear_##T(const seqbench::Call* s) { seqbench::linear<T>(*s); }                 \
  extern "C" void seqbench_packed_lstm_##T(const seqbench::Call* s) { seqbench::loop<T, seqbench::lstm_step<T>>(*s); } \
  extern "C" void seqbench_packed_rnn_##T(const seqbench::Call* s) { seqbench::loop<T, seqbench::rnn_step<T>>(*s); }

SEQBENCH_PACKED(float)
SEQBENCH_PACKED(double)
