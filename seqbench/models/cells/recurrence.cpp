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
#include <thread>
#include <vector>

namespace {

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

// ---- nonlinearities: z becomes f(z) in place; the gradient of h = f(z) becomes that of z ----

enum Nonlinearity { kModReLU = 0, kComplexModReLU = 1, kTanh = 2 };

// modReLU(z) = z / |z| max(|z| + b, 0), and 0 at 0 (Arjovsky et al. 2016)
template <typename T>
void modrelu(T* z, const T* bias, long n) {
  for (long i = 0; i < n; i++) {
    const T size = std::max(std::abs(z[i]) + bias[i], T(0));
    z[i] = z[i] == T(0) ? T(0) : std::copysign(size, z[i]);
  }
}

template <typename T>
void complex_modrelu(T* real, T* imaginary, const T* bias, long n) {
  for (long i = 0; i < n; i++) {
    const T size = std::sqrt(real[i] * real[i] + imaginary[i] * imaginary[i]);
    const T scale = size > T(0) ? std::max(size + bias[i], T(0)) / size : T(0);
    real[i] *= scale;
    imaginary[i] *= scale;
  }
}

// h is zero exactly where the unit is off, and has the sign of z where it is on.
template <typename T>
void modrelu_back(const T* h, T* delta, T* bias_sum, long n) {
  for (long i = 0; i < n; i++) {
    delta[i] = h[i] == T(0) ? T(0) : delta[i];
    bias_sum[i] += h[i] < T(0) ? -delta[i] : delta[i];
  }
}

// Along z the slope is 1, across it |h| / |z|, with |z| = |h| - b.
template <typename T>
void complex_modrelu_back(const T* h_real, const T* h_imaginary, const T* bias, T* real, T* imaginary, T* bias_sum,
                          long n) {
  for (long i = 0; i < n; i++) {
    const T size = std::sqrt(h_real[i] * h_real[i] + h_imaginary[i] * h_imaginary[i]);
    const T inverse = size > T(0) ? T(1) / size : T(0), before = size - bias[i];
    const T across = before > T(0) ? size / before : T(0);
    const T u_real = h_real[i] * inverse, u_imaginary = h_imaginary[i] * inverse;
    const T along = real[i] * u_real + imaginary[i] * u_imaginary;
    const T on = size > T(0) ? T(1) : T(0);
    real[i] = on * (along * u_real + across * (real[i] - along * u_real));
    imaginary[i] = on * (along * u_imaginary + across * (imaginary[i] - along * u_imaginary));
    bias_sum[i] += along;
  }
}

template <typename T>
void tanh_back(const T* h, T* delta, T* bias_sum, long n) {
  for (long i = 0; i < n; i++) {
    delta[i] *= T(1) - h[i] * h[i];
    bias_sum[i] += delta[i];
  }
}

// ---- linear maps of a state: h -> h W forward, delta -> delta W^H back ----

// W (n x n), padded to `width` columns with zeros. Both products read copies cut into panels, whose rows are contiguous.
template <typename T>
struct Dense {
  long n, width;
  std::vector<T> forward_panels, backward_panels;
  static constexpr long kPanel = 3 * kVectorBytes / sizeof(T);

  Dense(long n, long width, const T* weight) : n(n), width(width) {
    forward_panels = packed([&](long k, long j) { return weight[k * n + j]; });
    backward_panels = packed([&](long k, long j) { return weight[j * n + k]; });
  }

  template <typename Element>
  std::vector<T> packed(Element element) const {
    std::vector<T> panels(n * width, T(0));
    T* out = panels.data();
    for (long first = 0; first < width; first += kPanel) {
      const long wide = std::min(kPanel, width - first);
      for (long k = 0; k < n; k++, out += wide)
        for (long j = 0; j < wide && first + j < n; j++) out[j] = element(k, first + j);
    }
    return panels;
  }

  template <Into into>
  void times(long rows, const T* in, const std::vector<T>& panels, T* out) const {
    const T* b = panels.data();
    for (long first = 0; first < width; first += kPanel) {
      const long wide = std::min(kPanel, width - first);
      product<into, T>(rows, wide, n, {in, width, 1}, b, wide, out + first, width);
      b += n * wide;
    }
  }

