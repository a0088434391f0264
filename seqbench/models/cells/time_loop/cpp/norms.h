// How the sums of a step are normalised, forward and back: N(z) = (z - mean) / sqrt(variance + eps).
//
//   Columns  statistics of each feature over the rows of the batch, or given ones
//   Rows     statistics of each row over its features, at that step and those of a window before it
//   Both     row_weight times that of Rows plus column_weight times that of Columns
//
// A place without a norm keeps its sums. `measure` takes a place's sums z (rows x features) at step t; then `of` says
// what normalises a row. On the way back, from the last step: `recall` a step, `add` each row's dy and z of a place, then
// `back` gives dz, which may lie in dy's place.

#pragma once

#include <cmath>
#include <vector>

#include "normalised.h"

namespace seqbench {

// The sum of element(j) over n numbers, in partial sums, since a compiler keeps the order of a single one
template <typename T, typename Element>
inline T sum_over(long n, Element element) {
  constexpr long kParts = 4 * kVectorBytes / sizeof(T);
  T parts[kParts] = {};
  long first = 0;
  for (; first + kParts <= n; first += kParts)
    for (long j = 0; j < kParts; j++) parts[j] += element(first + j);
  T sum = T(0);
  for (long j = 0; j < kParts; j++) sum += parts[j];
  for (; first < n; first++) sum += element(first);
  return sum;
}

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

template <typename T>
class Columns {
 public:
  explicit Columns(const Call& s) : s(s), scales(9 * s.n, T(1)), zeros(K * s.n, T(0)) {}

  struct Of {
    const T *mean, *scale;
    T operator()(T z, long j) const { return (z - mean[j]) * scale[j]; }
  };

  void measure(long t, Place place, const T* z, long row_length) {
    if (!s.normalises[place]) return;
    const long at = t * 9 * s.n + first_of(place, s.n), n = features_of(place, s.n);
    T* variance = static_cast<T*>(s.variance) + at;
    if (s.of_batch) moments(s.rows, z, row_length, n, static_cast<T*>(s.mean) + at, variance);
    inverse_deviations(place, variance);
  }

  Of of(long t, Place place, long) const {
    const T* mean = static_cast<const T*>(s.mean) + t * 9 * s.n + first_of(place, s.n);
    return {s.normalises[place] ? mean : zeros.data(), scales.data() + first_of(place, s.n)};
  }

  void recall(long t) {
    for (Place place : {kHidden, kInput, kCell})
      if (s.normalises[place])
        inverse_deviations(place, static_cast<const T*>(s.variance) + t * 9 * s.n + first_of(place, s.n));
  }

  void add(long, Place, long, const T*, const T*) {}

  // The sums of dy and of dy N(z) over the rows are in the caller's hands, since biases and gains need them, too.
  void back(long t, Place place, long row, const T* gain, const T* sum, const T* normalised_sum, const T* dy, const T* z,
            T* dz) {
    const T share = s.of_batch && s.normalises[place] ? T(1) / T(s.rows) : T(0);  // given ones pass no gradient on
    const long n = features_of(place, s.n);
    const Of normalised = of(t, place, row);
#pragma GCC ivdep  // dz may be dy, number by number
    for (long j = 0; j < n; j++)
      dz[j] = gain[j] * normalised.scale[j] * (dy[j] - share * (sum[j] + normalised(z[j], j) * normalised_sum[j]));
  }

  void finish() {}

 private:
  void inverse_deviations(Place place, const T* variance) {
    T* scale = scales.data() + first_of(place, s.n);
    for (long j = 0; j < features_of(place, s.n); j++) scale[j] = T(1) / std::sqrt(variance[j] + T(s.eps));
  }

  const Call& s;
  std::vector<T> scales, zeros;
};

template <typename T>
class Rows {
 public:
  explicit Rows(const Call& s)
      : s(s), before(s.remembered), all(s.remembered + s.steps), of_own(kPlaces * all * s.rows),
        of_used(kPlaces * s.steps * s.rows), mean_grads(s.own_grad ? of_used : 0), variance_grads(mean_grads.size()) {}

  struct Of {
    T mean, scale;
    T operator()(T z, long) const { return (z - mean) * scale; }
  };

  void measure(long t, Place place, const T* z, long row_length) {
    if (!s.normalises[place]) return;
    const long n = features_of(place, s.n);
    for (long row = 0; row < s.rows; row++, z += row_length) {
      const T mean = sum_over<T>(n, [=](long j) { return z[j]; }) / T(n);
      T& variance = own(1, place, before + t, row);
      own(0, place, before + t, row) = mean;
      variance = sum_over<T>(n, [=](long j) { return (z[j] - mean) * (z[j] - mean); }) / T(n);
      T middle = T(0), spread = T(0);
      for (long i = first(t); i <= before + t; i++) middle += own(0, place, i, row);
      middle /= count(t);
      for (long i = first(t); i <= before + t; i++) {
        const T distance = own(0, place, i, row) - middle;
        spread += own(1, place, i, row) + distance * distance;
      }
      used(0, place, t, row) = middle;
      used(1, place, t, row) = T(1) / std::sqrt(spread / count(t) + T(s.eps));
    }
  }

  Of of(long t, Place place, long row) const {
    if (!s.normalises[place]) return {T(0), T(1)};
    return {used(0, place, t, row), used(1, place, t, row)};
  }

