// The affinity space and its gradient in one sweep over memory each (see bernoulli_kl.py, which has
// the same formulas in torch, and fused.py, which builds this file).
//
// A plane is one class of one image. A task is a strip of rows of a plane; each pixel of a result is
// computed by one task, in one order, so results do not depend on the number of threads.

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <thread>
#include <vector>
#ifdef __AVX__
#include <immintrin.h>
#endif

namespace {

constexpr int64_t ROWS = 32;  // of a strip, beside which two rows of logarithms are computed twice
constexpr int64_t CACHED = 1 << 24;  // bytes of a result that may still be cached when it is read

double logarithm(double x) { return std::log(x); }

// Cephes' logf (S. Moshier), within one unit in the last place, in a form that compilers vectorise.
inline float logarithm(float x) {
    int32_t bits;
    std::memcpy(&bits, &x, sizeof bits);
    int32_t mantissa_bits = (bits & 0x007fffff) | 0x3f000000;  // in [0.5, 1)
    float m, exponent = static_cast<float>((bits >> 23) - 126);
    std::memcpy(&m, &mantissa_bits, sizeof m);
    const bool low = m < 0.707106781186547524f;
    exponent = low ? exponent - 1 : exponent;
    m = low ? m + m - 1 : m - 1;
    const float z = m * m;
    float y = 7.0376836292e-2f;
    y = y * m - 1.1514610310e-1f;
    y = y * m + 1.1676998740e-1f;
    y = y * m - 1.2420140846e-1f;
    y = y * m + 1.4249322787e-1f;
    y = y * m - 1.6668057665e-1f;
    y = y * m + 2.0000714765e-1f;
    y = y * m - 2.4999993993e-1f;
    y = y * m + 3.3333331174e-1f;
    y = y * m * z - 2.12194440e-4f * exponent - 0.5f * z;
    return m + y + 0.693359375f * exponent + (x - x);  // the last term is 0, or NaN for NaN
}

struct Shape {
    int64_t images, classes, height, width, neighbors;
    const int64_t* offsets;  // (dy, dx) of each neighbour
    int64_t plane() const { return height * width; }
    int64_t dy(int64_t n) const { return offsets[2 * n]; }
    int64_t dx(int64_t n) const { return offsets[2 * n + 1]; }
    // First value of a neighbour's plane in the affinity space.
    int64_t at(int64_t image, int64_t n, int64_t c) const {
        return ((image * neighbors + n) * classes + c) * plane();
    }
};

// Three rows around a row, each padded by copies of its ends: p clamped, log(1 - p) and logit p.
template <typename T>
class Rows {
   public:
    Rows(const T* plane, const Shape& shape, T low, T high)
        : plane_(plane), shape_(shape), low_(low), high_(high), stride_(shape.width + 2),
          values_(9 * stride_) {}

    void move_to(int64_t y) {
        for (int64_t row = y - 1; row <= y + 1; ++row)
            if (row >= 0 && row < shape_.height && held_[row % 3] != row) fill(row);
    }
    const T* p(int64_t row) const { return at(row, 0); }
    const T* v(int64_t row) const { return at(row, 1); }
    const T* u(int64_t row) const { return at(row, 2); }

   private:
    // Values of a row, or of its nearest, from its first pixel on; [-1] and [width] are copies.
    const T* at(int64_t row, int64_t which) const {
        row = std::clamp<int64_t>(row, 0, shape_.height - 1);
        return &values_[(3 * (row % 3) + which) * stride_ + 1];
    }
    void fill(int64_t row) {
        held_[row % 3] = row;
        const T* __restrict in = plane_ + row * shape_.width;
        T* __restrict p = &values_[3 * (row % 3) * stride_ + 1];
        T* __restrict v = p + stride_;
        T* __restrict u = v + stride_;
        for (int64_t x = 0; x < shape_.width; ++x) {
            const T value = in[x];
            p[x] = value < low_ ? low_ : value > high_ ? high_ : value;
            v[x] = logarithm(1 - p[x]);
            u[x] = logarithm(p[x]) - v[x];
        }
        for (T* each : {p, v, u}) {
            each[-1] = each[0];
            each[shape_.width] = each[shape_.width - 1];
        }
    }

