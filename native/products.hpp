// The three matrix products of a dense layer. Each sum is one chain of fused multiply-adds, in the
// order of its index, whatever the registers and the order of the tiles: the bits of a result do
// not depend on either. `room` is the number of rows that a buffer of activations has.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "elementwise.hpp"
#include "kernels.hpp"
#include "layer.hpp"
#include "update.hpp"

namespace downslope::DOWNSLOPE_ISA {

// pre = input * weight + bias
inline void linear_forward(Layer& l, const float* input, int rows, int room) {
  const std::int64_t pitch = std::int64_t{room} * kPadIn;
  for (const Panel& p : l.panels) {
    const float* weight = l.weight.value.get() + p.offset;
    pieces(p.width, [&]<int N>(int offset) {
      blocks<kRows[N]>(rows, [&]<int R>(int row) {
        Vec sums[R][N];
        const float* bias = l.bias.value.get() + p.column + offset;
        each_sum<R, N>([&](int i, int j) { sums[i][j] = load(bias + j * kLanes); });
        const float* x = input + std::int64_t{row} * kPadIn;
        const float* w = weight + offset;
        for (int k = 0; k < l.in8; k += kPadIn, x += pitch, w += std::int64_t{kPadIn} * p.width)
          accumulate<R, N>(sums, x, kPadIn, 1, w, p.width, kPadIn);
        float* out = l.pre.get() + std::int64_t{row} * l.out16 + p.column + offset;
        each_sum<R, N>([&](int i, int j) {
          store(out + std::int64_t{i} * l.out16 + j * kLanes, sums[i][j]);
        });
      });
    });
  }
}

// below.grad = grad * weight^T, computed on transposed panels so that rows fill the registers:
// columns is scratch of [out16][padded rows], result of [in8][padded rows].
inline void input_gradient(const Layer& l, Layer& below, int rows, float* columns, float* result) {
  const int padded = round_up(rows, kPad);
  for (int r = rows; r < padded; ++r)
    std::fill_n(l.grad.get() + std::int64_t{r} * l.out16, l.out16, 0.0f);
  transpose(l.grad.get(), l.out16, padded, l.out16, columns, padded);
  pieces(padded, [&]<int N>(int offset) {
    blocks<8>(l.in8, [&]<int R>(int k) {
      Vec sums[R][N];
      each_sum<R, N>([&](int i, int j) { sums[i][j] = Vec{}; });
      for (const Panel& p : l.panels)
        accumulate<R, N>(sums, l.weight.value.get() + p.offset + std::int64_t{k} * p.width,
                         p.width, 1, columns + std::int64_t{p.column} * padded + offset, padded,
                         p.width);
      each_sum<R, N>([&](int i, int j) {
        store(result + std::int64_t{k + i} * padded + offset + j * kLanes, sums[i][j]);
      });
    });
  });
  for (int k = l.in8; k < below.out16; ++k)
    std::fill_n(result + std::int64_t{k} * padded, padded, 0.0f);
  transpose(result, padded, below.out16, padded, below.grad.get(), below.out16);
}

// The gradient of a tile of weights is used as soon as it is summed: a weight is read and
// written once per step.
// `next` are addresses of rows to be asked for on the way.
inline void update_weights(Layer& l, const float* input, int rows, int room, const Update& update,
                           const std::vector<const float*>& next) {
  const std::int64_t pitch = std::int64_t{room} * kPadIn;
  update.with_use(l.weight, [&](auto use) {
    for (const Panel& p : l.panels) {
      pieces(p.width, [&]<int N>(int offset) {
        const bool ask = !next.empty() && p.column + offset == 0;
        for (int k = 0; k < l.in8; k += kPadIn) {
          if (ask && k % 16 == 0)
            for (const float* row : next) __builtin_prefetch(row + k, 0, 2);
          blocks<kLanes == 16 ? 8 : 4>(kPadIn, [&]<int R>(int i0) {
            const std::int64_t at = p.offset + std::int64_t{k + i0} * p.width + offset;
            Vec sums[R][N];
            each_sum<R, N>([&](int i, int j) { sums[i][j] = Vec{}; });
            accumulate<R, N>(sums, input + k / kPadIn * pitch + i0, 1, kPadIn,
                             l.grad.get() + p.column + offset, l.out16, rows);
            each_sum<R, N>([&](int i, int j) {
              use(sums[i][j], at + std::int64_t{i} * p.width + j * kLanes);
            });
          });
        }
      });
    }
  });
}

}  // namespace downslope::DOWNSLOPE_ISA
