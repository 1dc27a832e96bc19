// Losses of rows that went forward, and their gradients.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "elementwise.hpp"
#include "layer.hpp"

namespace downslope::DOWNSLOPE_ISA {

// Cross-entropy of one row of logits with label smoothing (Szegedy et al. 2016, as torch): the
// target is 1 - smoothing for the truth plus smoothing / n everywhere. g = scale * d loss / dz.
// Both z and g are padded; the padding of g becomes 0.
inline float softmax_gradient(const float* z, float* g, int n, int truth, float scale,
                              float smoothing) {
  const float top = *std::max_element(z, z + n);
  const int padded = round_up(n, kPad);
  each_register(z, g, padded, [top](Vec x) { return exponential(x - top); });
  std::fill(g + n, g + padded, 0.0f);
  float sum = 0, total = 0;
  for (int o = 0; o < n; ++o) {
    sum += g[o];
    total += z[o];
  }
  const float factor = scale / sum, share = smoothing / static_cast<float>(n);
  for (int o = 0; o < n; ++o) g[o] = g[o] * factor - scale * share;
  g[truth] -= scale * (1 - smoothing);
  return std::log(sum) + top - (1 - smoothing) * z[truth] - share * total;
}

// Adds the losses of rows that went forward, not yet divided by their number.
inline void add_losses(const Spec& spec, const Layer& last, const Examples& examples,
                       std::int64_t start, int rows, float* line, Evaluation& to) {
  for (int r = 0; r < rows; ++r) {
    const float* z = last.pre.get() + std::int64_t{r} * last.padded_out;
    if (spec.loss == Loss::cross_entropy) {
      const std::int64_t truth = examples.classes[start + r];
      const float* top = std::max_element(z, z + last.out);
      each_register(z, line, last.padded_out, [top](Vec x) { return exponential(x - *top); });
      double total = 0;
      for (int o = 0; o < last.out; ++o) total += double{line[o]};
      to.loss += std::log(total) + *top - z[truth];
      to.correct += top - z == truth;
    } else {
      const float* t = examples.targets + (start + r) * last.out;
      double row = 0;
      for (int o = 0; o < last.out; ++o) row += (double{z[o]} - t[o]) * (double{z[o]} - t[o]);
      to.loss += row / last.out;
    }
  }
}

// Mean loss of the minibatch; the last layer's grad becomes that of its Linear's output.
inline double loss_gradient(const Spec& spec, Layer& last, const Examples& examples,
                            const std::int64_t* order, int rows) {
  double sum = 0;
  for (int r = 0; r < rows; ++r) {
    const float* z = last.pre.get() + std::int64_t{r} * last.padded_out;
    float* g = last.grad.get() + std::int64_t{r} * last.padded_out;
    if (spec.loss == Loss::cross_entropy) {
      sum += softmax_gradient(z, g, last.out, static_cast<int>(examples.classes[order[r]]),
                              1.0f / static_cast<float>(rows), spec.label_smoothing);
    } else {
      const float* t = examples.targets + order[r] * last.out;
      const float scale = 2.0f / (static_cast<float>(rows) * static_cast<float>(last.out));
      float row = 0;
      for (int o = 0; o < last.out; ++o) {
        const float difference = z[o] - t[o];
        row += difference * difference;
        g[o] = scale * difference * (spec.sigmoid ? z[o] * (1 - z[o]) : 1.0f);
      }
      sum += double{row} / last.out;
    }
  }
  return sum / rows;
}

}  // namespace downslope::DOWNSLOPE_ISA
