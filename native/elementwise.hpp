// Everything that works feature by feature: activations, dropout, column sums, transposition.
// Loops are plain: the compiler turns them into the registers of the instruction set.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <utility>

#include "functions.hpp"
#include "kernels.hpp"
#include "trainer.hpp"

namespace downslope::DOWNSLOPE_ISA {

constexpr float kLeak = 0.01f;
constexpr float kNormalDensity = 0.398942280f;  // 1 / sqrt(2 pi)

// out = f(z) for n floats, a multiple of kPad. Written so that a NaN passes: a member that has
// diverged must not look alive.
template <class F>
inline void each_register(const float* z, float* out, int n, F f) {
  for (int i = 0; i < n; i += kLanes) store(out + i, f(load(z + i)));
}

inline void activate(Activation kind, const float* z, float* out, int n, float slope) {
  switch (kind) {
    case Activation::relu:
      return each_register(z, out, n, [](Vec x) { return x <= 0.0f ? Vec{} : x; });
    case Activation::leaky_relu:
      return each_register(z, out, n, [](Vec x) { return x <= 0.0f ? kLeak * x : x; });
    case Activation::prelu:
      return each_register(z, out, n, [slope](Vec x) { return x <= 0.0f ? slope * x : x; });
    case Activation::elu:
      return each_register(z, out, n,
                           [](Vec x) { return x <= 0.0f ? exponential_minus_one(x) : x; });
    case Activation::gelu:
      return each_register(z, out, n, [](Vec x) { return x * normal_distribution(x); });
    case Activation::tanh:
      return each_register(z, out, n, hyperbolic_tangent);
  }
}

// g *= f'(z)
inline void differentiate(Activation kind, const float* z, float* g, int n, float slope) {
  const auto scale = [&](auto derivative) {
    for (int i = 0; i < n; i += kLanes) store(g + i, derivative(load(z + i), load(g + i)));
  };
  switch (kind) {
    case Activation::relu:
      return scale([](Vec x, Vec d) { return x > 0.0f ? d : Vec{}; });
    case Activation::leaky_relu:
      return scale([](Vec x, Vec d) { return x > 0.0f ? d : kLeak * d; });
    case Activation::prelu:
      return scale([slope](Vec x, Vec d) { return x > 0.0f ? d : slope * d; });
    case Activation::elu:
      return scale([](Vec x, Vec d) { return x > 0.0f ? d : d * exponential(x); });
    case Activation::gelu:
      return scale([](Vec x, Vec d) {
        return d * (normal_distribution(x) + x * (kNormalDensity * exponential(-0.5f * x * x)));
      });
    case Activation::tanh:
      return scale([](Vec x, Vec d) {
        const Vec t = hyperbolic_tangent(x);
        return d * (1.0f - t * t);
      });
  }
}

// The learned slope's share of the gradient: before `differentiate` scales g. The products are
// rounded in `line` first: compilers do not agree on whether to fuse them into an ordered sum.
inline float prelu_slope_gradient(const float* z, const float* g, int n, float* line) {
  for (int i = 0; i < n; i += kLanes) {
    const Vec x = load(z + i);
    store(line + i, x > 0.0f ? Vec{} : x * load(g + i));
  }
  float sum = 0;
  for (int i = 0; i < n; ++i) sum += line[i];
  return sum;
}

inline void sigmoid(float* z, std::int64_t n) {
  each_register(z, z, n, [](Vec x) { return 1.0f / (1.0f + exponential(-x)); });
}

inline void column_sums(const float* rows, int count, int n, float* sums) {
  std::fill_n(sums, n, 0.0f);
  for (int r = 0; r < count; ++r)
    for (int o = 0; o < n; ++o) sums[o] += rows[std::int64_t{r} * n + o];
}

// Mean and biased variance of each column, in two passes.
inline void column_means(const float* rows, int count, int n, float* mean, float* variance) {
  const float share = 1.0f / static_cast<float>(count);
  column_sums(rows, count, n, mean);
  for (int o = 0; o < n; ++o) mean[o] *= share;
  std::fill_n(variance, n, 0.0f);
  for (int r = 0; r < count; ++r)
    for (int o = 0; o < n; ++o) {
      const float d = rows[std::int64_t{r} * n + o] - mean[o];
      variance[o] += d * d;
    }
  for (int o = 0; o < n; ++o) variance[o] *= share;
}

// One step of a square's transposition: pairs of rows exchange blocks of S columns. Low is row i,
// which keeps its columns without bit S; high is row i + S.
template <int S, bool high, int... C>
inline Vec exchanged(Vec a, Vec b, std::integer_sequence<int, C...>) {
#if defined(__clang__)
  return __builtin_shufflevector(a, b, (C & S ? kLanes + C - (high ? 0 : S) : C + (high ? S : 0))...);
#else
  return __builtin_shuffle(a, b,
                           IntVec{(C & S ? kLanes + C - (high ? 0 : S) : C + (high ? S : 0))...});
#endif
}

template <int S>
inline __attribute__((always_inline)) void transpose_square(Vec (&rows)[kLanes]) {
  DOWNSLOPE_UNROLL
  for (int i = 0; i < kLanes; ++i)
    if ((i & S) == 0) {
      const Vec a = rows[i], b = rows[i + S];
      constexpr auto columns = std::make_integer_sequence<int, kLanes>{};
      rows[i] = exchanged<S, false>(a, b, columns);
      rows[i + S] = exchanged<S, true>(a, b, columns);
    }
  if constexpr (S > 1) transpose_square<S / 2>(rows);
}

// to[c][r] = from[r][c]; rows and columns are multiples of kLanes.
inline void transpose(const float* from, std::int64_t from_pitch, int rows, int columns, float* to,
                      std::int64_t to_pitch) {
  for (int r = 0; r < rows; r += kLanes)
    for (int c = 0; c < columns; c += kLanes) {
      Vec square[kLanes];
      DOWNSLOPE_UNROLL
      for (int i = 0; i < kLanes; ++i) square[i] = load(from + (r + i) * from_pitch + c);
      transpose_square<kLanes / 2>(square);
      DOWNSLOPE_UNROLL
      for (int i = 0; i < kLanes; ++i) store(to + (c + i) * to_pitch + r, square[i]);
    }
}

// Philox4x32-10 (Salmon et al. 2011): four words from a counter and a key, without state.
inline void philox(std::uint32_t (&c)[4], std::uint32_t k0, std::uint32_t k1) {
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t a = std::uint64_t{0xD2511F53u} * c[0];
    const std::uint64_t b = std::uint64_t{0xCD9E8D57u} * c[2];
    const std::uint32_t x = static_cast<std::uint32_t>(b >> 32) ^ c[1] ^ k0;
    const std::uint32_t z = static_cast<std::uint32_t>(a >> 32) ^ c[3] ^ k1;
    c[1] = static_cast<std::uint32_t>(b);
    c[3] = static_cast<std::uint32_t>(a);
    c[0] = x;
    c[2] = z;
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
}

// Inverted dropout: each entry 0 with probability p, else 1 / (1 - p). The mask is a function of
// (seed, step, layer, position) alone, so a member can be resumed or replayed at any step; positions
// count in rows of a multiple of 16, whatever the registers.
inline void dropout_mask(float* mask, int rows, int n, int pitch, float p, std::uint64_t seed,
                         std::uint64_t step, std::uint32_t layer) {
  const auto threshold = static_cast<std::uint32_t>(std::min(4294967295.0, p * 4294967296.0));
  const float keep = 1 / (1 - p);
  for (int r = 0; r < rows; ++r)
    for (int o = 0; o < n; o += 4) {
      std::uint32_t words[4] = {static_cast<std::uint32_t>(std::int64_t{r} * pitch + o), layer,
                                static_cast<std::uint32_t>(step),
                                static_cast<std::uint32_t>(step >> 32)};
      philox(words, static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32));
      for (int j = 0; j < 4; ++j)
        mask[std::int64_t{r} * n + o + j] = words[j] < threshold ? 0 : keep;
    }
}

}  // namespace downslope::DOWNSLOPE_ISA
