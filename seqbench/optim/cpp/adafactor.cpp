// A step of Adafactor on contiguous tensors on the CPU, as ../adafactor.py defines it. Called through ../native.py.
//
// Two passes over a matrix G (n, m), and a float32 tensor costs 20 bytes an element: G twice, X twice, X written. The
// first pass forms R row by row. A row that is still in the cache is read again at once, now that its R_i is known, into
// S_j = sum_i G_ij^2 / R_i: with C at the end of the pass, sum_ij U_ij^2 = mean(R) sum_j S_j / C_j, so U need not exist.
// The second pass updates X, from the end to the start: what the first has read last is still in the cache.
//
// Large tensors are split among the threads, small ones dealt out. What threads have summed is added in double.

#include <algorithm>
#include <cmath>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>

#include "sums.h"

namespace seqbench {
namespace {

constexpr long kRows = 4;          // of which the sums are taken together
constexpr long kBlock = 64;        // rows after which sums over rows go into a double
constexpr long kShared = 1 << 17;  // elements from which on threads share a tensor

// A tensor of `matrices` matrices (n, m), with `row` and `column`; or of n elements, with `square`. As in native.py.
struct Item {
  void* weight;
  const void* grad;
  void *row, *column, *square;
  void* mean;  // or null
  long matrices, n, m;
  double mix;   // of the new squares, into the moving averages
  double rate;  // before it is scaled
};

struct Settings {
  long n_items, n_threads, scale_parameter;
  double eps1, eps2;
  double clip_threshold;  // 0: none
  double beta1, weight_decay;
};

class Barrier {
 public:
  explicit Barrier(long size) : size_(size) {}
  void wait() {
    std::unique_lock<std::mutex> lock(mutex_);
    const long round = round_;
    if (++waiting_ == size_) {
      waiting_ = 0;
      round_++;
      all_.notify_all();
    } else {
      all_.wait(lock, [&] { return round_ != round; });
    }
  }

 private:
  std::mutex mutex_;
  std::condition_variable all_;
  long size_, waiting_ = 0, round_ = 0;
};

// What a thread sums: squares of the columns, those normalized by row (the S above), of X and of U.
template <typename T>
struct Sums {
  explicit Sums(long m) : columns(m), normalized(m), block(m), normalized_block(std::max(m, kStrip)) {}
  std::vector<double> columns, normalized;
  std::vector<T> block, normalized_block;  // of the rows at hand; scratch for the rest
  double x = 0, u = 0;
};

// The threads that work on a tensor: all of them, or one.
template <typename T>
struct Team {
  long index, size;
  Barrier* barrier;
  Sums<T>* sums;

