// Sums of squares. Their order depends on sizes alone: not on addresses, and not on how wide the processor's vectors are.
//
// Lanes of the tensors' own type take at most a few dozen terms before they go into a double.

#pragma once

#include <algorithm>
#include <cstring>

namespace seqbench {

constexpr long kStrip = 1024;  // columns, or elements, after which lanes are emptied

template <typename T>
struct Lanes {
  static constexpr long kCount = 64 / sizeof(T);
  typedef T type __attribute__((vector_size(64)));
};

template <typename V, typename T>
inline V load(const T* p) {
  V v;
  std::memcpy(&v, p, sizeof v);
  return v;
}

template <typename V, typename T>
inline void add_to(T* p, V v) {
  v += load<V>(p);
  std::memcpy(p, &v, sizeof v);
}

template <typename T>
inline double total(typename Lanes<T>::type lanes) {
  double sum = 0;
  for (long i = 0; i < Lanes<T>::kCount; i++) sum += lanes[i];
  return sum;
}

template <typename T>
inline double sum_of_squares(const T* x, long n) {
  using V = typename Lanes<T>::type;
  constexpr long W = Lanes<T>::kCount;
  double sum = 0;
  for (long start = 0; start < n; start += kStrip) {
    const long end = std::min(n, start + kStrip);
    V lanes[4] = {};
    long i = start;
    for (; i + 4 * W <= end; i += 4 * W)
      for (long k = 0; k < 4; k++) {
        const V v = load<V>(x + i + k * W);
        lanes[k] += v * v;
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
  using V = typename Lanes<T>::type;
  constexpr long W = Lanes<T>::kCount;
  for (long start = 0; start < m; start += kStrip) {
    const long end = std::min(m, start + kStrip);
    V lanes[kRows] = {};
    long j = start;
    for (; j + W <= end; j += W) {
      V column = {};
      for (long i = 0; i < kRows; i++) {
        V v = load<V>(g + i * m + j);
        if (!kRowSums) {
          v *= factor[i];
          __builtin_prefetch(g + (kRows + i) * m + j);  // these rows are in the cache: memory is free for the next ones
        }
        column += v * v;
        if (kRowSums) lanes[i] += v * v;
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
