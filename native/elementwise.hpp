// Everything that works feature by feature: activations, dropout, losses, column sums.
// Loops are plain: the compiler turns them into the registers of the instruction set.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "kernels.hpp"
#include "trainer.hpp"

namespace downslope::DOWNSLOPE_ISA {

constexpr float kLeak = 0.01f;
constexpr float kRootHalf = 0.70710678118654752f;       // 1 / sqrt(2)
constexpr float kNormalDensity = 0.39894228040143268f;  // 1 / sqrt(2 pi)

// Written so that a NaN passes: a member that has diverged must not look alive.
inline void activate(Activation kind, const float* z, float* out, int n, float slope) {
  switch (kind) {
    case Activation::relu:
      for (int i = 0; i < n; ++i) out[i] = z[i] <= 0 ? 0 : z[i];
      break;
    case Activation::leaky_relu:
      for (int i = 0; i < n; ++i) out[i] = z[i] <= 0 ? kLeak * z[i] : z[i];
      break;
    case Activation::prelu:
      for (int i = 0; i < n; ++i) out[i] = z[i] <= 0 ? slope * z[i] : z[i];
      break;
    case Activation::elu:
      for (int i = 0; i < n; ++i) out[i] = z[i] <= 0 ? std::expm1(z[i]) : z[i];
      break;
    case Activation::gelu:
      for (int i = 0; i < n; ++i) out[i] = 0.5f * z[i] * (1 + std::erf(z[i] * kRootHalf));
      break;
    case Activation::tanh:
      for (int i = 0; i < n; ++i) out[i] = std::tanh(z[i]);
      break;
  }
}

// g *= f'(z)
inline void differentiate(Activation kind, const float* z, float* g, int n, float slope) {
  switch (kind) {
    case Activation::relu:
      for (int i = 0; i < n; ++i) g[i] = z[i] > 0 ? g[i] : 0;
      break;
    case Activation::leaky_relu:
      for (int i = 0; i < n; ++i) g[i] = z[i] > 0 ? g[i] : kLeak * g[i];
      break;
    case Activation::prelu:
      for (int i = 0; i < n; ++i) g[i] = z[i] > 0 ? g[i] : slope * g[i];
      break;
    case Activation::elu:
      for (int i = 0; i < n; ++i) g[i] *= z[i] > 0 ? 1 : std::exp(z[i]);
      break;
    case Activation::gelu:
      for (int i = 0; i < n; ++i)
        g[i] *= 0.5f * (1 + std::erf(z[i] * kRootHalf)) +
                z[i] * kNormalDensity * std::exp(-0.5f * z[i] * z[i]);
      break;
    case Activation::tanh:
      for (int i = 0; i < n; ++i) {
        const float t = std::tanh(z[i]);
        g[i] *= 1 - t * t;
      }
      break;
  }
}

// The learned slope's share of the gradient: before `differentiate` scales g.
inline float prelu_slope_gradient(const float* z, const float* g, int n) {
  float sum = 0;
  for (int i = 0; i < n; ++i) sum += z[i] > 0 ? 0 : z[i] * g[i];
  return sum;
}

inline void sigmoid(float* z, std::int64_t n) {
  for (std::int64_t i = 0; i < n; ++i) z[i] = 1 / (1 + std::exp(-z[i]));
}

// Cross-entropy of one row of logits with label smoothing (Szegedy et al. 2016, as torch): the
// target is 1 - smoothing for the truth plus smoothing / n everywhere. g = scale * d loss / dz.
inline float softmax_gradient(const float* z, float* g, int n, int truth, float scale,
                              float smoothing) {
  const float top = *std::max_element(z, z + n);
  float sum = 0, total = 0;
  for (int o = 0; o < n; ++o) {
    g[o] = std::exp(z[o] - top);
    sum += g[o];
    total += z[o];
  }
  const float factor = scale / sum, share = smoothing / static_cast<float>(n);
  for (int o = 0; o < n; ++o) g[o] = g[o] * factor - scale * share;
  g[truth] -= scale * (1 - smoothing);
  return std::log(sum) + top - (1 - smoothing) * z[truth] - share * total;
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

// to[c][r] = from[r][c], in squares that stay in the first-level cache.
inline void transpose(const float* from, std::int64_t from_pitch, int rows, int columns, float* to,
                      std::int64_t to_pitch) {
  constexpr int kSquare = 16;
  for (int r0 = 0; r0 < rows; r0 += kSquare)
    for (int c0 = 0; c0 < columns; c0 += kSquare)
      for (int c = c0; c < std::min(c0 + kSquare, columns); ++c)
        for (int r = r0; r < std::min(r0 + kSquare, rows); ++r)
          to[c * to_pitch + r] = from[r * from_pitch + c];
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
// (seed, step, layer, position) alone, so a member can be resumed or replayed at any step.
inline void dropout_mask(float* mask, std::int64_t n, float p, std::uint64_t seed,
                         std::uint64_t step, std::uint32_t layer) {
  const auto threshold = static_cast<std::uint32_t>(std::min(4294967295.0, p * 4294967296.0));
  const float keep = 1 / (1 - p);
  for (std::int64_t i = 0; i < n; i += 4) {
    std::uint32_t words[4] = {static_cast<std::uint32_t>(i), layer,
                              static_cast<std::uint32_t>(step),
                              static_cast<std::uint32_t>(step >> 32)};
    philox(words, static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32));
    for (int j = 0; j < 4; ++j) mask[i + j] = words[j] < threshold ? 0 : keep;
  }
}

}  // namespace downslope::DOWNSLOPE_ISA
