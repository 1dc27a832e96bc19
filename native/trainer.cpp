// One member in training: forward, backward and update, written once and built once per
// instruction set. Within a step no memory is allocated and nothing but this code runs.
#include "trainer.hpp"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <vector>

#include "elementwise.hpp"
#include "kernels.hpp"
#include "layer.hpp"
#include "losses.hpp"
#include "normalization.hpp"
#include "products.hpp"
#include "underflow.hpp"
#include "update.hpp"

namespace downslope::DOWNSLOPE_ISA {
namespace {

constexpr int kRowsAlign = 16;
constexpr int kGroup = 48;  // rows that are fetched and go through the first product at a time

class MemberTrainer final : public Trainer {
 public:
  explicit MemberTrainer(const Spec& spec) : spec_(spec), group_(std::min(kGroup, round_up(spec.batch_size, kRowsAlign))),
        rows_(round_up(spec.batch_size, group_)) {
    int widest = 0;
    for (std::size_t i = 0; i + 1 < spec.widths.size(); ++i) {
      layers_.push_back(make_layer(spec, i, rows_));
      widest = std::max({widest, layers_[i].padded_out, layers_[i].padded_in});
    }
    input_ = Buffer(std::int64_t{rows_} * layers_[0].padded_in);
    transposed_ = Buffer(std::int64_t{rows_} * (widest + kPad));
    transposed_in_ = Buffer(std::int64_t{rows_} * (widest + kPad));
    line_ = Buffer(4 * (widest + kPad));
  }

  std::int64_t parameter_count() const override {
    std::int64_t n = 0;
    for (const Layer& l : layers_)
      n += std::int64_t{l.in + 1} * l.out + (l.norm ? 2 * l.out : 0) + (l.slope ? 1 : 0);
    return n;
  }
  std::int64_t buffer_count() const override {
    std::int64_t n = 0;
    for (const Layer& l : layers_) n += l.norm ? 2 * l.out : 0;
    return n;
  }
  void get_parameters(float* out) const override {
    visit(layers_, [](const Parameter& p) { return p.value.get(); },
          [&](float& inside) { *out++ = inside; });
  }
  void set_parameters(const float* in) override {
    visit(layers_, [](const Parameter& p) { return p.value.get(); },
          [&](float& inside) { inside = *in++; });
  }
  void get_moment(int which, float* out) const override {
    visit(layers_, [&](const Parameter& p) { return (which ? p.second : p.first).get(); },
          [&](float& inside) { *out++ = inside; });
  }
  void set_moment(int which, const float* in) override {
    visit(layers_, [&](const Parameter& p) { return (which ? p.second : p.first).get(); },
          [&](float& inside) { inside = *in++; });
  }
  void get_buffers(float* out) const override {
    for (const Layer& l : layers_)
      if (l.norm) {
        out = std::copy_n(l.running_mean.get(), l.out, out);
        out = std::copy_n(l.running_var.get(), l.out, out);
      }
  }
  void set_buffers(const float* in) override {
    for (Layer& l : layers_)
      if (l.norm) {
        std::copy_n(in, l.out, l.running_mean.get());
        std::copy_n(in + l.out, l.out, l.running_var.get());
        in += 2 * l.out;
      }
  }
  std::int64_t steps() const override { return steps_; }
  void set_steps(std::int64_t steps) override { steps_ = steps; }

