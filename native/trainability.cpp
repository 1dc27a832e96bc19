// Small networks in lanes: each lane of a register trains a network of its own, through the same
// operations in the same order. So the bits of a network depend neither on its neighbours nor on
// the width of the register. A lane whose network has ended takes the next one.
#include "trainability.hpp"

#include <cmath>
#include <limits>
#include <vector>

#include "doubles.hpp"
#include "underflow.hpp"

#define DOWNSLOPE_NAME2(isa) train_small_networks_##isa
#define DOWNSLOPE_NAME(isa) DOWNSLOPE_NAME2(isa)

namespace downslope {
namespace DOWNSLOPE_ISA {
namespace {

constexpr int kBlock = kExamplesAtOnce;
constexpr int kTileUnits = 4, kTileOthers = 2;  // 8 sums, 4 + 2 factors: 16 registers hold them

class Lanes {
 public:
  explicit Lanes(const SmallNetworks& task)
      : task_(task), first_(task.units * task.features), gradient_(first_.size()),
        second_(task.units), second_gradient_(task.units), hidden_(kBlock * task.units) {
    for (std::int64_t& network : network_) network = -1;
  }

  void train(SmallNetworkOutcome* outcomes) {
    for (int lane = 0; lane < kDoubles; ++lane) load(lane);
    while (active_ > 0) {
      const Doubles losses = differentiate();
      update();
      for (int lane = 0; lane < kDoubles; ++lane)
        if (network_[lane] >= 0 && ended(lane, losses[lane], outcomes[network_[lane]])) load(lane);
    }
  }

 private:
  // Starts the next network in a lane; where there is none the lane idles on zeros.
  void load(int lane) {
    const bool any = next_ < task_.networks;
    active_ += any - (network_[lane] >= 0);
    network_[lane] = any ? next_++ : -1;
    for (std::size_t i = 0; i < first_.size(); ++i) first_[i][lane] = any ? task_.first[i] : 0;
    for (std::size_t j = 0; j < second_.size(); ++j) second_[j][lane] = any ? task_.second[j] : 0;
    for (int i = 0; i < 2; ++i) rates_[i][lane] = any ? task_.rates[2 * network_[lane] + i] : 0;
  }

  // Counts a step; tells whether it was the network's last.
  bool ended(int lane, double loss, SmallNetworkOutcome& outcome) {
    if (outcome.steps == 0) unit_[lane] = loss;
    const double relative = loss / unit_[lane];
    outcome.steps += 1;
    if (!(relative <= task_.limit)) {  // not a number, too
      outcome.last = std::numeric_limits<double>::infinity();
      return true;
    }
    outcome.losses += relative;
    outcome.inverses += 1 / relative;
    if (outcome.steps > static_cast<double>(task_.steps - task_.tail))
      outcome.last += relative / static_cast<double>(task_.tail);
    return outcome.steps == static_cast<double>(task_.steps);
  }

  // Puts the gradients in place and returns the loss. That of `first` lacks its factor, `second`.
  Doubles differentiate() {
    for (Doubles& g : gradient_) g = Doubles{};
    for (Doubles& g : second_gradient_) g = Doubles{};
    const double examples = static_cast<double>(task_.examples);
    const double unit = 1 / static_cast<double>(task_.units);
    Doubles total{};
    for (std::int64_t start = 0; start < task_.examples; start += kBlock) {
      forward(start);
      Doubles residuals[kBlock];
      outputs(residuals);
      for (int p = 0; p < kBlock; ++p) {
        const Doubles residual = residuals[p] * unit - task_.targets[start + p];
        total += residual * residual;
        residuals[p] = residual * (2 * unit / examples);
      }
      backward(residuals);
      accumulate_gradient(start);
    }
    return total / examples;
  }

  void forward(std::int64_t start) {
    const std::int64_t features = task_.features;
    for (std::int64_t j = 0; j < task_.units; j += kTileUnits)
      for (int p = 0; p < kBlock; p += kTileOthers) {
        const double* x = task_.inputs + (start + p) * features;
        const Doubles* w = first_.data() + j * features;
        Doubles sums[kTileUnits][kTileOthers] = {};
        for (std::int64_t k = 0; k < features; ++k) {
          DOWNSLOPE_UNROLL
          for (int i = 0; i < kTileUnits; ++i) {
            DOWNSLOPE_UNROLL
            for (int q = 0; q < kTileOthers; ++q) sums[i][q] += w[i * features + k] * x[q * features + k];
          }
        }
        DOWNSLOPE_UNROLL
        for (int i = 0; i < kTileUnits; ++i) {
          DOWNSLOPE_UNROLL
          for (int q = 0; q < kTileOthers; ++q) hidden_[(p + q) * task_.units + j + i] = sums[i][q];
        }
      }
    for (Doubles& h : hidden_) h = hyperbolic_tangent(h);
  }

