// The three matrix products of a dense layer as register-blocked tiles.
//
// A weight matrix (inputs k, outputs o) is kept in panels of at most 48 outputs: panel p is a
// contiguous block [k][width], so that every product walks through memory in order and a panel of
// any width stays in few pages. Outputs are padded to the registers, inputs to 8, with zeros that stay zero.
#pragma once

#include <cstdint>

// Set by the build: the instruction set's namespace, its floats per register, registers for sums.
#ifndef DOWNSLOPE_LANES
#define DOWNSLOPE_LANES 4
#endif

namespace downslope::DOWNSLOPE_ISA {

constexpr int kLanes = DOWNSLOPE_LANES;
constexpr int kPadIn = 8;  // rows of a weight panel are padded to this
constexpr int kPad = kLanes > kPadIn ? kLanes : kPadIn;  // outputs and minibatch rows to this
constexpr int kPanel = 48;

typedef float Vec __attribute__((vector_size(kLanes * 4)));
typedef float VecU __attribute__((vector_size(kLanes * 4), aligned(4), may_alias));

inline Vec load(const float* p) { return *reinterpret_cast<const VecU*>(p); }
inline void store(float* p, Vec v) { *reinterpret_cast<VecU*>(p) = v; }
inline Vec splat(float x) { return x - Vec{}; }

// Loops over the sums of a tile must vanish, or the sums do not stay in registers.
#if defined(__clang__)
#define DOWNSLOPE_UNROLL _Pragma("clang loop unroll(full)")
#else
#define DOWNSLOPE_UNROLL _Pragma("GCC unroll 16")
#endif

constexpr int round_up(int n, int to) { return (n + to - 1) / to * to; }

// sums[i][j] += rows[i * stride + t] * columns[t * pitch + j * lanes] for t < count: R scalars are
// broadcast against N vectors. All three products are this, with other things in the roles.
template <int R, int N>
inline __attribute__((always_inline)) void accumulate(Vec (&sums)[R][N], const float* rows,
                                                      std::int64_t stride, std::int64_t step,
                                                      const float* columns, std::int64_t pitch,
                                                      int count) {
  for (int t = 0; t < count; ++t) {
    Vec c[N];
    DOWNSLOPE_UNROLL
    for (int j = 0; j < N; ++j) c[j] = load(columns + t * pitch + j * kLanes);
    DOWNSLOPE_UNROLL
    for (int i = 0; i < R; ++i) {
      const Vec r = splat(rows[i * stride + t * step]);
      DOWNSLOPE_UNROLL
      for (int j = 0; j < N; ++j) sums[i][j] += r * c[j];
    }
  }
}

// Calls each(i, j) for all sums of a tile.
template <int R, int N, class Each>
inline __attribute__((always_inline)) void each_sum(Each each) {
  DOWNSLOPE_UNROLL
  for (int i = 0; i < R; ++i) {
    DOWNSLOPE_UNROLL
    for (int j = 0; j < N; ++j) each(i, j);
  }
}

// Rows of a tile of N vectors: its sums, N vectors and a broadcast fit into the registers.
#if DOWNSLOPE_LANES == 16 || defined(__aarch64__)
constexpr int kRows[4] = {0, 16, 12, 8};  // of 32
#else
constexpr int kRows[4] = {0, 8, 6, 4};  // of 16
#endif

// Calls body.operator()<N>(offset) for pieces of N <= 3 vectors that cover `width` floats; four are
// two and two, as one vector alone leaves the units waiting for its sums.
template <class Body>
inline void pieces(int width, Body&& body) {
  int offset = 0;
  for (; width - offset >= 3 * kLanes && width - offset != 4 * kLanes; offset += 3 * kLanes)
    body.template operator()<3>(offset);
  for (; width - offset >= 2 * kLanes; offset += 2 * kLanes) body.template operator()<2>(offset);
  if (width > offset) body.template operator()<1>(offset);
}

// Calls body.operator()<R>(row) for blocks of rows that cover `count`, a multiple of 4; what is
// left over by the largest block is covered by the next smaller ones.
template <int R, class Body>
inline __attribute__((always_inline)) void blocks(int count, Body&& body, int row = 0) {
  for (; count - row >= R; row += R) body.template operator()<R>(row);
  if constexpr (R > 8) blocks<8>(count, body, row);
  else if constexpr (R > 4) blocks<4>(count, body, row);
  else if constexpr (R > 2) blocks<2>(count, body, row);
}

}  // namespace downslope::DOWNSLOPE_ISA
