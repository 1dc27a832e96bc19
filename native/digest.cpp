// Trains the members of digests.txt (standard input) and writes the same lines with the digest of
// the weights that come out: they are to be the same bits wherever multiply-adds are fused. `make
// neon` runs this on an emulated ARM processor; tests/engines/test_digests.py does the same with
// the module on the processor that is there.
#include <cstdio>
#include <cstring>
#include <iostream>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "trainer.hpp"

namespace downslope {
std::unique_ptr<Trainer> DOWNSLOPE_FACTORY(const Spec& spec);

namespace {

constexpr int kRows = 150;  // two whole groups of rows and a part of one
constexpr int kPasses = 3;

// Fixed numbers from -0.5 to 0.5, exact in a float.
float number(std::uint32_t i) {
  return static_cast<float>((i * 2654435761u) >> 16) / 65536.0f - 0.5f;
}

template <class Choice>
Choice choose(const std::string& name, const std::vector<const char*>& names) {
  for (std::size_t i = 0; i < names.size(); ++i)
    if (name == names[i]) return static_cast<Choice>(i);
  throw std::invalid_argument(name);
}

// FNV-1a over the bits of each float.
std::uint64_t digest(const std::vector<float>& values) {
  std::uint64_t hash = 14695981039346656037u;
  for (const float value : values) {
    std::uint32_t bits;
    std::memcpy(&bits, &value, sizeof bits);
    hash = (hash ^ bits) * 1099511628211u;
  }
  return hash;
}

// `scale` makes weights so small that what is computed from them underflows.
std::vector<float> train(const Spec& spec, float scale) {
  const auto trainer = DOWNSLOPE_FACTORY(spec);
  std::vector<float> parameters(static_cast<std::size_t>(trainer->parameter_count()));
  for (std::size_t i = 0; i < parameters.size(); ++i)
    parameters[i] = number(static_cast<std::uint32_t>(i)) / 2 * scale;
  trainer->set_parameters(parameters.data());
  const int features = spec.widths.front(), outputs = spec.widths.back();
  std::vector<float> inputs(kRows * features), targets(kRows * outputs);
  std::vector<std::int64_t> classes(kRows), order(kRows);
  for (std::size_t i = 0; i < inputs.size(); ++i)
    inputs[i] = number(static_cast<std::uint32_t>(i) + 7);
  for (std::size_t i = 0; i < targets.size(); ++i)
    targets[i] = number(static_cast<std::uint32_t>(i) + 11) + 0.5f;
  for (int i = 0; i < kRows; ++i) {
    classes[i] = i % outputs;
    order[i] = i * 7 % kRows;
  }
  Examples examples;
  examples.inputs = inputs.data();
  examples.rows = kRows;
  if (spec.loss == Loss::cross_entropy)
    examples.classes = classes.data();
  else
    examples.targets = targets.data();
  const std::vector<double> rates(kRows, 1.0 / 64);
  std::vector<float> losses(kRows);
  for (int pass = 0; pass < kPasses; ++pass)
    trainer->train(examples, order.data(), kRows, rates.data(), losses.data());
  trainer->get_parameters(parameters.data());
  return parameters;
}

}  // namespace
}  // namespace downslope

int main() {
  using namespace downslope;
  for (std::string line; std::getline(std::cin, line);) {
    if (line[0] == '#') {
      std::puts(line.c_str());
      continue;
    }
    std::istringstream words(line.substr(0, line.rfind(' ')));
    std::string widths, activation, loss, optimizer;
    Spec spec;
    float scale = 1;
    words >> widths >> activation >> loss >> optimizer >> spec.batch_size >> spec.momentum >>
        spec.weight_decay >> spec.batch_norm >> spec.dropout >> spec.clip_norm >> scale;
    std::istringstream numbers(widths);
    for (std::string width; std::getline(numbers, width, '-');)
      spec.widths.push_back(std::stoi(width));
    spec.activation = choose<Activation>(
        activation, {"relu", "leaky_relu", "elu", "prelu", "gelu", "tanh"});
    spec.loss = choose<Loss>(loss, {"cross_entropy", "mean_squared_error"});
    spec.sigmoid = spec.loss == Loss::mean_squared_error;
    spec.optimizer = choose<Optimizer>(optimizer, {"sgd", "adam", "adamw"});
    spec.dropout_seed = 3;
    std::printf("%s %016llx\n", line.substr(0, line.rfind(' ')).c_str(),
                static_cast<unsigned long long>(digest(train(spec, scale))));
    std::fflush(stdout);
  }
}
