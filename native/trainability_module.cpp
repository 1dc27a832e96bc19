// The Python face of trainability.cpp: checks shapes, lets go of the interpreter's lock, calls.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/string.h>

#include <algorithm>
#include <stdexcept>
#include <string>
#include <vector>

#include "trainability.hpp"

namespace nb = nanobind;
using namespace nb::literals;

namespace downslope {

std::vector<std::string> supported();

namespace {

template <int Dimensions>
using Numbers = nb::ndarray<const double, nb::c_contig, nb::device::cpu, nb::ndim<Dimensions>>;
using Outcomes = nb::ndarray<double, nb::shape<-1, 4>, nb::c_contig, nb::device::cpu>;

static_assert(sizeof(SmallNetworkOutcome) == 4 * sizeof(double));

void require(bool condition, const char* message) {
  if (!condition) throw std::invalid_argument(message);
}

void train(const std::string& isa, const SmallNetworks& task, SmallNetworkOutcome* outcomes) {
#if defined(__x86_64__)
  if (isa == "avx512") return train_small_networks_avx512(task, outcomes);
  if (isa == "avx2") return train_small_networks_avx2(task, outcomes);
#endif
  train_small_networks_baseline(task, outcomes);
}

}  // namespace

void bind_trainability(nb::module_& m) {
  m.def(
      "train_small_networks",
      [](const std::string& isa, Numbers<2> inputs, Numbers<1> targets, Numbers<2> first,
         Numbers<1> second, Numbers<2> rates, std::int64_t steps, std::int64_t tail, double limit,
         Outcomes outcomes) {
        SmallNetworks task{inputs.data(), targets.data(), first.data(), second.data(), rates.data()};
        task.examples = static_cast<std::int64_t>(inputs.shape(0));
        task.features = static_cast<std::int64_t>(inputs.shape(1));
        task.units = static_cast<std::int64_t>(first.shape(0));
        task.networks = static_cast<std::int64_t>(rates.shape(0));
        task.steps = steps;
        task.tail = tail;
        task.limit = limit;
        const auto names = supported();
        require(std::find(names.begin(), names.end(), isa) != names.end(), "isa: not here");
        require(task.examples >= 1 && task.examples % kExamplesAtOnce == 0,
                "inputs: examples must be a multiple of 16");
        require(task.features >= 1 && task.features % 2 == 0, "inputs: features must be even");
        require(task.units >= 1 && task.units % kUnitsAtOnce == 0,
                "first: units must be a multiple of 8");
        require(targets.shape(0) == inputs.shape(0), "targets: one per example");
        require(first.shape(1) == inputs.shape(1), "first: as many columns as inputs");
        require(second.shape(0) == first.shape(0), "second: one per unit");
        require(rates.shape(1) == 2 && outcomes.shape(0) == rates.shape(0),
                "rates, outcomes: a row for each network");
        require(1 <= tail && tail <= steps, "tail: from 1 to steps");
        auto* results = reinterpret_cast<SmallNetworkOutcome*>(outcomes.data());
        std::fill(results, results + task.networks, SmallNetworkOutcome{});
        nb::gil_scoped_release unlocked;
        train(isa, task, results);
      },
      "isa"_a, nb::kw_only(), "inputs"_a.noconvert(), "targets"_a.noconvert(),
      "first"_a.noconvert(), "second"_a.noconvert(), "rates"_a.noconvert(), "steps"_a, "tail"_a,
      "limit"_a, "outcomes"_a.noconvert());
}

}  // namespace downslope
