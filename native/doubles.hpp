// A register of doubles, and its tanh without a mathematics library: the same bits wherever
// multiply-adds are fused.
#pragma once

#include <cstdint>

#include "kernels.hpp"

namespace downslope::DOWNSLOPE_ISA {

constexpr int kDoubles = kLanes / 2;
typedef double Doubles __attribute__((vector_size(kDoubles * 8)));
typedef std::int64_t Longs __attribute__((vector_size(kDoubles * 8)));

inline Doubles splat(double x) { return x - Doubles{}; }

// e^x - 1 for x from -40 to 0, to a unit or two in the last place. x = n ln 2 + r with
// |r| <= ln 2 / 2; the first term of the series of r that is left out is below 5e-18. ln 2 comes in
// two parts, the first exact when multiplied by n.
inline Doubles exponential_minus_one(Doubles x) {
  constexpr double kRound = 6755399441055744.0;  // 1.5 * 2^52: adding it rounds to an integer
  const Doubles shifted = x * 1.4426950408889634 + kRound, whole = shifted - kRound;
  const Longs n = (Longs)shifted - (Longs)splat(kRound);
  const Doubles r = (x - whole * 6.93147180369123816490e-01) - whole * 1.90821492927058770002e-10;
  Doubles p = splat(1.0 / 6227020800);
  for (const double c : {1.0 / 479001600, 1.0 / 39916800, 1.0 / 3628800, 1.0 / 362880, 1.0 / 40320,
                         1.0 / 5040, 1.0 / 720, 1.0 / 120, 1.0 / 24, 1.0 / 6, 0.5})
    p = p * r + c;
  const Doubles scale = (Doubles)((n + 1023) << 52);
  return (p * (r * r) + r) * scale + (scale - 1.0);
}

// A NaN stays one; from 20 on, tanh is 1 in double precision.
inline Doubles hyperbolic_tangent(Doubles x) {
  Doubles size = x < 0.0 ? -x : x;
  size = size > 20.0 ? splat(20.0) : size;
  const Doubles e = exponential_minus_one(-2.0 * size);
  const Doubles t = -e / (e + 2.0);
  return x < 0.0 ? -t : t;
}

}  // namespace downslope::DOWNSLOPE_ISA
