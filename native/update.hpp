// How a gradient moves its parameter: at once, or after all gradients were clipped.
#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "layer.hpp"
#include "optimizer.hpp"

namespace downslope::DOWNSLOPE_ISA {

class Update {
 public:
  Update() = default;
  Update(const Spec& spec, double rate, std::int64_t step)
      : rule_(spec, rate, step), weight_decay_(spec.weight_decay), clip_norm_(spec.clip_norm) {}

  void apply(Parameter& p, const float* gradient, int count) const {
    with_use(p, [&](auto use) {
      for (int o = 0; o < count; o += kLanes) use(load(gradient + o), o);
    });
  }

  // Calls body(use), where use(gradient, at) moves by a register of gradients at once, or keeps
  // them until the norm of all gradients is known.
  template <class Body>
  void with_use(Parameter& p, Body&& body) const {
    if (clip_norm_ > 0) {
      body([to = p.gradient.get()](Vec gradient, std::int64_t at)
               __attribute__((always_inline)) { store(to + at, gradient); });
      return;
    }
    const Rule rule = rule_.with_decay(p.decays ? weight_decay_ : 0);
    rule.dispatch([&]<Move move, bool decays>() {
      body([=, value = p.value.get(), first = p.first.get(), second = p.second.get()](
               Vec gradient, std::int64_t at) __attribute__((always_inline)) {
        rule.update<move, decays>(gradient, value, first, second, at);
      });
    });
  }

  // Scales all gradients so that their joint norm is at most clip_norm (Pascanu et al. 2013), as
  // torch.nn.utils.clip_grad_norm_, then moves every parameter.
  void clip_and_apply(std::vector<Layer>& layers) const {
    if (clip_norm_ == 0) return;
    double squares = 0;
    each_parameter(layers, [&](Parameter& p) {
      const float* g = p.gradient.get();
      for (std::int64_t i = 0; i < p.gradient.size(); ++i) squares += double{g[i]} * double{g[i]};
    });
    // In this order, so that a norm that is no number makes everything no number, as torch does.
    const float scale =
        static_cast<float>(std::min(clip_norm_ / (std::sqrt(squares) + 1e-6), 1.0));
    each_parameter(layers, [&](Parameter& p) {
      const Rule rule = rule_.with_decay(p.decays ? weight_decay_ : 0);
      rule.dispatch([&]<Move move, bool decays>() {
        for (std::int64_t i = 0; i < p.gradient.size(); i += kLanes)
          rule.update<move, decays>(scale * load(p.gradient.get() + i), p.value.get(), p.first.get(),
                            p.second.get(), i);
      });
    });
  }

 private:
  Rule rule_;
  float weight_decay_ = 0, clip_norm_ = 0;
};

}  // namespace downslope::DOWNSLOPE_ISA