  Sums<T>& own() const { return sums[index]; }
  void wait() const {
    if (size > 1) barrier->wait();
  }
  long edge(long n, long grain, long i) const {
    const long each = (n + size - 1) / size;
    return std::min(n, i * ((each + grain - 1) / grain * grain));
  }
  long first(long n, long grain) const { return edge(n, grain, index); }
  long last(long n, long grain) const { return edge(n, grain, index + 1); }
};

// As torch's lerp; both forms are exact at their end.
template <typename T>
inline T moved(T from, T to, T mix) {
  return mix < T(0.5) ? from + mix * (to - from) : to - (to - from) * (1 - mix);
}

// Unlike std::max, NaN stays NaN.
inline double at_least(double value, double bound) { return value < bound ? bound : value; }

template <typename T>
double mean_of(const T* x, long n) {
  double sum = 0;
  for (long i = 0; i < n; i++) sum += x[i];
  return sum / n;
}

template <typename T>
void add_and_clear(std::vector<T>& block, std::vector<double>& sums, long m) {
  for (long j = 0; j < m; j++) sums[j] += block[j], block[j] = 0;
}

// Averages of a matrix's squares, and its part of the sum of U^2.
template <typename T>
void average_matrix(const Settings& s, const Item& item, long matrix, const Team<T>& team) {
  const long n = item.n, m = item.m;
  const T* g = static_cast<const T*>(item.grad) + matrix * n * m;
  const T* x = static_cast<const T*>(item.weight) + matrix * n * m;
  T* row = static_cast<T*>(item.row) + matrix * n;
  T* column = static_cast<T*>(item.column) + matrix * m;
  Sums<T>& own = team.own();
  std::fill_n(own.columns.begin(), m, 0.0);
  std::fill_n(own.normalized.begin(), m, 0.0);
  std::fill_n(own.block.begin(), m, T(0));
  std::fill_n(own.normalized_block.begin(), m, T(0));

  const auto take = [&](auto n_rows, long i) {
    constexpr long kTaken = decltype(n_rows)::value;
    double sums[kTaken] = {};
    T inverse[kTaken];
    add_squares<kTaken, true>(g + i * m, m, inverse, own.block.data(), sums);
    for (long k = 0; k < kTaken; k++) {
      row[i + k] = T(moved<double>(row[i + k], sums[k] / m + s.eps1, item.mix));
      inverse[k] = T(1 / std::sqrt(double(row[i + k])));
    }
    // normalized before they are squared: no overflow, no underflow
    if (s.clip_threshold) add_squares<kTaken, false>(g + i * m, m, inverse, own.normalized_block.data(), sums);
    if (s.scale_parameter) own.x += sum_of_squares(x + i * m, kTaken * m);
  };
  const long last = team.last(n, kRows);
  for (long first = team.first(n, kRows); first < last; first += kBlock) {
    const long end = std::min(last, first + kBlock);
    long i = first;
    for (; i + kRows <= end; i += kRows) take(std::integral_constant<long, kRows>(), i);
    for (; i < end; i++) take(std::integral_constant<long, 1>(), i);
    add_and_clear(own.block, own.columns, m);
    add_and_clear(own.normalized_block, own.normalized, m);
  }

  team.wait();
  if (team.index == 0) {
    for (long other = 1; other < team.size; other++)
      for (long j = 0; j < m; j++) {
        own.columns[j] += team.sums[other].columns[j];
        own.normalized[j] += team.sums[other].normalized[j];
      }
    double sum = 0;
    for (long j = 0; j < m; j++) {
      column[j] = T(moved<double>(column[j], own.columns[j] / n + s.eps1, item.mix));
      sum += own.normalized[j] / column[j];
    }
    own.u += sum * mean_of(row, n);
  }
  team.wait();
}

template <typename T>
void average_elements(const Settings& s, const Item& item, const Team<T>& team) {
  const T* g = static_cast<const T*>(item.grad);
  T* square = static_cast<T*>(item.square);
  Sums<T>& own = team.own();
  T* u = own.normalized_block.data();
  const T eps1 = T(s.eps1), mix = T(item.mix);
  const long last = team.last(item.n, kStrip);
  for (long first = team.first(item.n, kStrip); first < last; first += kStrip) {
    const long count = std::min(kStrip, last - first);
    for (long i = 0; i < count; i++) {
      const T gradient = g[first + i];
      const T average = moved(square[first + i], gradient * gradient + eps1, mix);
      square[first + i] = average;
      u[i] = gradient * (1 / std::sqrt(average));
    }
    if (s.clip_threshold) own.u += sum_of_squares(u, count);
    if (s.scale_parameter) own.x += sum_of_squares(static_cast<const T*>(item.weight) + first, count);
  }
}

// What the update does to an element, given U's.
template <typename T>
struct Change {
  T scale, decay, momentum;  // alpha over the clipping, alpha times the weight decay, 1 - beta1