  struct Scratch {
    std::vector<T> grad, columns;  // grad is width x width: whole tiles
  };
  Scratch scratch() const { return {std::vector<T>(width * width, T(0)), {}}; }
  void add_grad(const Scratch& s, T* out) const {
    for (long i = 0; i < n && !s.grad.empty(); i++)
      for (long j = 0; j < n; j++) out[i * n + j] += s.grad[i * width + j];
  }
  void forward(long rows, const T* h, T* z, Scratch&) const {
    times<Into::kSum>(rows, h, forward_panels, z);
  }
  void backward(long rows, const T* h, const T* delta, T* later, Scratch& s) const {
    times<Into::kNew>(rows, delta, backward_panels, later);
    // grad W += h^T delta. The columns of h are copied into blocks that a tile reads in order.
    s.columns.resize(rows * width);
    for (long k = 0; k < rows; k++)
      for (long i = 0; i < width; i += kRows)
        std::memcpy(s.columns.data() + i * rows + k * kRows, h + k * width + i, kRows * sizeof(T));
    for (long first = 0; first < width; first += kPanel)
      for (long i = 0; i < width; i += kRows)
        product<Into::kSum, T>(kRows, std::min(kPanel, width - first), rows, {s.columns.data() + i * rows, 1, kRows},
                               delta + first, width, s.grad.data() + i * width + first, width);
  }
};

// W = A (x) C, A (P x P) the slower-varying factor: a row's state is a P x Q matrix X and becomes A X C^T. Complex
// matrices are given as real parts, then imaginary parts.
template <typename T>
struct Kronecker {
  long P, Q;
  bool complex;
  const T *a, *c;
  std::vector<T> minus_a, minus_c, c_transposed, minus_c_transposed;

  Kronecker(long P, long Q, bool complex, const T* a, const T* c) : P(P), Q(Q), complex(complex), a(a), c(c) {
    const long planes = complex ? 2 : 1;
    minus_a.resize(planes * P * P);
    for (long i = 0; i < planes * P * P; i++) minus_a[i] = -a[i];
    minus_c.resize(planes * Q * Q);
    for (long i = 0; i < planes * Q * Q; i++) minus_c[i] = -c[i];
    c_transposed.resize(planes * Q * Q);
    minus_c_transposed.resize(planes * Q * Q);
    for (long plane = 0; plane < planes; plane++)
      for (long i = 0; i < Q; i++)
        for (long j = 0; j < Q; j++) {
          c_transposed[plane * Q * Q + j * Q + i] = c[plane * Q * Q + i * Q + j];
          minus_c_transposed[plane * Q * Q + j * Q + i] = -c[plane * Q * Q + i * Q + j];
        }
  }

  struct Scratch {
    std::vector<T> grad;  // of A, then of C
    std::vector<T> middle, transposed, back;
  };

  Scratch scratch() const {
    const long planes = complex ? 2 : 1, n = planes * P * Q;
    return {std::vector<T>(planes * (P * P + Q * Q), T(0)), std::vector<T>(n), std::vector<T>(n), std::vector<T>(n)};
  }

  void add_grad(const Scratch& s, T* out) const {
    for (size_t i = 0; i < s.grad.size(); i++) out[i] += s.grad[i];
  }

  // middle = X C^T
  void right(const T* x, T* middle) const {
    const long n = P * Q, q = Q * Q;
    product<Into::kNew, T>(P, Q, Q, {x, Q, 1}, c_transposed.data(), Q, middle, Q);
    if (!complex) return;
    product<Into::kSum, T>(P, Q, Q, {x + n, Q, 1}, minus_c_transposed.data() + q, Q, middle, Q);
    product<Into::kNew, T>(P, Q, Q, {x, Q, 1}, c_transposed.data() + q, Q, middle + n, Q);
    product<Into::kSum, T>(P, Q, Q, {x + n, Q, 1}, c_transposed.data(), Q, middle + n, Q);
  }

  void forward(long rows, const T* h, T* z, Scratch& s) const {
    const long n = P * Q, p = P * P, width = complex ? 2 * n : n;
    T* m = s.middle.data();
    for (long row = 0; row < rows; row++, h += width, z += width) {
      right(h, m);
      product<Into::kSum, T>(P, Q, P, {a, P, 1}, m, Q, z, Q);
      if (!complex) continue;
      product<Into::kSum, T>(P, Q, P, {minus_a.data() + p, P, 1}, m + n, Q, z, Q);
      product<Into::kSum, T>(P, Q, P, {a, P, 1}, m + n, Q, z + n, Q);
      product<Into::kSum, T>(P, Q, P, {a + p, P, 1}, m, Q, z + n, Q);
    }
  }