  std::int64_t train(const Examples& examples, const std::int64_t* order, std::int64_t count,
                     const double* rates, float* losses) override {
    const FlushToZero flush;
    std::int64_t minibatch = 0;
    for (std::int64_t start = 0; start < count; start += spec_.batch_size, ++minibatch) {
      const int rows = static_cast<int>(std::min<std::int64_t>(spec_.batch_size, count - start));
      if (examples.classes != nullptr)  // they lie anywhere in memory and are needed soon
        for (int r = 0; r < rows; ++r) __builtin_prefetch(examples.classes + order[start + r]);
      // The rows lie anywhere in memory: those of the next group are asked for while this one is
      // multiplied, the first ones of the next minibatch while weights are updated.
      const auto row_at = [&](std::int64_t r) {
        return examples.inputs + order[start + r] * layers_[0].in;
      };
      for (int first = 0; first < rows; first += group_) {
        const int last = std::min(rows, first + group_);
        gather(first, last, row_at);
        linear_forward(layers_[0], input_.get(), blocks_of(0), first, round_up(last, 4),
                       [&](int row, int side, int k) {
                         const int end = std::min(rows, last + row + side);
                         for (int r = last + row; r < end; ++r)
                           for (int i = k; i < std::min(layers_[0].in, k + kInner); i += 16)
                             __builtin_prefetch(row_at(r) + i, 0, 2);
                       });
      }
      next_.clear();
      for (std::int64_t r = rows; r < std::min<std::int64_t>(count - start, rows + group_); ++r)
        next_.push_back(row_at(r));
      forward(rows, Pass::train, true);
      losses[minibatch] = static_cast<float>(
          loss_gradient(spec_, layers_.back(), examples, order + start, rows));
      ++steps_;
      update_ = Update(spec_, rates[minibatch], steps_);
      backward(rows);
      if (!std::isfinite(losses[minibatch]) || stopped_.load(std::memory_order_relaxed))
        return minibatch + 1;
    }
    return minibatch;
  }

  void stop() override { stopped_.store(true, std::memory_order_relaxed); }

  Evaluation evaluate(const Examples& examples) override {
    const FlushToZero flush;
    Evaluation found;
    for (std::int64_t start = 0; start < examples.rows; start += rows_) {
      const int rows = static_cast<int>(std::min<std::int64_t>(rows_, examples.rows - start));
      gather_run(examples.inputs, start, rows);
      forward(rows, Pass::evaluate);
      add_losses(spec_, layers_.back(), examples, start, rows, line_.get(), found);
      if (stopped_.load(std::memory_order_relaxed)) break;  // nobody waits for the result
    }
    found.loss /= static_cast<double>(examples.rows);
    return found;
  }

  // The inputs of the first activation are affine in the two coordinates: three products with the
  // examples serve all points.
  void losses_on_plane(const Examples& examples, const float* origin, const float* first,
                       const float* second, const double* points, std::int64_t count,
                       bool recompute, Evaluation* found) override {
    const FlushToZero flush;
    const float* vectors[3] = {origin, first, second};
    std::vector<Buffer> corners[3];
    for (int v = 0; v < 3; ++v) {
      set_parameters(vectors[v]);
      each_parameter(layers_, [&](Parameter& p) {
        corners[v].emplace_back(p.value.size());
        std::copy_n(p.value.get(), p.value.size(), corners[v].back().get());
      });
    }
    Layer& l = layers_[0];
    const std::int64_t size = std::int64_t{rows_} * l.padded_out;
    const Buffer products[3] = {Buffer(size), Buffer(size), Buffer(size)};
    std::fill_n(found, count, Evaluation{});
    for (std::int64_t start = 0; start < examples.rows; start += rows_) {
      const int rows = static_cast<int>(std::min<std::int64_t>(rows_, examples.rows - start));
      gather_run(examples.inputs, start, rows);
      for (int v = 0; v < 3; ++v) {
        std::copy_n(corners[v][0].get(), l.weight.value.size(), l.weight.value.get());
        std::copy_n(corners[v][1].get(), l.bias.value.size(), l.bias.value.get());
        linear_forward(l, input_.get(), blocks_of(0), round_up(rows, 4));
        std::copy_n(l.pre.get(), size, products[v].get());
      }
      for (std::int64_t i = 0; i < count; ++i) {
        if (stopped_.load(std::memory_order_relaxed)) return;
        const float a = static_cast<float>(points[2 * i]), b = static_cast<float>(points[2 * i + 1]);
        const auto combine = [&](const Buffer& o, const Buffer& f, const Buffer& s, Buffer& to) {
          for (std::int64_t k = 0; k < to.size(); k += kLanes)
            store(to.get() + k,
                  load(o.get() + k) + a * load(f.get() + k) + b * load(s.get() + k));
        };
        std::size_t which = 0;
        each_parameter(layers_, [&](Parameter& p) {
          if (&p != &l.weight)
            combine(corners[0][which], corners[1][which], corners[2][which], p.value);
          ++which;
        });
        combine(products[0], products[1], products[2], l.pre);
        if (recompute) {
          forward(rows, Pass::statistics, true);
          combine(products[0], products[1], products[2], l.pre);
        }
        forward(rows, Pass::evaluate, true);
        add_losses(spec_, layers_.back(), examples, start, rows, line_.get(), found[i]);
      }
    }
  }