  template <bool kMean>
  void apply(T& x, T* mean, T u) const {
    T change = u * scale;
    if constexpr (kMean) change = *mean = moved(*mean, change, momentum);
    x = (x - x * decay) - change;
  }
};

template <bool kMean, typename T>
void update_matrix(const Item& item, long matrix, const Change<T>& change, const Team<T>& team) {
  const long n = item.n, m = item.m;
  const T* __restrict__ g = static_cast<const T*>(item.grad) + matrix * n * m;
  T* __restrict__ x = static_cast<T*>(item.weight) + matrix * n * m;
  T* __restrict__ mean = kMean ? static_cast<T*>(item.mean) + matrix * n * m : nullptr;
  const T* row = static_cast<const T*>(item.row) + matrix * n;
  const T* column = static_cast<const T*>(item.column) + matrix * m;
  T* __restrict__ factor = team.own().block.data();
  for (long j = 0; j < m; j++) factor[j] = 1 / std::sqrt(column[j]);
  const double root = std::sqrt(mean_of(row, n));
  const long first = team.first(n, kRows);
  for (long end = team.last(n, kRows); end > first; end -= kBlock)
    for (long i = std::max(first, end - kBlock); i < end; i++) {
      for (long j = (i + 2) * m, k = 0; k < m; k += 64 / sizeof(T)) {
        __builtin_prefetch(g + j + k);
        __builtin_prefetch(x + j + k);
      }
      // G before the column's factor: the order that keeps float32 in range
      const T row_factor = T(root / std::sqrt(double(row[i])));
      for (long j = i * m, k = 0; k < m; j++, k++)
        change.template apply<kMean>(x[j], mean + j, g[j] * row_factor * factor[k]);
    }
}

template <bool kMean, typename T>
void update_elements(const Item& item, const Change<T>& change, const Team<T>& team) {
  const T* __restrict__ g = static_cast<const T*>(item.grad);
  const T* __restrict__ square = static_cast<const T*>(item.square);
  T* __restrict__ x = static_cast<T*>(item.weight);
  T* __restrict__ mean = static_cast<T*>(item.mean);
  const long last = team.last(item.n, kStrip);
  for (long i = team.first(item.n, kStrip); i < last; i++)
    change.template apply<kMean>(x[i], mean + i, g[i] * (1 / std::sqrt(square[i])));
}

template <bool kMean, typename T>
void update(const Settings& s, const Item& item, const Team<T>& team) {
  // of many small matrices each thread takes some, of few large ones each takes rows
  const bool by_rows = item.n * item.m >= kShared;
  const Team<T> within = by_rows ? team : Team<T>{0, 1, nullptr, &team.own()};
  const long first = by_rows ? 0 : team.first(item.matrices, 1);
  const long last = by_rows ? item.matrices : team.last(item.matrices, 1);
  team.own().x = team.own().u = 0;
  if (item.square) average_elements(s, item, team);
  for (long k = first; k < last; k++) average_matrix(s, item, k, within);
  team.wait();

  const double n = item.square ? item.n : double(item.matrices) * item.n * item.m;
  double x = 0, u = 0;
  for (long i = 0; i < team.size; i++) x += team.sums[i].x, u += team.sums[i].u;
  const double alpha = item.rate * (s.scale_parameter ? at_least(std::sqrt(x / n), s.eps2) : 1);
  const double clip = s.clip_threshold ? at_least(std::sqrt(u / n) / s.clip_threshold, 1) : 1;
  const Change<T> change{T(alpha / clip), T(alpha * s.weight_decay), T(1 - s.beta1)};

  if (item.square) update_elements<kMean>(item, change, team);
  for (long k = last; k-- > first;) update_matrix<kMean>(item, k, change, within);
  team.wait();
}

template <typename T>
void step(const Item* items, const Settings& s) {
  long m = 0, elements = 0;
  for (const Item* item = items; item < items + s.n_items; item++) {
    m = std::max(m, item->m);
    elements += item->square ? item->n : item->matrices * item->n * item->m;
  }
  const long n_threads = std::max(1L, std::min(s.n_threads, elements / kShared));
  std::vector<Sums<T>> sums;
  for (long i = 0; i < n_threads; i++) sums.emplace_back(m);
  Barrier barrier(n_threads);
  const auto work = [&](long index) {
    long small = 0;
    for (const Item* item = items; item < items + s.n_items; item++) {
      const bool shared = (item->square ? item->n : item->matrices * item->n * item->m) >= kShared;
      if (!shared && small++ % n_threads != index) continue;
      const Team<T> team = shared ? Team<T>{index, n_threads, &barrier, sums.data()}
                                  : Team<T>{0, 1, nullptr, sums.data() + index};
      if (item->mean) update<true>(s, *item, team);
      else update<false>(s, *item, team);
    }
  };
  std::vector<std::thread> threads;
  for (long index = 1; index < n_threads; index++) threads.emplace_back(work, index);
  work(0);
  for (auto& thread : threads) thread.join();
}

}  // namespace
}  // namespace seqbench

extern "C" {
void seqbench_adafactor_float(const seqbench::Item* items, const seqbench::Settings* s) {
  seqbench::step<float>(items, *s);
}
void seqbench_adafactor_double(const seqbench::Item* items, const seqbench::Settings* s) {
  seqbench::step<double>(items, *s);
}
}