  void backward(long rows, const T* h, const T* delta, T* later, Scratch& s) const {
    const long n = P * Q, p = P * P, q = Q * Q, planes = complex ? 2 : 1, width = planes * n;
    T *m = s.middle.data(), *m_transposed = s.transposed.data(), *d = s.back.data();
    for (long row = 0; row < rows; row++, h += width, delta += width, later += width) {
      // d = A^H delta, later = d conj(C)
      product<Into::kNew, T>(P, Q, P, {a, 1, P}, delta, Q, d, Q);
      if (complex) {
        product<Into::kSum, T>(P, Q, P, {a + p, 1, P}, delta + n, Q, d, Q);
        product<Into::kNew, T>(P, Q, P, {a, 1, P}, delta + n, Q, d + n, Q);
        product<Into::kSum, T>(P, Q, P, {minus_a.data() + p, 1, P}, delta, Q, d + n, Q);
      }
      product<Into::kNew, T>(P, Q, Q, {d, Q, 1}, c, Q, later, Q);
      if (complex) {
        product<Into::kSum, T>(P, Q, Q, {d + n, Q, 1}, c + q, Q, later, Q);
        product<Into::kNew, T>(P, Q, Q, {d + n, Q, 1}, c, Q, later + n, Q);
        product<Into::kSum, T>(P, Q, Q, {d, Q, 1}, minus_c.data() + q, Q, later + n, Q);
      }
      // grad A += delta M^H, M = X C^T;  grad C += d^T conj(X). The sign of an imaginary part is changed in place.
      right(h, m);
      for (long plane = 0; plane < planes; plane++)
        for (long i = 0; i < P; i++)
          for (long j = 0; j < Q; j++) m_transposed[plane * n + j * P + i] = m[plane * n + i * Q + j];
      T *grad_a = s.grad.data(), *grad_c = grad_a + planes * p;
      product<Into::kSum, T>(P, P, Q, {delta, Q, 1}, m_transposed, P, grad_a, P);
      product<Into::kSum, T>(Q, Q, P, {d, 1, Q}, h, Q, grad_c, Q);
      if (!complex) continue;
      product<Into::kSum, T>(P, P, Q, {delta + n, Q, 1}, m_transposed + n, P, grad_a, P);
      product<Into::kSum, T>(P, P, Q, {delta + n, Q, 1}, m_transposed, P, grad_a + p, P);
      product<Into::kSum, T>(Q, Q, P, {d + n, 1, Q}, h + n, Q, grad_c, Q);
      product<Into::kSum, T>(Q, Q, P, {d + n, 1, Q}, h, Q, grad_c + q, Q);
      for (long i = 0; i < n; i++) m_transposed[n + i] = -m_transposed[n + i];
      product<Into::kSum, T>(P, P, Q, {delta, Q, 1}, m_transposed + n, P, grad_a + p, P);
      for (long i = 0; i < n; i++) m[i] = -h[n + i];
      product<Into::kSum, T>(Q, Q, P, {d, 1, Q}, m, Q, grad_c + q, Q);
    }
  }
};

// ---- the loops ----

// One call. As native.py's structure of the same name.
struct Call {
  long steps, rows, n, width, n_threads, nonlinearity;
  long P, Q, complex;  // factors of a Kronecker product; P = 0: a dense W
  long d;              // input features
  const long* ids;     // (steps, rows): x is one-hot; or null, and
  const void* x;       // (steps, rows, d)
  const void* input_weight;  // (d, width)
  const void* weight;        // W, or A then C
  const void* bias;          // (width), or its half for complex states
  const void* before;        // (rows, width)
  void* H;
  // A linear layer on the outputs, y = h V^T without a bias, done on the way; c = 0: none.
  long c;
  const void* readout;  // V (c, width)
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

template <typename Work>
void over_rows(const Call& s, Work work) {
  const long share = (s.rows + s.n_threads - 1) / s.n_threads;
  const long each = std::max<long>(kRows, (share + kRows - 1) / kRows * kRows);
  std::vector<std::thread> threads;
  for (long first = each; first < s.rows; first += each)
    threads.emplace_back([=] { work(first, std::min(each, s.rows - first), first / each); });
  work(0, std::min(each, s.rows), 0);
  for (auto& thread : threads) thread.join();
}

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

// y = h V^T; `padded` holds V^T with whole vectors for rows, (n, wide), and `out` (rows, wide) is for the moment.
template <typename T>
void read(const Call& s, long t, long first, long rows, const T* h, const std::vector<T>& padded, std::vector<T>& out) {
  const long wide = padded.size() / s.n;
  product<Into::kNew, T>(rows, wide, s.n, {h, s.width, 1}, padded.data(), wide, out.data(), wide);
  T* y = static_cast<T*>(s.Y) + (t * s.rows + first) * s.c;
  for (long row = 0; row < rows; row++)
    for (long j = 0; j < s.c; j++) y[row * s.c + j] = out[row * wide + j];
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
  over_rows(s, [&](long first, long rows, long) {
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
  over_rows(s, [&](long first, long rows, long thread) {
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
  if (s.P == 0) return run(Dense<T>(s.n, s.width, weight));
  run(Kronecker<T>(s.P, s.Q, s.complex, weight, weight + s.P * s.P * (s.complex ? 2 : 1)));
}

}  // namespace

#define SEQBENCH_RECURRENCE(T)                                                        \
  extern "C" void seqbench_forward_##T(const Call* call) {                            \
    with_map<T>(*call, [&](const auto& map) { forward<T>(map, *call); });             \
  }                                                                                   \
  extern "C" void seqbench_backward_##T(const Call* call) {                           \
    with_map<T>(*call, [&](const auto& map) { backward<T>(map, *call); });            \
  }

SEQBENCH_RECURRENCE(float)
SEQBENCH_RECURRENCE(double)