  void predict(const float* inputs, std::int64_t count, float* outputs) override {
    const FlushToZero flush;
    const Layer& last = layers_.back();
    for (std::int64_t start = 0; start < count; start += rows_) {
      const int rows = static_cast<int>(std::min<std::int64_t>(rows_, count - start));
      gather_run(inputs, start, rows);
      forward(rows, Pass::evaluate);
      for (int r = 0; r < rows; ++r)
        std::copy_n(last.pre.get() + std::int64_t{r} * last.padded_out, last.out,
                    outputs + (start + r) * last.out);
    }
  }

  std::int64_t multiply_add(std::int64_t rounds) const override {
    constexpr int kChains = 12;  // hide the latency of an operation behind the others
    Vec sums[kChains];
    DOWNSLOPE_UNROLL
    for (int i = 0; i < kChains; ++i) sums[i] = splat(static_cast<float>(i));
    const Vec factor = splat(0.999f), term = splat(0.001f);
    for (std::int64_t k = 0; k < rounds; ++k) {
      DOWNSLOPE_UNROLL
      for (int i = 0; i < kChains; ++i) sums[i] = sums[i] * factor + term;
    }
    DOWNSLOPE_UNROLL
    for (int i = 1; i < kChains; ++i) sums[0] += sums[i];
    volatile float used = sums[0][0];  // or the compiler would leave all of it out
    static_cast<void>(used);
    return rounds * kChains * kLanes * 2;
  }

 private:
  // Copies rows [first, last) of one group into blocks, a few rows side by side so that what is
  // written stays in order. row_at(r) is the address of row r.
  template <class RowAt>
  void gather(int first, int last, RowAt row_at) {
    constexpr int kSide = 16;
    const int in = layers_[0].in, whole = in / kPadIn * kPadIn;
    const std::int64_t pitch = std::int64_t{group_} * kPadIn;
    for (; first < last; first += kSide) {
      const int side = std::min(kSide, last - first);
      const float* from[kSide];
      for (int i = 0; i < side; ++i) from[i] = row_at(first + i);
      float* to = input_.get() + blocks_of(0).at(first, 0);
      for (int k = 0; k < whole; k += kPadIn, to += pitch) {
        // Sixteen streams and a jump between blocks are more than processors foresee.
        for (int i = 0; i < side; i += 2) __builtin_prefetch(to + 2 * pitch + i * kPadIn, 1, 3);
        if (k % 16 == 0)
          for (int i = 0; i < side; ++i) __builtin_prefetch(from[i] + k + 48, 0, 3);
        for (int i = 0; i < side; ++i) std::memcpy(to + i * kPadIn, from[i] + k, kPadIn * 4);
      }
      for (int i = 0; i < side; ++i)
        for (int k = whole; k < in; ++k) to[i * kPadIn + k - whole] = from[i][k];
    }
  }
  void gather_run(const float* inputs, std::int64_t start, int rows) {
    for (int first = 0; first < rows; first += group_)
      gather(first, std::min(rows, first + group_),
             [&](int r) { return inputs + (start + r) * layers_[0].in; });
  }

  const float* input_of(std::size_t i) const {
    return i == 0 ? input_.get() : layers_[i - 1].output.get();
  }
  Blocks blocks_of(std::size_t i) const { return {group_, layers_[i].padded_in}; }

