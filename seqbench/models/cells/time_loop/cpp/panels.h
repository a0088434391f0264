// A right-hand matrix that many products share.

#pragma once

#include <algorithm>
#include <vector>

#include "product.h"

namespace seqbench {

// The columns that hold n of type T and fill whole vectors
template <typename T>
constexpr long whole_vectors(long n) {
  constexpr long vector = kVectorBytes / sizeof(T);
  return (n + vector - 1) / vector * vector;
}

// A matrix (K x n), its rows ended with zeros up to `width`. It is cut into panels of as many columns as a tile takes, one
// after the other: a product reads it in order, however large it is.
template <typename T>
class Panels {
 public:
  static constexpr long kPanel = 3 * kVectorBytes / sizeof(T);  // as wide as a tile

  template <typename Element>
  Panels(long K, long n, long width, Element element) : K(K), width(width), panels(K * width, T(0)) {
    T* out = panels.data();
    for (long first = 0; first < width; first += kPanel) {
      const long wide = std::min(kPanel, width - first), given = std::min(wide, n - first);
      for (long k = 0; k < K; k++, out += wide)
        for (long j = 0; j < given; j++) out[j] = element(k, first + j);
    }
  }

  // c (M x width) = or += a (M x K) times this
  template <Into into>
  void multiply(long M, Left<T> a, T* c, long ldc) const {
    const T* b = panels.data();
    for (long first = 0; first < width; first += kPanel) {
      const long wide = std::min(kPanel, width - first);
      product<into, T>(M, wide, K, a, b, wide, c + first, ldc);
      b += K * wide;
    }
  }

 private:
  long K, width;
  std::vector<T> panels;
};

}  // namespace seqbench
