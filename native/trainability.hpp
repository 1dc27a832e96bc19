// Trains many networks of one start that differ in their two learning rates alone.
#pragma once

#include <cstdint>

namespace downslope {

// The networks are y = second . tanh(first x) / units, in double precision; the loss is the mean of
// (y - target)^2 over all examples, and each step is one of gradient descent on it. Row-major
// arrays, borrowed.
struct SmallNetworks {
  const double* inputs = nullptr;   // (examples, features)
  const double* targets = nullptr;  // (examples)
  const double* first = nullptr;    // (units, features), the start of all networks
  const double* second = nullptr;   // (units)
  const double* rates = nullptr;    // (networks, 2): of `first` and of `second`
  std::int64_t examples = 0;        // a multiple of kExamplesAtOnce
  std::int64_t features = 0;        // a multiple of 2
  std::int64_t units = 0;           // a multiple of kUnitsAtOnce
  std::int64_t networks = 0;
  std::int64_t steps = 0;
  std::int64_t tail = 0;  // steps at the end whose losses are averaged
  double limit = 0;       // a network whose loss is more times its first one has diverged, and ends
};

constexpr std::int64_t kExamplesAtOnce = 16;
constexpr std::int64_t kUnitsAtOnce = 8;

// What became of a network, by losses before each update over the first loss.
struct SmallNetworkOutcome {
  double losses = 0;    // their sum
  double inverses = 0;  // the sum of one over each
  double last = 0;      // mean of the last `tail`; infinite where the network diverged
  double steps = 0;     // done, the one at which it diverged included
};

// One function per instruction set, each from its own build of trainability.cpp.
void train_small_networks_baseline(const SmallNetworks& task, SmallNetworkOutcome* outcomes);
#if defined(__x86_64__)
void train_small_networks_avx2(const SmallNetworks& task, SmallNetworkOutcome* outcomes);
void train_small_networks_avx512(const SmallNetworks& task, SmallNetworkOutcome* outcomes);
#endif

}  // namespace downslope