  // Sums second[j] * hidden[p][j] over j.
  void outputs(Doubles (&sums)[kBlock]) {
    for (int p = 0; p < kBlock; p += 8) {
      Doubles y[8] = {};
      for (std::int64_t j = 0; j < task_.units; ++j) {
        DOWNSLOPE_UNROLL
        for (int q = 0; q < 8; ++q) y[q] += second_[j] * hidden_[(p + q) * task_.units + j];
      }
      for (int q = 0; q < 8; ++q) sums[p + q] = y[q];
    }
  }

  // Adds to the gradient of `second`, and turns hidden units into what reaches them.
  void backward(const Doubles (&residuals)[kBlock]) {
    for (std::int64_t j = 0; j < task_.units; j += kUnitsAtOnce) {
      Doubles sums[kUnitsAtOnce];
      for (int i = 0; i < kUnitsAtOnce; ++i) sums[i] = second_gradient_[j + i];
      for (int p = 0; p < kBlock; ++p) {
        Doubles* h = hidden_.data() + p * task_.units + j;
        DOWNSLOPE_UNROLL
        for (int i = 0; i < kUnitsAtOnce; ++i) {
          sums[i] += residuals[p] * h[i];
          h[i] = residuals[p] * (1.0 - h[i] * h[i]);
        }
      }
      for (int i = 0; i < kUnitsAtOnce; ++i) second_gradient_[j + i] = sums[i];
    }
  }

  void accumulate_gradient(std::int64_t start) {
    const std::int64_t features = task_.features, units = task_.units;
    const double* x = task_.inputs + start * features;
    for (std::int64_t j = 0; j < units; j += kTileUnits)
      for (std::int64_t k = 0; k < features; k += kTileOthers) {
        Doubles* g = gradient_.data() + j * features + k;
        Doubles sums[kTileUnits][kTileOthers];
        DOWNSLOPE_UNROLL
        for (int i = 0; i < kTileUnits; ++i) {
          DOWNSLOPE_UNROLL
          for (int q = 0; q < kTileOthers; ++q) sums[i][q] = g[i * features + q];
        }
        for (int p = 0; p < kBlock; ++p) {
          DOWNSLOPE_UNROLL
          for (int i = 0; i < kTileUnits; ++i) {
            DOWNSLOPE_UNROLL
            for (int q = 0; q < kTileOthers; ++q)
              sums[i][q] += hidden_[p * units + j + i] * x[p * features + k + q];
          }
        }
        DOWNSLOPE_UNROLL
        for (int i = 0; i < kTileUnits; ++i) {
          DOWNSLOPE_UNROLL
          for (int q = 0; q < kTileOthers; ++q) g[i * features + q] = sums[i][q];
        }
      }
  }

  void update() {
    for (std::int64_t j = 0; j < task_.units; ++j) {
      const Doubles step = rates_[0] * second_[j];
      for (std::int64_t k = 0; k < task_.features; ++k)
        first_[j * task_.features + k] -= step * gradient_[j * task_.features + k];
      second_[j] -= rates_[1] * second_gradient_[j];
    }
  }

  const SmallNetworks& task_;
  std::vector<Doubles> first_, gradient_, second_, second_gradient_;
  std::vector<Doubles> hidden_;  // of a block of examples: (examples, units)
  Doubles rates_[2] = {};
  double unit_[kDoubles] = {};  // the first loss of each lane's network
  std::int64_t network_[kDoubles];
  std::int64_t next_ = 0, active_ = 0;
};

}  // namespace
}  // namespace DOWNSLOPE_ISA

void DOWNSLOPE_NAME(DOWNSLOPE_ISA)(const SmallNetworks& task, SmallNetworkOutcome* outcomes) {
  const DOWNSLOPE_ISA::FlushToZero flush;
  DOWNSLOPE_ISA::Lanes lanes(task);
  lanes.train(outcomes);
}

}  // namespace downslope