    const T* plane_;
    const Shape& shape_;
    const T low_, high_;
    const int64_t stride_;
    std::vector<T> values_;
    int64_t held_[3] = {-1, -1, -1};
};

// Runs task(image, class, first row, end) for all strips, on as many threads.
template <typename Task>
void parallel(const Shape& shape, int64_t threads, const Task& task) {
    const int64_t strips = (shape.height + ROWS - 1) / ROWS;
    const int64_t tasks = shape.images * shape.classes * strips;
    std::atomic<int64_t> next{0};
    auto work = [&] {
        for (int64_t t = next++; t < tasks; t = next++) {
            const int64_t plane = t / strips, first = t % strips * ROWS;
            task(plane / shape.classes, plane % shape.classes, first,
                 std::min(first + ROWS, shape.height));
        }
    };
    std::vector<std::thread> others;
    for (int64_t i = 1; i < std::min(threads, tasks); ++i) others.emplace_back(work);
    work();
    for (auto& thread : others) thread.join();
}

// Copies a row past the caches, which it would flush, and without reading what it overwrites.
template <typename T>
void stream(const T* row, T* out, int64_t width) {
    int64_t x = 0;
#ifdef __AVX__
    constexpr int64_t bytes = sizeof(__m256), step = bytes / sizeof(T);
    for (; x < width && reinterpret_cast<uintptr_t>(out + x) % bytes; ++x) out[x] = row[x];
    for (; x + step <= width; x += step)
        _mm256_stream_ps(reinterpret_cast<float*>(out + x),
                         _mm256_loadu_ps(reinterpret_cast<const float*>(row + x)));
#endif
    for (; x < width; ++x) out[x] = row[x];
}

void end_of_stream() {
#ifdef __AVX__
    _mm_sfence();
#endif
}

template <typename T>
void forward(const T* prob, T* space, const Shape& shape, T low, T high, int64_t threads) {
    const int64_t W = shape.width;
    const bool large = shape.images * shape.at(1, 0, 0) * int64_t(sizeof(T)) > CACHED;
    parallel(shape, threads, [&](int64_t image, int64_t c, int64_t first, int64_t end) {
        Rows<T> rows(prob + (image * shape.classes + c) * shape.plane(), shape, low, high);
        std::vector<T> negative_entropy(W), line(W);
        for (int64_t y = first; y < end; ++y) {
            rows.move_to(y);
            const T* __restrict p = rows.p(y);
            T* __restrict entropy = negative_entropy.data();
            {
                const T* __restrict u = rows.u(y);
                const T* __restrict v = rows.v(y);
                for (int64_t x = 0; x < W; ++x) entropy[x] = v[x] + p[x] * u[x];
            }
            for (int64_t n = 0; n < shape.neighbors; ++n) {
                const T* __restrict u_n = rows.u(y + shape.dy(n)) + shape.dx(n);
                const T* __restrict v_n = rows.v(y + shape.dy(n)) + shape.dx(n);
                T* row = space + shape.at(image, n, c) + y * W;
                T* __restrict out = large ? line.data() : row;
                for (int64_t x = 0; x < W; ++x) out[x] = entropy[x] - v_n[x] - p[x] * u_n[x];
                if (large) stream(out, row, W);
            }
        }
        if (large) end_of_stream();
    });
}

// The sums of the gradient of a row that is at no edge, for the usual neighbours in their order.
template <typename T, int64_t N>
void sums_of_row(const T* grad, int64_t of_neighbor, int64_t W, const Rows<T>& rows, int64_t y,
                 T* __restrict as_pixel, T* __restrict as_neighbor) {
    static constexpr int64_t EIGHT[8][2] = {{-1, -1}, {-1, 0}, {-1, 1}, {0, -1},
                                            {0, 1},   {1, -1}, {1, 0},  {1, 1}};
    static constexpr int64_t FOUR[4][2] = {{-1, 0}, {0, -1}, {0, 1}, {1, 0}};
    const auto& offsets = [] () -> const auto& {
        if constexpr (N == 8) return EIGHT; else return FOUR;
    }();
    const T *g[N], *u_n[N], *p_r[N];
    for (int64_t n = 0; n < N; ++n) {
        g[n] = grad + n * of_neighbor + y * W;
        u_n[n] = rows.u(y + offsets[n][0]) + offsets[n][1];
    }
    const T* u = rows.u(y);
#pragma GCC ivdep
    for (int64_t x = 0; x < W; ++x) {
        T sum = 0;
#pragma GCC unroll 8
        for (int64_t n = 0; n < N; ++n) sum += g[n][x] * (u[x] - u_n[n][x]);
        as_pixel[x] = sum;
    }
    for (int64_t n = 0; n < N; ++n) {  // the pixel r whose neighbour n is the pixel x
        g[n] = grad + n * of_neighbor + (y - offsets[n][0]) * W - offsets[n][1];
        p_r[n] = rows.p(y - offsets[n][0]) - offsets[n][1];
    }
    const T* p = rows.p(y);
#pragma GCC ivdep
    for (int64_t x = 1; x < W - 1; ++x) {
        T sum = 0;
#pragma GCC unroll 8
        for (int64_t n = 0; n < N; ++n) sum += g[n][x] * (p[x] - p_r[n][x]);
        as_neighbor[x] = sum;
    }
    for (int64_t x : {int64_t{0}, W - 1}) {
        T sum = 0;
        for (int64_t n = 0; n < N; ++n) {
            const int64_t dx = offsets[n][1];
            if (x - dx >= 0 && x - dx < W) sum += g[n][x] * (p[x] - p_r[n][x]);
            if (dx == (x ? 1 : -1)) sum += g[n][x + dx] * (p[x] - p_r[n][x + dx]);
        }
        as_neighbor[x] = sum;
    }
}

template <typename T>
void backward(const T* prob, const T* grad, T* out, const Shape& shape, T low, T high,
              int64_t threads) {
    const int64_t W = shape.width, H = shape.height;
    parallel(shape, threads, [&](int64_t image, int64_t c, int64_t first, int64_t end) {
        const int64_t start = (image * shape.classes + c) * shape.plane();
        Rows<T> rows(prob + start, shape, low, high);
        std::vector<T> sums(2 * W + 2);
        T* __restrict as_pixel = sums.data();           // as the pixel x itself, (W)
        T* __restrict as_neighbor = &sums[W + 1];       // as a neighbour of others, from -1 to W
        for (int64_t y = first; y < end; ++y) {
            rows.move_to(y);
            const T* __restrict p_y = rows.p(y);
            const T* __restrict u_y = rows.u(y);
            const bool inside = y > 0 && y < H - 1 && W > 1;
            if (inside) {
                const auto sum = shape.neighbors == 8 ? sums_of_row<T, 8> : sums_of_row<T, 4>;
                sum(grad + shape.at(image, 0, c), shape.classes * shape.plane(), W, rows, y,
                    as_pixel, as_neighbor);
            } else {
                std::fill(sums.begin(), sums.end(), T(0));
            }
            for (int64_t n = 0; n < (inside ? 0 : shape.neighbors); ++n) {
                const int64_t dy = shape.dy(n), dx = shape.dx(n);
                const T* plane = grad + shape.at(image, n, c);
                const T* __restrict u_n = rows.u(y + dy) + dx;
                const T* __restrict g = plane + y * W;
                for (int64_t x = 0; x < W; ++x) as_pixel[x] += g[x] * (u_y[x] - u_n[x]);
                // The rows whose neighbour n is in this row: beyond an edge, it is in the edge.
                for (int64_t r : {y - dy, y}) {
                    if (r < 0 || r >= H || std::clamp<int64_t>(r + dy, 0, H - 1) != y) continue;
                    const T* __restrict g_r = plane + r * W;
                    const T* __restrict p_r = rows.p(r);
                    const T* __restrict p_n = p_y + dx;
                    T* __restrict sum = as_neighbor + dx;
                    for (int64_t x = 0; x < W; ++x) sum[x] += g_r[x] * (p_n[x] - p_r[x]);
                    if (dy == 0) break;
                }
            }
            if (!inside) {
                as_neighbor[0] += as_neighbor[-1];
                as_neighbor[W - 1] += as_neighbor[W];
            }
            const T* __restrict in = prob + start + y * W;
            T* __restrict result = out + start + y * W;
            for (int64_t x = 0; x < W; ++x) {
                const T total = as_pixel[x] + as_neighbor[x] / (p_y[x] * (1 - p_y[x]));
                result[x] = in[x] < low || in[x] > high ? T(0) : total;
            }
        }
    });
}

}  // namespace

#define EXPORT(T, NAME)                                                                           \
    extern "C" void NAME##_forward(const T* prob, T* space, int64_t images, int64_t classes,      \
                                   int64_t height, int64_t width, int64_t neighbors,              \
                                   const int64_t* offsets, T low, T high, int64_t threads) {      \
        forward<T>(prob, space, {images, classes, height, width, neighbors, offsets}, low, high,  \
                   threads);                                                                      \
    }                                                                                             \
    extern "C" void NAME##_backward(const T* prob, const T* grad, T* out, int64_t images,         \
                                    int64_t classes, int64_t height, int64_t width,               \
                                    int64_t neighbors, const int64_t* offsets, T low, T high,     \
                                    int64_t threads) {                                            \
        backward<T>(prob, grad, out, {images, classes, height, width, neighbors, offsets}, low,   \
                    high, threads);                                                               \
    }

EXPORT(float, float32)
EXPORT(double, float64)
