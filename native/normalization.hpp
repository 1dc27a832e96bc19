// Batch norm, forward and backward.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "elementwise.hpp"
#include "layer.hpp"
#include "update.hpp"

namespace downslope::DOWNSLOPE_ISA {

constexpr double kBatchNormEpsilon = 1e-5;
constexpr double kBatchNormMomentum = 0.1;

// What a forward pass is for. Statistics: batch norm takes its running statistics from these rows.
enum class Pass { train, statistics, evaluate };

// Batch norm (Ioffe and Szegedy 2015) as torch's BatchNorm1d keeps it: biased variance to
// normalize, unbiased for the running estimate.
inline void normalize(Layer& l, int rows, Pass pass, float* line, std::vector<double>& wide) {
  const int n = l.padded_out;
  float* mean = line;
  float* inverse = l.inverse_std.get();
  if (pass == Pass::statistics) {
    // Over all examples at once: sums of so many rows need more than a float.
    wide.assign(2 * static_cast<std::size_t>(n), 0);
    double *means = wide.data(), *squares = means + n;
    const float* z = l.pre.get();
    for (int r = 0; r < rows; ++r)
      for (int o = 0; o < n; ++o) means[o] += z[std::int64_t{r} * n + o];
    for (int o = 0; o < n; ++o) means[o] /= rows;
    for (int r = 0; r < rows; ++r)
      for (int o = 0; o < n; ++o) {
        const double d = z[std::int64_t{r} * n + o] - means[o];
        squares[o] += d * d;
      }
    for (int o = 0; o < n; ++o) {
      mean[o] = l.running_mean.get()[o] = static_cast<float>(means[o]);
      l.running_var.get()[o] = static_cast<float>(squares[o] / (rows - 1));
      inverse[o] = static_cast<float>(1 / std::sqrt(squares[o] / rows + kBatchNormEpsilon));
    }
  } else if (pass == Pass::train) {
    float* variance = mean + n;
    column_means(l.pre.get(), rows, n, mean, variance);
    for (int o = 0; o < n; ++o) {
      inverse[o] = static_cast<float>(1 / std::sqrt(variance[o] + kBatchNormEpsilon));
      const double unbiased = double{variance[o]} * rows / (rows - 1);
      float& m = l.running_mean.get()[o];
      float& v = l.running_var.get()[o];
      m = static_cast<float>((1 - kBatchNormMomentum) * m + kBatchNormMomentum * mean[o]);
      v = static_cast<float>((1 - kBatchNormMomentum) * v + kBatchNormMomentum * unbiased);
    }
  } else {
    std::copy_n(l.running_mean.get(), n, mean);
    for (int o = 0; o < n; ++o)
      inverse[o] =
          static_cast<float>(1 / std::sqrt(l.running_var.get()[o] + kBatchNormEpsilon));
  }
  const float *gamma = l.gamma.value.get(), *beta = l.beta.value.get();
  for (int r = 0; r < rows; ++r) {
    float* z = l.pre.get() + std::int64_t{r} * n;
    float* x = l.normalized.get() + std::int64_t{r} * n;
    for (int o = 0; o < n; ++o) {
      x[o] = (z[o] - mean[o]) * inverse[o];
      z[o] = gamma[o] * x[o] + beta[o];
    }
  }
}

// From the gradient of the scaled and shifted rows to that of the rows before, in place; line is
// scratch of 3 * padded_out.
inline void normalize_backward(Layer& l, int rows, const Update& update, float* line) {
  const int n = l.padded_out;
  float *sum = line, *dot = sum + n, *scale = dot + n;
  std::fill_n(sum, n, 0.0f);
  std::fill_n(dot, n, 0.0f);
  for (int r = 0; r < rows; ++r) {
    const float* g = l.grad.get() + std::int64_t{r} * n;
    const float* x = l.normalized.get() + std::int64_t{r} * n;
    for (int o = 0; o < n; ++o) {
      sum[o] += g[o];
      dot[o] += g[o] * x[o];
    }
  }
  const float share = 1.0f / static_cast<float>(rows);
  for (int o = 0; o < n; ++o) scale[o] = l.gamma.value.get()[o] * l.inverse_std.get()[o];
  for (int r = 0; r < rows; ++r) {
    float* g = l.grad.get() + std::int64_t{r} * n;
    const float* x = l.normalized.get() + std::int64_t{r} * n;
    for (int o = 0; o < n; ++o)
      g[o] = scale[o] * (g[o] - share * sum[o] - share * x[o] * dot[o]);
  }
  update.apply(l.gamma, dot, n);
  update.apply(l.beta, sum, n);
}

}  // namespace downslope::DOWNSLOPE_ISA