  // first_done: the first layer's product is there already.
  void forward(int rows, Pass pass, bool first_done = false) {
    const int padded = round_up(rows, 4);
    for (std::size_t i = 0; i < layers_.size(); ++i) {
      Layer& l = layers_[i];
      if (i > 0 || !first_done) linear_forward(l, input_of(i), blocks_of(i), padded);
      if (!l.hidden) {
        if (spec_.sigmoid) sigmoid(l.pre.get(), std::int64_t{rows} * l.padded_out);
        continue;
      }
      if (l.norm) normalize(l, rows, pass, line_.get(), wide_);
      const float slope = l.slope ? l.prelu.value.get()[0] : 0;
      const bool drops = pass == Pass::train && spec_.dropout > 0;
      if (drops)
        dropout_mask(l.mask.get(), rows, l.padded_out, round_up(l.out, 16), spec_.dropout,
                     spec_.dropout_seed, static_cast<std::uint64_t>(steps_),
                     static_cast<std::uint32_t>(i));
      float* line = line_.get();
      const Blocks next = blocks_of(i + 1);
      for (int r = 0; r < rows; ++r) {
        activate(spec_.activation, l.pre.get() + std::int64_t{r} * l.padded_out, line, l.padded_out, slope);
        if (drops)
          for (int o = 0; o < l.padded_out; ++o) line[o] *= l.mask.get()[std::int64_t{r} * l.padded_out + o];
        float* to = l.output.get() + next.at(r, 0);
        for (int o = 0; o < next.padded_features; o += kPadIn, to += std::int64_t{group_} * kPadIn)
          std::memcpy(to, line + o, kPadIn * 4);
      }
    }
  }

  void backward(int rows) {
    for (std::size_t i = layers_.size(); i-- > 0;) {
      Layer& l = layers_[i];
      if (l.hidden) hidden_backward(l, rows);
      // Before the weights move.
      if (i > 0)
        input_gradient(l, layers_[i - 1], rows, transposed_.get(), transposed_in_.get());
      update_weights(l, input_of(i), blocks_of(i), rows, update_, i == 0 ? next_ : none_,
                     transposed_.get());
      column_sums(l.grad.get(), rows, l.padded_out, line_.get());
      update_.apply(l.bias, line_.get(), l.padded_out);
    }
    update_.clip_and_apply(layers_);
  }

  // From the gradient of a hidden layer's output to that of its Linear's output, in place.
  void hidden_backward(Layer& l, int rows) {
    const int n = l.padded_out;
    float* slope_gradient = line_.get();
    float slope_sum = 0;
    const float slope = l.slope ? l.prelu.value.get()[0] : 0;
    for (int r = 0; r < rows; ++r) {
      float* g = l.grad.get() + std::int64_t{r} * n;
      if (spec_.dropout > 0)
        for (int o = 0; o < n; ++o) g[o] *= l.mask.get()[std::int64_t{r} * n + o];
      const float* z = l.pre.get() + std::int64_t{r} * n;
      if (l.slope) slope_sum += prelu_slope_gradient(z, g, n, line_.get());
      differentiate(spec_.activation, z, g, n, slope);
    }
    if (l.slope) {
      std::fill_n(slope_gradient, kPad, 0.0f);
      slope_gradient[0] = slope_sum;
      update_.apply(l.prelu, slope_gradient, kPad);
    }
    if (l.norm) normalize_backward(l, rows, update_, line_.get());
  }

  Spec spec_;
  int group_;  // rows of a group, see Blocks
  int rows_;   // of every buffer
  std::vector<Layer> layers_;
  Buffer input_;  // blocked
  Buffer transposed_, transposed_in_, line_;
  std::vector<double> wide_;
  std::int64_t steps_ = 0;
  Update update_;
  std::vector<const float*> next_, none_;
  std::atomic<bool> stopped_{false};
};

}  // namespace
}  // namespace downslope::DOWNSLOPE_ISA

#define DOWNSLOPE_JOIN_(a, b) a##b
#define DOWNSLOPE_JOIN(a, b) DOWNSLOPE_JOIN_(a, b)

namespace downslope {
std::unique_ptr<Trainer> DOWNSLOPE_JOIN(make_trainer_, DOWNSLOPE_ISA)(const Spec& spec) {
  return std::make_unique<DOWNSLOPE_ISA::MemberTrainer>(spec);
}
}  // namespace downslope