  void recall(long) {}
  void add(long, Place, long, const T*, const T*) {}

  void back(long t, Place place, long row, const T* gain, const T*, const T*, const T* dy, const T* z, T* dz) {
    const long n = features_of(place, s.n);
    const Of normalised = of(t, place, row);
    const T scale = normalised.scale;
    T constant = T(0), slope = T(0), mean = T(0);  // what a feature's own moments pass on: constant + slope (z - mean)
    if (s.normalises[place]) {
      const T sum = sum_over<T>(n, [=](long j) { return gain[j] * dy[j]; });
      const T normalised_sum = sum_over<T>(n, [=](long j) { return gain[j] * dy[j] * normalised(z[j], j); });
      const long at = (place * s.steps + t) * s.rows + row;
      mean_grads[at] = -scale * sum / count(t);
      variance_grads[at] = -scale * scale * normalised_sum / (T(2) * count(t));
      mean = own(0, place, before + t, row);
      moment_gradients(place, before + t, row);
      constant = own_grad(0, place, before + t, row) / T(n);
      slope = T(2) * own_grad(1, place, before + t, row) / T(n);
    }
#pragma GCC ivdep  // dz may be dy, number by number
    for (long j = 0; j < n; j++) dz[j] = gain[j] * dy[j] * scale + constant + slope * (z[j] - mean);
  }

  // The gradient of what was remembered before the first step
  void finish() {
    for (Place place : {kHidden, kInput, kCell})
      for (long i = 0; i < before && s.normalises[place]; i++)
        for (long row = 0; row < s.rows; row++) moment_gradients(place, i, row);
  }

 private:
  // Adds to the gradient of the mean and variance of the i-th of all steps those of the windows that have it.
  void moment_gradients(Place place, long i, long row) {
    const T mean = own(0, place, i, row);
    T &mean_grad = own_grad(0, place, i, row), &variance_grad = own_grad(1, place, i, row);
    for (long t = std::max(i - before, 0L); t < std::min(i - before + s.window, s.steps); t++) {
      const long at = (place * s.steps + t) * s.rows + row;
      mean_grad += mean_grads[at] + T(2) * variance_grads[at] * (mean - used(0, place, t, row));
      variance_grad += variance_grads[at];
    }
  }

  long first(long t) const { return std::max(before + t + 1 - s.window, 0L); }
  T count(long t) const { return T(before + t + 1 - first(t)); }

  T& own(int moment, Place place, long i, long row) const { return at(s.own, moment * of_own, place * all + i, row); }
  T& own_grad(int moment, Place place, long i, long row) const {
    return at(s.own_grad, moment * of_own, place * all + i, row);
  }
  T& used(int which, Place place, long t, long row) const {
    return at(s.used, which * of_used, place * s.steps + t, row);
  }
  T& at(void* array, long start, long line, long row) const {
    return static_cast<T*>(array)[start + line * s.rows + row];
  }

  const Call& s;
  const long before, all, of_own, of_used;
  std::vector<T> mean_grads, variance_grads;  // of what normalises a step, divided by the steps of its window
};

template <typename T>
class Both {
 public:
  explicit Both(const Call& s)
      : s(s), rows(s), columns(s), column_sums(9 * s.n), part(K * s.n), row_weight(s.row_weight),
        column_weight(s.column_weight) {}

  struct Of {
    typename Rows<T>::Of of_row;
    typename Columns<T>::Of of_column;
    T row_weight, column_weight;
    T operator()(T z, long j) const { return row_weight * of_row(z, j) + column_weight * of_column(z, j); }
  };

  void measure(long t, Place place, const T* z, long row_length) {
    rows.measure(t, place, z, row_length);
    columns.measure(t, place, z, row_length);
  }

  Of of(long t, Place place, long row) const {
    // a place without a norm is kept once, not twice
    const T own = s.normalises[place] ? row_weight : T(1), others = s.normalises[place] ? column_weight : T(0);
    return {rows.of(t, place, row), columns.of(t, place, row), own, others};
  }

  void recall(long t) {
    columns.recall(t);
    std::fill(column_sums.begin(), column_sums.end(), T(0));
  }

  void add(long t, Place place, long row, const T* dy, const T* z) {
    T* sum = column_sums.data() + first_of(place, s.n);
    const long n = features_of(place, s.n);
    const auto normalised = columns.of(t, place, row);
#pragma GCC ivdep  // no two of the pointers overlap
    for (long j = 0; j < n; j++) sum[j] += dy[j] * normalised(z[j], j);
  }

  void back(long t, Place place, long row, const T* gain, const T* sum, const T*, const T* dy, const T* z, T* dz) {
    const Of weights = of(t, place, row);
    rows.back(t, place, row, gain, nullptr, nullptr, dy, z, part.data());
    columns.back(t, place, row, gain, sum, column_sums.data() + first_of(place, s.n), dy, z, dz);
    for (long j = 0, n = features_of(place, s.n); j < n; j++)
      dz[j] = weights.row_weight * part[j] + weights.column_weight * dz[j];
  }

  void finish() {}

 private:
  const Call& s;
  Rows<T> rows;
  Columns<T> columns;
  std::vector<T> column_sums, part;
  const T row_weight, column_weight;
};

}  // namespace seqbench
