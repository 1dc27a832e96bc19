// One member in training: forward, backward and update, written once and built once per
// instruction set. Within a step no memory is allocated and nothing but this code runs.
#include "trainer.hpp"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <new>

#include "elementwise.hpp"
#include "kernels.hpp"
#include "optimizer.hpp"

namespace downslope::DOWNSLOPE_ISA {
namespace {

constexpr double kBatchNormEpsilon = 1e-5;
constexpr int kAhead = 64;
constexpr double kBatchNormMomentum = 0.1;

// What a forward pass is for. Statistics: batch norm takes its running statistics from these rows.
enum class Pass { train, statistics, evaluate };

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
  int width;   // outputs, a multiple of 16
  std::int64_t offset;  // of its block in the weight array
};

struct Layer {
  int in, out, in8, out16;
  bool hidden, norm, slope;
  std::vector<Panel> panels;
  Parameter weight, bias, gamma, beta, prelu;
  Buffer running_mean, running_var;
  Buffer inverse_std;        // of this minibatch, [out16]
  Buffer pre, normalized;    // [rows][out16]: input of the activation; before scale and shift
  Buffer mask;               // [rows][out16]: 0, or 1 / keep
  Buffer grad;               // [rows][out16]: of this layer's output, then of its Linear's output
  Buffer output;             // blocked for the next layer, see `blocked`
};

// Activations that a product reads lie in blocks of 8 features, [feature / 8][row][8]: both as
// rows of a forward tile and as columns of a weight-gradient tile they are read in order.
inline std::int64_t blocked(std::int64_t row, std::int64_t feature, std::int64_t rows) {
  return (feature / kPadIn * rows + row) * kPadIn + feature % kPadIn;
}

class MemberTrainer final : public Trainer {
 public:
  explicit MemberTrainer(const Spec& spec) : spec_(spec), rows_(round_up(spec.batch_size, kPad)) {
    const int count = static_cast<int>(spec.widths.size()) - 1;
    const bool plain = spec.optimizer == Optimizer::sgd && spec.momentum == 0;
    const int moments = spec.optimizer != Optimizer::sgd ? 2 : plain ? 0 : 1;
    int widest = 0;
    auto make = [&](std::int64_t size, bool decays) {
      Parameter p;
      p.value = Buffer(size);
      if (moments > 0) p.first = Buffer(size);
      if (moments > 1) p.second = Buffer(size);
      if (spec.clip_norm > 0) p.gradient = Buffer(size);
      p.decays = decays;
      return p;
    };
    for (int i = 0; i < count; ++i) {
      Layer l{};
      l.in = spec.widths[i];
      l.out = spec.widths[i + 1];
      l.in8 = round_up(l.in, kPadIn);
      l.out16 = round_up(l.out, kPad);
      l.hidden = i + 1 < count;
      l.norm = l.hidden && spec.batch_norm;
      l.slope = l.hidden && spec.activation == Activation::prelu;
      std::int64_t offset = 0;
      for (int column = 0; column < l.out16; column += kPanel) {
        const int width = std::min(kPanel, l.out16 - column);
        l.panels.push_back({column, width, offset});
        offset += std::int64_t{l.in8} * width;
      }
      l.weight = make(std::int64_t{l.in8} * l.out16, true);
      l.bias = make(l.out16, spec.decay_all);
      if (l.norm) {
        l.gamma = make(l.out16, spec.decay_all);
        l.beta = make(l.out16, spec.decay_all);
        l.running_mean = Buffer(l.out16);
        l.running_var = Buffer(l.out16);
        std::fill_n(l.gamma.value.get(), l.out, 1.0f);
        std::fill_n(l.running_var.get(), l.out, 1.0f);
        l.inverse_std = Buffer(l.out16);
        l.normalized = Buffer(std::int64_t{rows_} * l.out16);
      }
      if (l.slope) l.prelu = make(kPad, spec.decay_all);
      l.pre = Buffer(std::int64_t{rows_} * l.out16);
      l.grad = Buffer(std::int64_t{rows_} * l.out16);
      if (l.hidden) l.output = Buffer(std::int64_t{rows_} * round_up(l.out, kPad));
      if (l.hidden && spec.dropout > 0) l.mask = Buffer(std::int64_t{rows_} * l.out16);
      widest = std::max({widest, l.out16, l.in8});
      layers_.push_back(std::move(l));
    }
    input_ = Buffer(std::int64_t{rows_} * layers_[0].in8);
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
    visit([](const Parameter& p) { return p.value.get(); },
          [&](float& inside) { *out++ = inside; });
  }
  void set_parameters(const float* in) override {
    visit([](const Parameter& p) { return p.value.get(); },
          [&](float& inside) { inside = *in++; });
  }
  void get_moment(int which, float* out) const override {
    visit([&](const Parameter& p) { return (which ? p.second : p.first).get(); },
          [&](float& inside) { *out++ = inside; });
  }
  void set_moment(int which, const float* in) override {
    visit([&](const Parameter& p) { return (which ? p.second : p.first).get(); },
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
    std::int64_t minibatch = 0;
    for (std::int64_t start = 0; start < count; start += spec_.batch_size, ++minibatch) {
      const int rows = static_cast<int>(std::min<std::int64_t>(spec_.batch_size, count - start));
      if (examples.classes != nullptr)  // they lie anywhere in memory and are needed soon
        for (int r = 0; r < rows; ++r) __builtin_prefetch(examples.classes + order[start + r]);
      gather(rows, [&](int r) { return examples.inputs + order[start + r] * layers_[0].in; });
      // The rows of the next minibatch lie anywhere in memory: they are asked for a step ahead.
      // Larger minibatches would push weights out of the cache.
      next_.clear();
      const std::int64_t after = start + spec_.batch_size;
      if (spec_.batch_size <= kAhead)
        for (std::int64_t r = after; r < std::min(count, after + spec_.batch_size); ++r)
          next_.push_back(examples.inputs + order[r] * layers_[0].in);
      forward(rows, Pass::train);
      losses[minibatch] = static_cast<float>(
          loss_gradient(examples, order + start, rows));
      ++steps_;
      rule_ = Rule(spec_, rates[minibatch], steps_);
      backward(rows);
      if (!std::isfinite(losses[minibatch]) || stopped_.load(std::memory_order_relaxed))
        return minibatch + 1;
    }
    return minibatch;
  }

  void stop() override { stopped_.store(true, std::memory_order_relaxed); }

  Evaluation evaluate(const Examples& examples) override {
    Evaluation found;
    for (std::int64_t start = 0; start < examples.rows; start += rows_) {
      const int rows = static_cast<int>(std::min<std::int64_t>(rows_, examples.rows - start));
      gather_run(examples.inputs, start, rows);
      forward(rows, Pass::evaluate);
      add_losses(examples, start, rows, found);
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
    const float* vectors[3] = {origin, first, second};
    std::vector<Buffer> corners[3];
    for (int v = 0; v < 3; ++v) {
      set_parameters(vectors[v]);
      each_parameter([&](Parameter& p) {
        corners[v].emplace_back(p.value.size());
        std::copy_n(p.value.get(), p.value.size(), corners[v].back().get());
      });
    }
    Layer& l = layers_[0];
    const std::int64_t size = std::int64_t{rows_} * l.out16;
    const Buffer products[3] = {Buffer(size), Buffer(size), Buffer(size)};
    std::fill_n(found, count, Evaluation{});
    for (std::int64_t start = 0; start < examples.rows; start += rows_) {
      const int rows = static_cast<int>(std::min<std::int64_t>(rows_, examples.rows - start));
      gather_run(examples.inputs, start, rows);
      for (int v = 0; v < 3; ++v) {
        std::copy_n(corners[v][0].get(), l.weight.value.size(), l.weight.value.get());
        std::copy_n(corners[v][1].get(), l.bias.value.size(), l.bias.value.get());
        linear_forward(l, input_.get(), round_up(rows, 4));
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
        each_parameter([&](Parameter& p) {
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
        add_losses(examples, start, rows, found[i]);
      }
    }
  }

  void predict(const float* inputs, std::int64_t count, float* outputs) override {
    const Layer& last = layers_.back();
    for (std::int64_t start = 0; start < count; start += rows_) {
      const int rows = static_cast<int>(std::min<std::int64_t>(rows_, count - start));
      gather_run(inputs, start, rows);
      forward(rows, Pass::evaluate);
      for (int r = 0; r < rows; ++r)
        std::copy_n(last.pre.get() + std::int64_t{r} * last.out16, last.out,
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
  // Walks over one array of every parameter in PyTorch's flat order.
  template <class Pick, class Each>
  void visit(Pick pick, Each each) const {
    for (const Layer& l : layers_) {
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

  // Copies rows into blocks, a few rows side by side so that what is written stays in order.
  // row_at(r) is the address of row r.
  template <class RowAt>
  void gather(int rows, RowAt row_at) {
    constexpr int kSide = 16;
    const int in = layers_[0].in, whole = in / kPadIn * kPadIn;
    const std::int64_t pitch = std::int64_t{rows_} * kPadIn;
    for (int first = 0; first < rows; first += kSide) {
      const int side = std::min(kSide, rows - first);
      const float* from[kSide];
      for (int i = 0; i < side; ++i) from[i] = row_at(first + i);
      float* to = input_.get() + std::int64_t{first} * kPadIn;
      for (int k = 0; k < whole; k += kPadIn, to += pitch)
        for (int i = 0; i < side; ++i) std::memcpy(to + i * kPadIn, from[i] + k, kPadIn * 4);
      for (int i = 0; i < side; ++i)
        for (int k = whole; k < in; ++k) to[i * kPadIn + k - whole] = from[i][k];
    }
  }
  void gather_run(const float* inputs, std::int64_t start, int rows) {
    gather(rows, [&](int r) { return inputs + (start + r) * layers_[0].in; });
  }

  const float* input_of(std::size_t i) const {
    return i == 0 ? input_.get() : layers_[i - 1].output.get();
  }

  // first_done: the first layer's product is there already.
  void forward(int rows, Pass pass, bool first_done = false) {
    const int padded = round_up(rows, 4);
    for (std::size_t i = 0; i < layers_.size(); ++i) {
      Layer& l = layers_[i];
      if (i > 0 || !first_done) linear_forward(l, input_of(i), padded);
      if (!l.hidden) {
        if (spec_.sigmoid) sigmoid(l.pre.get(), std::int64_t{rows} * l.out16);
        continue;
      }
      if (l.norm) normalize(l, rows, pass);
      const float slope = l.slope ? l.prelu.value.get()[0] : 0;
      const float* mask = nullptr;
      if (pass == Pass::train && spec_.dropout > 0) {
        dropout_mask(l.mask.get(), std::int64_t{rows} * l.out16, spec_.dropout,
                     spec_.dropout_seed, static_cast<std::uint64_t>(steps_),
                     static_cast<std::uint32_t>(i));
        mask = l.mask.get();
      }
      float* line = line_.get();
      for (int r = 0; r < rows; ++r) {
        activate(spec_.activation, l.pre.get() + std::int64_t{r} * l.out16, line, l.out16, slope);
        if (mask != nullptr)
          for (int o = 0; o < l.out16; ++o) line[o] *= mask[std::int64_t{r} * l.out16 + o];
        for (int o = 0; o < l.out16; o += kPadIn)
          std::memcpy(l.output.get() + blocked(r, o, rows_), line + o, kPadIn * 4);
      }
    }
  }

  // pre = input * weight + bias
  void linear_forward(Layer& l, const float* input, int rows) {
    const std::int64_t pitch = std::int64_t{rows_} * kPadIn;
    for (const Panel& p : l.panels) {
      const float* weight = l.weight.value.get() + p.offset;
      pieces(p.width, [&]<int N>(int offset) {
        blocks<kRows[N]>(rows, [&]<int R>(int row) {
          Vec sums[R][N];
          const float* bias = l.bias.value.get() + p.column + offset;
          each_sum<R, N>([&](int i, int j) { sums[i][j] = load(bias + j * kLanes); });
          const float* x = input + std::int64_t{row} * kPadIn;
          const float* w = weight + offset;
          for (int k = 0; k < l.in8; k += kPadIn, x += pitch, w += std::int64_t{kPadIn} * p.width)
            accumulate<R, N>(sums, x, kPadIn, 1, w, p.width, kPadIn);
          float* out = l.pre.get() + std::int64_t{row} * l.out16 + p.column + offset;
          each_sum<R, N>([&](int i, int j) {
            store(out + std::int64_t{i} * l.out16 + j * kLanes, sums[i][j]);
          });
        });
      });
    }
  }

  // Batch norm (Ioffe and Szegedy 2015) as torch's BatchNorm1d keeps it: biased variance to
  // normalize, unbiased for the running estimate.
  void normalize(Layer& l, int rows, Pass pass) {
    const int n = l.out16;
    float* mean = line_.get();
    float* inverse = l.inverse_std.get();
    if (pass == Pass::statistics) {
      // Over all examples at once: sums of so many rows need more than a float.
      wide_.assign(2 * static_cast<std::size_t>(n), 0);
      double *means = wide_.data(), *squares = means + n;
      const float* z = l.pre.get();
      for (int r = 0; r < rows; ++r)
        for (int o = 0; o < n; ++o) means[o] += z[std::int64_t{r} * n + o];
      for (int o = 0; o < n; ++o) means[o] /= rows;
      for (int r = 0; r < rows; ++r)
        for (int o = 0; o < n; ++o) {
          const double d = z[std::int64_t{r} * n + o] - means[o];
          squares[o] += d * d;
        }
      for (int o = 0; o < n; ++o) {
        mean[o] = l.running_mean.get()[o] = static_cast<float>(means[o]);
        l.running_var.get()[o] = static_cast<float>(squares[o] / (rows - 1));
        inverse[o] = static_cast<float>(1 / std::sqrt(squares[o] / rows + kBatchNormEpsilon));
      }
    } else if (pass == Pass::train) {
      float* variance = mean + n;
      column_means(l.pre.get(), rows, n, mean, variance);
      for (int o = 0; o < n; ++o) {
        inverse[o] = static_cast<float>(1 / std::sqrt(variance[o] + kBatchNormEpsilon));
        const double unbiased = double{variance[o]} * rows / (rows - 1);
        float& m = l.running_mean.get()[o];
        float& v = l.running_var.get()[o];
        m = static_cast<float>((1 - kBatchNormMomentum) * m + kBatchNormMomentum * mean[o]);
        v = static_cast<float>((1 - kBatchNormMomentum) * v + kBatchNormMomentum * unbiased);
      }
    } else {
      std::copy_n(l.running_mean.get(), n, mean);
      for (int o = 0; o < n; ++o)
        inverse[o] =
            static_cast<float>(1 / std::sqrt(l.running_var.get()[o] + kBatchNormEpsilon));
    }
    const float *gamma = l.gamma.value.get(), *beta = l.beta.value.get();
    for (int r = 0; r < rows; ++r) {
      float* z = l.pre.get() + std::int64_t{r} * n;
      float* x = l.normalized.get() + std::int64_t{r} * n;
      for (int o = 0; o < n; ++o) {
        x[o] = (z[o] - mean[o]) * inverse[o];
        z[o] = gamma[o] * x[o] + beta[o];
      }
    }
  }

  // Adds the losses of rows that went forward, not yet divided by their number.
  void add_losses(const Examples& examples, std::int64_t start, int rows, Evaluation& to) {
    const Layer& last = layers_.back();
    for (int r = 0; r < rows; ++r) {
      const float* z = last.pre.get() + std::int64_t{r} * last.out16;
      if (spec_.loss == Loss::cross_entropy) {
        const std::int64_t truth = examples.classes[start + r];
        const float* top = std::max_element(z, z + last.out);
        each_register(z, line_.get(), last.out16, [top](Vec x) { return exponential(x - *top); });
        double total = 0;
        for (int o = 0; o < last.out; ++o) total += double{line_.get()[o]};
        to.loss += std::log(total) + *top - z[truth];
        to.correct += top - z == truth;
      } else {
        const float* t = examples.targets + (start + r) * last.out;
        double row = 0;
        for (int o = 0; o < last.out; ++o) row += (double{z[o]} - t[o]) * (double{z[o]} - t[o]);
        to.loss += row / last.out;
      }
    }
  }

  // Mean loss of the minibatch; the last layer's grad becomes that of its Linear's output.
  double loss_gradient(const Examples& examples, const std::int64_t* order, int rows) {
    Layer& last = layers_.back();
    double sum = 0;
    for (int r = 0; r < rows; ++r) {
      const float* z = last.pre.get() + std::int64_t{r} * last.out16;
      float* g = last.grad.get() + std::int64_t{r} * last.out16;
      if (spec_.loss == Loss::cross_entropy) {
        sum += softmax_gradient(z, g, last.out, static_cast<int>(examples.classes[order[r]]),
                                1.0f / static_cast<float>(rows), spec_.label_smoothing);
      } else {
        const float* t = examples.targets + order[r] * last.out;
        const float scale = 2.0f / (static_cast<float>(rows) * static_cast<float>(last.out));
        float row = 0;
        for (int o = 0; o < last.out; ++o) {
          const float difference = z[o] - t[o];
          row += difference * difference;
          g[o] = scale * difference * (spec_.sigmoid ? z[o] * (1 - z[o]) : 1.0f);
        }
        sum += double{row} / last.out;
      }
    }
    return sum / rows;
  }

  void backward(int rows) {
    for (std::size_t i = layers_.size(); i-- > 0;) {
      Layer& l = layers_[i];
      if (l.hidden) hidden_backward(l, rows);
      if (i > 0) input_gradient(l, layers_[i - 1], rows);  // before the weights move
      update_weights(l, input_of(i), rows);
      float* sums = line_.get();
      column_sums(l.grad.get(), rows, l.out16, sums);
      apply(l.bias, sums, l.out16);
    }
    if (spec_.clip_norm > 0) clip_and_apply();
  }

  // From the gradient of a hidden layer's output to that of its Linear's output, in place.
  void hidden_backward(Layer& l, int rows) {
    const int n = l.out16;
    float* slope_gradient = line_.get();
    float slope_sum = 0;
    const float slope = l.slope ? l.prelu.value.get()[0] : 0;
    for (int r = 0; r < rows; ++r) {
      float* g = l.grad.get() + std::int64_t{r} * n;
      if (spec_.dropout > 0)
        for (int o = 0; o < n; ++o) g[o] *= l.mask.get()[std::int64_t{r} * n + o];
      const float* z = l.pre.get() + std::int64_t{r} * n;
      if (l.slope) slope_sum += prelu_slope_gradient(z, g, n);
      differentiate(spec_.activation, z, g, n, slope);
    }
    if (l.slope) {
      std::fill_n(slope_gradient, kPad, 0.0f);
      slope_gradient[0] = slope_sum;
      apply(l.prelu, slope_gradient, kPad);
    }
    if (!l.norm) return;
    float *sum = line_.get(), *dot = sum + n, *scale = dot + n;
    std::fill_n(sum, n, 0.0f);
    std::fill_n(dot, n, 0.0f);
    for (int r = 0; r < rows; ++r) {
      const float* g = l.grad.get() + std::int64_t{r} * n;
      const float* x = l.normalized.get() + std::int64_t{r} * n;
      for (int o = 0; o < n; ++o) {
        sum[o] += g[o];
        dot[o] += g[o] * x[o];
      }
    }
    const float share = 1.0f / static_cast<float>(rows);
    for (int o = 0; o < n; ++o) scale[o] = l.gamma.value.get()[o] * l.inverse_std.get()[o];
    for (int r = 0; r < rows; ++r) {
      float* g = l.grad.get() + std::int64_t{r} * n;
      const float* x = l.normalized.get() + std::int64_t{r} * n;
      for (int o = 0; o < n; ++o)
        g[o] = scale[o] * (g[o] - share * sum[o] - share * x[o] * dot[o]);
    }
    apply(l.gamma, dot, n);
    apply(l.beta, sum, n);
  }

  // below.grad = grad * weight^T, computed on transposed panels so that rows fill the registers.
  void input_gradient(const Layer& l, Layer& below, int rows) {
    const int padded = round_up(rows, kPad);
    float* columns = transposed_.get();  // [out16][padded]
    for (int r = rows; r < padded; ++r)
      std::fill_n(l.grad.get() + std::int64_t{r} * l.out16, l.out16, 0.0f);
    transpose(l.grad.get(), l.out16, padded, l.out16, columns, padded);
    float* result = transposed_in_.get();  // [in8][padded]
    pieces(padded, [&]<int N>(int offset) {
      blocks<8>(l.in8, [&]<int R>(int k) {
        Vec sums[R][N];
        each_sum<R, N>([&](int i, int j) { sums[i][j] = Vec{}; });
        for (const Panel& p : l.panels)
          accumulate<R, N>(sums, l.weight.value.get() + p.offset + std::int64_t{k} * p.width,
                           p.width, 1, columns + std::int64_t{p.column} * padded + offset, padded,
                           p.width);
        each_sum<R, N>([&](int i, int j) {
          store(result + std::int64_t{k + i} * padded + offset + j * kLanes, sums[i][j]);
        });
      });
    });
    for (int k = l.in8; k < below.out16; ++k)
      std::fill_n(result + std::int64_t{k} * padded, padded, 0.0f);
    transpose(result, padded, below.out16, padded, below.grad.get(), below.out16);
  }

  // The gradient of a tile of weights is used as soon as it is summed: a weight is read and
  // written once per step.
  void update_weights(Layer& l, const float* input, int rows) {
    const std::int64_t pitch = std::int64_t{rows_} * kPadIn;
    with_use(l.weight, [&](auto use) {
      for (const Panel& p : l.panels) {
        pieces(p.width, [&]<int N>(int offset) {
          const bool ask = &l == layers_.data() && p.column + offset == 0;
          for (int k = 0; k < l.in8; k += kPadIn) {
            if (ask && k % 16 == 0)
              for (const float* row : next_) __builtin_prefetch(row + k, 0, 2);
            blocks<kLanes == 16 ? 8 : 4>(kPadIn, [&]<int R>(int i0) {
              const std::int64_t at = p.offset + std::int64_t{k + i0} * p.width + offset;
              Vec sums[R][N];
              each_sum<R, N>([&](int i, int j) { sums[i][j] = Vec{}; });
              accumulate<R, N>(sums, input + k / kPadIn * pitch + i0, 1, kPadIn,
                               l.grad.get() + p.column + offset, l.out16, rows);
              each_sum<R, N>([&](int i, int j) {
                use(sums[i][j], at + std::int64_t{i} * p.width + j * kLanes);
              });
            });
          }
        });
      }
    });
  }

  void apply(Parameter& p, const float* gradient, int count) {
    with_use(p, [&](auto use) {
      for (int o = 0; o < count; o += kLanes) use(load(gradient + o), o);
    });
  }

  // Calls body(use), where use(gradient, at) moves by a register of gradients at once, or keeps
  // them until the norm of all gradients is known.
  template <class Body>
  void with_use(Parameter& p, Body&& body) const {
    if (spec_.clip_norm > 0) {
      body([to = p.gradient.get()](Vec gradient, std::int64_t at)
               __attribute__((always_inline)) { store(to + at, gradient); });
      return;
    }
    const Rule rule = rule_.with_decay(p.decays ? spec_.weight_decay : 0);
    rule.dispatch([&]<Move move>() {
      body([=, value = p.value.get(), first = p.first.get(), second = p.second.get()](
               Vec gradient, std::int64_t at) __attribute__((always_inline)) {
        rule.update<move>(gradient, value, first, second, at);
      });
    });
  }

  // Scales all gradients so that their joint norm is at most clip_norm (Pascanu et al. 2013), as
  // torch.nn.utils.clip_grad_norm_, then moves every parameter.
  void clip_and_apply() {
    double squares = 0;
    each_parameter([&](Parameter& p) {
      const float* g = p.gradient.get();
      for (std::int64_t i = 0; i < p.gradient.size(); ++i) squares += double{g[i]} * double{g[i]};
    });
    // In this order, so that a norm that is no number makes everything no number, as torch does.
    const float scale =
        static_cast<float>(std::min(spec_.clip_norm / (std::sqrt(squares) + 1e-6), 1.0));
    each_parameter([&](Parameter& p) {
      const Rule rule = rule_.with_decay(p.decays ? spec_.weight_decay : 0);
      rule.dispatch([&]<Move move>() {
        for (std::int64_t i = 0; i < p.gradient.size(); i += kLanes)
          rule.update<move>(scale * load(p.gradient.get() + i), p.value.get(), p.first.get(),
                            p.second.get(), i);
      });
    });
  }

  template <class Each>
  void each_parameter(Each each) {
    for (Layer& l : layers_)
      for (Parameter* p : {&l.weight, &l.bias, &l.gamma, &l.beta, &l.prelu})
        if (p->value.size() > 0) each(*p);
  }

  Spec spec_;
  int rows_;  // of every buffer
  std::vector<Layer> layers_;
  Buffer input_;  // blocked
  Buffer transposed_, transposed_in_, line_;
  std::vector<double> wide_;
  std::int64_t steps_ = 0;
  Rule rule_;
  std::vector<const float*> next_;
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
