// A vector that is rounded to few levels, and its product with a packed matrix.

#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "packed_products.h"

namespace seqbench {

// How a number becomes a code, as quantizer/grid.py says: t = x / scale, code = clip(round((t + shift) slope) + offset, 0,
// top), or whether x >= 0; it stands for scale (factor code - zero) / divisor.
struct Coder {
  long scale;  // 0: one, 1: the largest size of a row, 2: the mean size of a row
  long sign;
  double shift, slope;
  long offset, top, factor, zero, divisor;
};

// W (rows x n), packed; a code stands for scale[row] (factor code - zero) / divisor.
struct Matrix {
  const void* data;
  const void* codes;  // int32 (rows): a row's codes, added up
  const void* scale;  // (rows)
  long rows, n, bits, factor, zero, divisor;
};

template <typename T>
class Vector {
 public:
  Vector(const Coder& coder, const Matrix& matrix)
      : coder(coder), n(matrix.n), packs(matrix.bits == 1), codes(filled(matrix.n, kBitColumns), 0),
        words(packs ? codes.size() / kBitColumns : 0) {}

  void encode(const T* x) {
    scale = scale_of(x);
    const T divided = scale > T(0) ? scale : T(1), shift = T(coder.shift), slope = T(coder.slope), offset = T(coder.offset);
    const T top = T(coder.top);
    if (coder.sign) {
      for (long j = 0; j < n; j++) codes[j] = x[j] >= T(0);
    } else {
      for (long j = 0; j < n; j++) {
        const T code = std::nearbyint((x[j] / divided + shift) * slope) + offset;
        codes[j] = static_cast<uint8_t>(static_cast<int>(std::min(std::max(code, T(0)), top)));
      }
    }
    sum = 0;
    for (long j = 0; j < n; j++) sum += codes[j];
    for (size_t w = 0; w < words.size(); w++) {
      uint64_t word = 0;
      for (long j = 0; j < kBitColumns; j++) word |= static_cast<uint64_t>(codes[w * kBitColumns + j]) << j;
      words[w] = word;
    }
  }

  // What the codes stand for
  void decode(T* x) const {
    for (long j = 0; j < n; j++) x[j] = scale * (T(coder.factor * codes[j] - coder.zero) / T(coder.divisor));
  }

  const Coder& coder;
  long n;
  bool packs;
  std::vector<uint8_t> codes;
  std::vector<uint64_t> words;
  T scale = T(1);
  int32_t sum = 0;

  static long filled(long size, long whole) { return (size + whole - 1) / whole * whole; }

 private:
  T scale_of(const T* x) const {
    constexpr long kLanes = 32;  // apart, or the order of the additions would keep a compiler from vectors
    if (coder.scale == 0) return T(1);
    T part[kLanes] = {};
    long j = 0;
    if (coder.scale == 1) {
      for (; j + kLanes <= n; j += kLanes)
        for (long l = 0; l < kLanes; l++) part[l] = std::max(part[l], std::fabs(x[j + l]));
      for (; j < n; j++) part[0] = std::max(part[0], std::fabs(x[j]));
      return *std::max_element(part, part + kLanes);
    }
    for (; j + kLanes <= n; j += kLanes)
      for (long l = 0; l < kLanes; l++) part[l] += std::fabs(x[j + l]);
    for (; j < n; j++) part[0] += std::fabs(x[j]);
    T total = T(0);
    for (long l = 0; l < kLanes; l++) total += part[l];
    return total / T(n);
  }
};

template <typename T>
class Product {
 public:
  explicit Product(const Matrix& matrix) : matrix(matrix), unit(matrix.rows) {
    const T* scale = static_cast<const T*>(matrix.scale);
    for (long k = 0; k < matrix.rows; k++) unit[k] = scale[k] / T(matrix.divisor);
    sums.resize(Vector<T>::filled(matrix.rows, kNibbleRows));
    counts.resize(matrix.bits == 1 ? sums.size() : 0);
  }

  // The sum of the products of what is left of the scales and divisors: whole numbers, sums[0 .. rows)
  void whole(const Vector<T>& x) {
    const long n = matrix.n, rows = matrix.rows;
    if (matrix.bits == 1) {
      const auto* data = static_cast<const uint64_t*>(matrix.data);
      const long words = Vector<T>::filled(n, kBitColumns) / kBitColumns;
      bit_counts(data, Vector<T>::filled(rows, kBitRows) / kBitRows, words, x.words.data(), counts.data());
      for (long k = 0; k < rows; k++) sums[k] = static_cast<int32_t>(n - 2 * counts[k]);
      return;
    }
    const auto* data = static_cast<const uint8_t*>(matrix.data);
    const auto* codes = static_cast<const int32_t*>(matrix.codes);
    const long blocks = Vector<T>::filled(n, kNibbleColumns) / kNibbleColumns;
    nibble_sums(data, Vector<T>::filled(rows, kNibbleRows) / kNibbleRows, blocks, x.codes.data(), sums.data());
    const int32_t both = static_cast<int32_t>(matrix.factor * x.coder.factor);
    const int32_t of_row = static_cast<int32_t>(matrix.factor * x.coder.zero);
    const int32_t all = static_cast<int32_t>(n * matrix.zero * x.coder.zero - matrix.zero * x.coder.factor * x.sum);
#pragma GCC ivdep
    for (long k = 0; k < rows; k++) sums[k] = both * sums[k] - of_row * codes[k] + all;
  }

  // out += W x
  void add(const Vector<T>& x, T* out) {
    whole(x);
    const T scale = x.scale / T(x.coder.divisor);
#pragma GCC ivdep
    for (long k = 0; k < matrix.rows; k++) out[k] += T(sums[k]) * (unit[k] * scale);
  }

  std::vector<int32_t> sums;

 private:
  const Matrix& matrix;
  std::vector<T> unit;
  std::vector<int64_t> counts;
};

}  // namespace seqbench
