// exp, expm1, tanh and the normal distribution function for a register of floats, correct to a
// few units in the last place; a NaN stays one.
#pragma once

#include <cstdint>

#include "kernels.hpp"

namespace downslope::DOWNSLOPE_ISA {

typedef std::int32_t IntVec __attribute__((vector_size(kLanes * 4)));

// 2^n for n in [-126, 127], by the bits of a float.
inline Vec power_of_two(IntVec n) { return (Vec)((n + 127) << 23); }

// Splits x = n ln 2 + r, |r| <= ln 2 / 2, and returns e^r - 1 by its Taylor series: the first term
// left out is below 6e-9. ln 2 comes in two parts, the first exact when multiplied by n.
inline Vec reduced_expm1(Vec x, IntVec& n) {
  constexpr float kRound = 12582912.0f;  // 1.5 * 2^23: adding it rounds to an integer
  const Vec shifted = x * 1.44269504f + kRound, whole = shifted - kRound;
  n = (IntVec)shifted - (IntVec)splat(kRound);
  const Vec r = (x - whole * 0.693359375f) + whole * 2.12194440e-4f;
  Vec p = splat(1.0f / 5040);
  for (const float c : {1.0f / 720, 1.0f / 120, 1.0f / 24, 1.0f / 6, 0.5f}) p = p * r + c;
  return p * (r * r) + r;
}

inline Vec exponential(Vec x) {
  x = x < -104.0f ? splat(-104.0f) : x;  // beyond are 0 and infinity
  x = x > 89.0f ? splat(89.0f) : x;
  IntVec n;
  const Vec p = reduced_expm1(x, n);
  const IntVec half = n >> 1;  // in two steps: n reaches beyond the exponents of normal floats
  return (p + 1.0f) * power_of_two(half) * power_of_two(n - half);
}

// For x <= 0.
inline Vec exponential_minus_one(Vec x) {
  x = x < -80.0f ? splat(-80.0f) : x;
  IntVec n;
  const Vec p = reduced_expm1(x, n), scale = power_of_two(n);
  return p * scale + (scale - 1.0f);
}

inline Vec hyperbolic_tangent(Vec x) {
  const Vec size = x < 0.0f ? -x : x;
  const Vec e = exponential_minus_one(-2.0f * size);
  const Vec t = -e / (e + 2.0f);
  return x < 0.0f ? -t : t;
}

// P(X <= z) of a standard normal X. With u = 2 / (2 + |z| / sqrt(2)), the lower tail is
// u / 2 exp(-z^2 / 2 + q(u)); q was fitted at Chebyshev nodes, to 5e-8.
inline Vec normal_distribution(Vec z) {
  const Vec size = z < 0.0f ? -z : z;
  const Vec u = 2.0f / (size * 0.707106781f + 2.0f);
  Vec q = splat(0.143224678f);
  for (const float c : {-0.671311091f, 1.13369784f, -0.664571271f, -0.107486592f, 0.0163509988f,
                        0.0292226817f, 0.387826406f, 0.998486768f, -1.26544038f})
    q = q * u + c;
  const Vec tail = 0.5f * u * exponential(q - 0.5f * z * z);
  return z < 0.0f ? tail : 1.0f - tail;
}

}  // namespace downslope::DOWNSLOPE_ISA
