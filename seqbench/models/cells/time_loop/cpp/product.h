// Small matrix products on contiguous or strided data, tiled so that the sums stay in registers.

#pragma once

#include <cstring>

namespace seqbench {

#if defined(__AVX512F__)
constexpr int kVectorBytes = 64, kRows = 8;  // 8 x 3 accumulators of 32 registers
#elif defined(__AVX__)
constexpr int kVectorBytes = 32, kRows = 4;  // 4 x 3 of 16
#else
constexpr int kVectorBytes = 16, kRows = 4;
#endif

template <typename T, int W>
struct Vector {
  typedef T type __attribute__((vector_size(W * sizeof(T))));
};

template <typename V, typename T>
inline V load(const T* p) {
  V v;
  std::memcpy(&v, p, sizeof v);
  return v;
}

template <typename V, typename T>
inline void store(T* p, V v) {
  std::memcpy(p, &v, sizeof v);
}

// A view of a left-hand matrix: element (i, k) lies at data[i * row + k * column].
template <typename T>
struct Left {
  const T* data;
  long row, column;
};

// c (M x NV vectors of W) = a (M x K) b (K x NV vectors of W), added to what is there if kAdd
template <bool kAdd, typename T, int W, int M, int NV>
inline void tile(long K, Left<T> a, const T* b, long ldb, T* c, long ldc) {
  using V = typename Vector<T, W>::type;
  V sum[M][NV];
  for (int i = 0; i < M; i++)
    for (int j = 0; j < NV; j++) sum[i][j] = kAdd ? load<V>(c + i * ldc + j * W) : V{};
  for (long k = 0; k < K; k++) {
    V right[NV];
    for (int j = 0; j < NV; j++) right[j] = load<V>(b + k * ldb + j * W);
    for (int i = 0; i < M; i++) {
      const T left = a.data[i * a.row + k * a.column];
      for (int j = 0; j < NV; j++) sum[i][j] += left * right[j];
    }
  }
  for (int i = 0; i < M; i++)
    for (int j = 0; j < NV; j++) store(c + i * ldc + j * W, sum[i][j]);
}

template <bool kAdd, typename T, int W, int NV>
inline void panel(long M, long K, Left<T> a, const T* b, long ldb, T* c, long ldc) {
  long i = 0;
  for (; i + kRows <= M; i += kRows)
    tile<kAdd, T, W, kRows, NV>(K, {a.data + i * a.row, a.row, a.column}, b, ldb, c + i * ldc, ldc);
  if constexpr (kRows > 4)
    for (; i + 4 <= M; i += 4)
      tile<kAdd, T, W, 4, NV>(K, {a.data + i * a.row, a.row, a.column}, b, ldb, c + i * ldc, ldc);
  for (; i + 2 <= M; i += 2)
    tile<kAdd, T, W, 2, NV>(K, {a.data + i * a.row, a.row, a.column}, b, ldb, c + i * ldc, ldc);
  if (i < M) tile<kAdd, T, W, 1, NV>(K, {a.data + i * a.row, a.row, a.column}, b, ldb, c + i * ldc, ldc);
}

// c (M x N) = or += a (M x K) b (K x N). Panels of three vectors first; what is left over in halves of a vector.
template <bool kAdd, typename T, int W>
void multiply(long M, long N, long K, Left<T> a, const T* b, long ldb, T* c, long ldc) {
  long j = 0;
  for (; j + 3 * W <= N; j += 3 * W) panel<kAdd, T, W, 3>(M, K, a, b + j, ldb, c + j, ldc);
  for (; j + 2 * W <= N; j += 2 * W) panel<kAdd, T, W, 2>(M, K, a, b + j, ldb, c + j, ldc);
  for (; j + W <= N; j += W) panel<kAdd, T, W, 1>(M, K, a, b + j, ldb, c + j, ldc);
  if constexpr (W > 1)
    if (j < N) multiply<kAdd, T, W / 2>(M, N - j, K, a, b + j, ldb, c + j, ldc);
}

enum class Into { kSum, kNew };

template <Into into, typename T>
void product(long M, long N, long K, Left<T> a, const T* b, long ldb, T* c, long ldc) {
  multiply<into == Into::kSum, T, kVectorBytes / sizeof(T)>(M, N, K, a, b, ldb, c, ldc);
}

}  // namespace seqbench
