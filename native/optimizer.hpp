// One update rule for all parameters of a step, applied a register of weights at a time.
#pragma once

#include <cmath>

#include "kernels.hpp"
#include "trainer.hpp"

namespace downslope::DOWNSLOPE_ISA {

inline Vec square_root(Vec x) {
  Vec y;
  for (int i = 0; i < kLanes; ++i) y[i] = __builtin_sqrtf(x[i]);
  return y;
}

// base^n by squaring: libraries of mathematics differ in the last bits of theirs.
inline double power(double base, std::int64_t n) {
  double result = 1;
  for (; n > 0; n >>= 1, base *= base)
    if (n & 1) result *= base;
  return result;
}

enum class Move { plain, momentum, adam };

// SGD with momentum (Sutskever et al. 2013, as in torch.optim.SGD), Adam (Kingma and Ba 2015) and
// AdamW (Loshchilov and Hutter 2019) with torch's defaults: betas 0.9 and 0.999, epsilon 1e-8.
class Rule {
 public:
  Rule() = default;
  Rule(const Spec& spec, double rate, std::int64_t step)
      : optimizer_(spec.optimizer), nesterov_(spec.nesterov), momentum_(spec.momentum),
        rate_(static_cast<float>(rate)) {
    if (optimizer_ == Optimizer::sgd) return;
    step_size_ = static_cast<float>(rate / (1 - power(0.9, step)));
    root_scale_ = static_cast<float>(1 / std::sqrt(1 - power(0.999, step)));
  }

  Rule with_decay(float decay) const {
    Rule rule = *this;
    rule.decay_ = optimizer_ == Optimizer::adamw ? 0 : decay;
    rule.keep_ = optimizer_ == Optimizer::adamw
                     ? static_cast<float>(1 - double{rate_} * double{decay})
                     : 1.0f;
    return rule;
  }

  // Calls body.operator()<move, decays>() once, so that no decision is left inside of its loops.
  template <class Body>
  void dispatch(Body&& body) const {
    if (optimizer_ != Optimizer::sgd)
      body.template operator()<Move::adam, true>();
    else if (momentum_ != 0)
      decay_ != 0 ? body.template operator()<Move::momentum, true>()
                  : body.template operator()<Move::momentum, false>();
    else
      decay_ != 0 ? body.template operator()<Move::plain, true>()
                  : body.template operator()<Move::plain, false>();
  }

  // Moves value[at ...] by one gradient register; first and second may be null where unused.
  template <Move move, bool decays>
  inline __attribute__((always_inline)) void update(Vec gradient, float* value, float* first,
                                                    float* second, std::int64_t at) const {
    Vec w = load(value + at);
    if constexpr (decays) gradient += decay_ * w;
    if constexpr (move != Move::adam) {
      if constexpr (move == Move::momentum) {
        const Vec m = momentum_ * load(first + at) + gradient;
        store(first + at, m);
        gradient = nesterov_ ? gradient + momentum_ * m : m;
      }
      store(value + at, w - rate_ * gradient);
      return;
    }
    Vec m = load(first + at), v = load(second + at);
    m += 0.1f * (gradient - m);
    v = 0.999f * v + 0.001f * (gradient * gradient);
    store(first + at, m);
    store(second + at, v);
    store(value + at, keep_ * w - step_size_ * m / (square_root(v) * root_scale_ + 1e-8f));
  }

 private:
  Optimizer optimizer_ = Optimizer::sgd;
  bool nesterov_ = false;
  float momentum_ = 0, rate_ = 0, decay_ = 0, keep_ = 1, step_size_ = 0, root_scale_ = 0;
};

}  // namespace downslope::DOWNSLOPE_ISA
