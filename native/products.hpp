// The three matrix products of a dense layer. Each sum is one chain of fused multiply-adds, in the
// order of its index, whatever the registers and the order of the tiles: the bits of a result do
// not depend on either.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <vector>

#include "elementwise.hpp"
#include "kernels.hpp"
#include "layer.hpp"
#include "update.hpp"

namespace downslope::DOWNSLOPE_ISA {

constexpr int kInner = 128;  // rows of a weight panel that stay in the first cache

// pre = input * weight + bias for rows [first, last) of one group of the input. Calls
// meanwhile(row, count, k) once for every `count` rows and kInner inputs. Here and below, no address
// of a tile is found by division: that made the tiles of a minibatch of 16 a quarter slower.
template <class Meanwhile>
inline void linear_forward(Layer& l, const float* input, Blocks blocks_of, int first, int last,
                           Meanwhile meanwhile) {
  const std::int64_t pitch = std::int64_t{blocks_of.group} * kPadIn;
  const std::int64_t wide = l.padded_out;
  for (const Panel& p : l.panels)
    for (int k0 = 0; k0 < l.padded_in; k0 += kInner) {
      const int inner = std::min(kInner, l.padded_in - k0);
      const float* rows = input + blocks_of.at(first, k0);
      const float* weight = l.weight.value.get() + p.offset + std::int64_t{k0} * p.width;
      pieces(p.width, [&]<int N>(int offset) {
        const float* bias = l.bias.value.get() + p.column + offset;
        blocks<kRows[N]>(last - first, [&]<int R>(int row) {
          if (p.column + offset == 0) meanwhile(row, R, k0);
          float* out = l.pre.get() + (first + row) * wide + p.column + offset;
          Vec sums[R][N];
          if (k0 == 0)
            each_sum<R, N>([&](int i, int j) { sums[i][j] = load(bias + j * kLanes); });
          else
            each_sum<R, N>([&](int i, int j) { sums[i][j] = load(out + i * wide + j * kLanes); });
          const float* x = rows + row * kPadIn;
          const float* w = weight + offset;
          for (int k = 0; k < inner; k += kPadIn, x += pitch, w += std::int64_t{kPadIn} * p.width)
            accumulate<R, N>(sums, x, kPadIn, 1, w, p.width, kPadIn);
          each_sum<R, N>([&](int i, int j) { store(out + i * wide + j * kLanes, sums[i][j]); });
        });
      });
    }
}

inline void linear_forward(Layer& l, const float* input, Blocks blocks_of, int rows) {
  for (int first = 0; first < rows; first += blocks_of.group)
    linear_forward(l, input, blocks_of, first, std::min(rows, first + blocks_of.group),
                   [](int, int, int) {});
}

// below.grad = grad * weight^T, a few rows at a time: they are transposed so that they fill the
// registers, and back. columns and result are scratch of [padded_out] and [padded_in][3 registers].
inline void input_gradient(const Layer& l, Layer& below, int rows, float* columns, float* result) {
  const int padded = round_up(rows, kPad);
  std::fill_n(l.grad.get() + std::int64_t{rows} * l.padded_out,
              std::int64_t{padded - rows} * l.padded_out, 0.0f);
  pieces(padded, [&]<int N>(int row) {
    constexpr int width = N * kLanes;
    transpose(l.grad.get() + std::int64_t{row} * l.padded_out, l.padded_out, width, l.padded_out,
              columns, width);
    blocks<kLanes == 16 ? 8 : kRows[N]>(l.padded_in, [&]<int R>(int k) {
      Vec sums[R][N];
      each_sum<R, N>([&](int i, int j) { sums[i][j] = Vec{}; });
      for (const Panel& p : l.panels)
        accumulate<R, N>(sums, l.weight.value.get() + p.offset + std::int64_t{k} * p.width,
                         p.width, 1, columns + p.column * width, width, p.width);
      each_sum<R, N>([&](int i, int j) {
        store(result + (k + i) * width + j * kLanes, sums[i][j]);
      });
    });
    std::fill_n(result + l.padded_in * width, (below.padded_out - l.padded_in) * width, 0.0f);
    transpose(result, width, below.padded_out, width,
              below.grad.get() + std::int64_t{row} * below.padded_out, below.padded_out);
  });
}

// The gradient of a tile of weights is used as soon as it is summed: a weight is read and
// written once per step. `next` are addresses of rows to be asked for on the way. Where there are
// several panels, each one's columns of the gradient are copied together into scratch of
// [rows][kPanel] first: in rows of 256 they would share few places of the first cache.
inline void update_weights(Layer& l, const float* input, Blocks blocks_of, int rows,
                           const Update& update, const std::vector<const float*>& next,
                           float* scratch) {
  const std::int64_t group = blocks_of.group;
  update.with_use(l.weight, [&](auto use) {
    for (const Panel& p : l.panels) {
      const float* columns = l.grad.get();
      if (l.panels.size() > 1) {
        for (int r = 0; r < rows; ++r)
          std::memcpy(scratch + std::int64_t{r} * p.width,
                      l.grad.get() + std::int64_t{r} * l.padded_out + p.column, p.width * 4);
        columns = scratch;
      }
      for (int k = 0; k < l.padded_in; k += kPadIn) {
        if (p.column == 0 && k % 16 == 0)
          for (const float* row : next) __builtin_prefetch(row + k, 0, 2);
        pieces(p.width, [&]<int N>(int offset) {
          blocks<kLanes == 16 || N == 1 ? 8 : 4>(kPadIn, [&]<int R>(int i0) {
            const std::int64_t at = p.offset + std::int64_t{k + i0} * p.width + offset;
            const float* x = input + k * group + i0;
            const float* gradient = columns + offset;
            Vec sums[R][N];
            each_sum<R, N>([&](int i, int j) { sums[i][j] = Vec{}; });
            for (int left = rows; left > 0; left -= blocks_of.group) {
              accumulate<R, N>(sums, x, 1, kPadIn, gradient, p.width,
                               std::min(blocks_of.group, left));
              x += group * l.padded_in;
              gradient += group * p.width;
            }
            each_sum<R, N>([&](int i, int j) {
              use(sums[i][j], at + std::int64_t{i} * p.width + j * kLanes);
            });
          });
        });
      }
    }
  });
}

}  // namespace downslope::DOWNSLOPE_ISA
