// A dense layer in memory: its weights in panels, its optimizer's moments, its activations.
#pragma once

#include <algorithm>
#include <cstdint>
#include <new>
#include <utility>
#include <vector>

#include "kernels.hpp"
#include "trainer.hpp"

namespace downslope::DOWNSLOPE_ISA {

// Zeroed floats on a cache line.
class Buffer {
 public:
  Buffer() = default;
  explicit Buffer(std::int64_t count)
      : count_(count),
        data_(static_cast<float*>(::operator new(std::max<std::int64_t>(count, 1) * sizeof(float),
                                                 std::align_val_t{64}))) {
    std::fill_n(data_, count, 0.0f);
  }
  Buffer(Buffer&& other) noexcept { swap(other); }
  Buffer& operator=(Buffer&& other) noexcept {
    swap(other);
    return *this;
  }
  ~Buffer() { ::operator delete(data_, std::align_val_t{64}); }
  float* get() const { return data_; }
  std::int64_t size() const { return count_; }

 private:
  void swap(Buffer& other) {
    std::swap(count_, other.count_);
    std::swap(data_, other.data_);
  }
  std::int64_t count_ = 0;
  float* data_ = nullptr;
};

// A trainable array with the optimizer's moments beside it.
struct Parameter {
  Buffer value, first, second;
  Buffer gradient;  // only where gradients are clipped: elsewhere a gradient is used as it is summed
  bool decays = false;
};

struct Panel {
  int column;  // first output
  int width;   // outputs, a multiple of kPad
  std::int64_t offset;  // of its block in the weight array
};

struct Layer {
  int in, out, padded_in, padded_out;
  bool hidden, norm, slope;
  std::vector<Panel> panels;
  Parameter weight, bias, gamma, beta, prelu;
  Buffer running_mean, running_var;
  Buffer inverse_std;        // of this minibatch, [padded_out]
  Buffer pre, normalized;    // [rows][padded_out]: input of the activation; before scale and shift
  Buffer mask;               // [rows][padded_out]: 0, or 1 / keep
  Buffer grad;               // [rows][padded_out]: of this layer's output, then of its Linear's output
  Buffer output;             // for the next layer, see Blocks
};

// Activations that a product reads lie in groups of rows, and within a group in blocks of 8
// features, [row / group][feature / 8][row % group][8]: both as rows of a forward tile and as
// columns of a weight-gradient tile they are read in order.
struct Blocks {
  int group;            // rows, a multiple of 16
  int padded_features;  // a multiple of 8

  std::int64_t at(std::int64_t row, std::int64_t feature) const {
    return row / group * group * padded_features +
           (feature / kPadIn * group + row % group) * kPadIn + feature % kPadIn;
  }
};

// Layer i of a network, its parameters at zero; `rows` is the largest minibatch, padded.
inline Layer make_layer(const Spec& spec, std::size_t i, int rows) {
  const bool plain = spec.optimizer == Optimizer::sgd && spec.momentum == 0;
  const int moments = spec.optimizer != Optimizer::sgd ? 2 : plain ? 0 : 1;
  auto make = [&](std::int64_t size, bool decays) {
    Parameter p;
    p.value = Buffer(size);
    if (moments > 0) p.first = Buffer(size);
    if (moments > 1) p.second = Buffer(size);
    if (spec.clip_norm > 0) p.gradient = Buffer(size);
    p.decays = decays;
    return p;
  };
  Layer l{};
  l.in = spec.widths[i];
  l.out = spec.widths[i + 1];
  l.padded_in = round_up(l.in, kPadIn);
  l.padded_out = round_up(l.out, kPad);
  l.hidden = i + 2 < spec.widths.size();
  l.norm = l.hidden && spec.batch_norm;
  l.slope = l.hidden && spec.activation == Activation::prelu;
  std::int64_t offset = 0;
  for (int column = 0; column < l.padded_out; column += kPanel) {
    const int width = std::min(kPanel, l.padded_out - column);
    l.panels.push_back({column, width, offset});
    offset += std::int64_t{l.padded_in} * width;
  }
  l.weight = make(std::int64_t{l.padded_in} * l.padded_out, true);
  l.bias = make(l.padded_out, spec.decay_all);
  if (l.norm) {
    l.gamma = make(l.padded_out, spec.decay_all);
    l.beta = make(l.padded_out, spec.decay_all);
    l.running_mean = Buffer(l.padded_out);
    l.running_var = Buffer(l.padded_out);
    std::fill_n(l.gamma.value.get(), l.out, 1.0f);
    std::fill_n(l.running_var.get(), l.out, 1.0f);
    l.inverse_std = Buffer(l.padded_out);
    l.normalized = Buffer(std::int64_t{rows} * l.padded_out);
  }
  if (l.slope) l.prelu = make(kPad, spec.decay_all);
  l.pre = Buffer(std::int64_t{rows} * l.padded_out);
  l.grad = Buffer(std::int64_t{rows} * l.padded_out);
  if (l.hidden) l.output = Buffer(std::int64_t{rows} * l.padded_out);
  if (l.hidden && spec.dropout > 0) l.mask = Buffer(std::int64_t{rows} * l.padded_out);
  return l;
}

// Walks over one array of every parameter in PyTorch's flat order.
template <class Pick, class Each>
void visit(const std::vector<Layer>& layers, Pick pick, Each each) {
  for (const Layer& l : layers) {
    float* weight = pick(l.weight);
    for (const Panel& p : l.panels)
      for (int o = 0; o < std::min(p.width, l.out - p.column); ++o)
        for (int k = 0; k < l.in; ++k) each(weight[p.offset + std::int64_t{k} * p.width + o]);
    for (const Parameter* p : {&l.bias, &l.gamma, &l.beta})
      if (p->value.size() > 0)
        for (int o = 0; o < l.out; ++o) each(pick(*p)[o]);
    if (l.slope) each(pick(l.prelu)[0]);
  }
}

template <class Each>
void each_parameter(std::vector<Layer>& layers, Each each) {
  for (Layer& l : layers)
    for (Parameter* p : {&l.weight, &l.bias, &l.gamma, &l.beta, &l.prelu})
      if (p->value.size() > 0) each(*p);
}

}  // namespace downslope::DOWNSLOPE_ISA
