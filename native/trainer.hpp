// What the core is told and what it answers. It knows nothing of files, searches or reports.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace downslope {

enum class Activation { relu, leaky_relu, elu, prelu, gelu, tanh };
enum class Loss { cross_entropy, mean_squared_error };
enum class Optimizer { sgd, adam, adamw };

struct Spec {
  std::vector<int> widths;  // inputs first, outputs last
  Activation activation = Activation::relu;
  bool batch_norm = false;
  float dropout = 0;
  bool sigmoid = false;
  Loss loss = Loss::cross_entropy;
  Optimizer optimizer = Optimizer::sgd;
  float momentum = 0;
  bool nesterov = false;
  float weight_decay = 0;
  bool decay_all = false;
  float label_smoothing = 0;
  float clip_norm = 0;  // 0: gradients are not clipped
  int batch_size = 0;
  std::uint64_t dropout_seed = 0;
};

// Row-major examples, borrowed: they must outlive the call. Targets are classes, or floats of
// shape (rows, outputs); the other pointer is null.
struct Examples {
  const float* inputs = nullptr;
  const std::int64_t* classes = nullptr;
  const float* targets = nullptr;
  std::int64_t rows = 0;
};

struct Evaluation {
  double loss = 0;
  std::int64_t correct = 0;
};

// One member in training. Not for two threads at a time; different members are independent.
class Trainer {
 public:
  virtual ~Trainer() = default;

  // Number of values in parameters() and in each of the optimizer's moments.
  virtual std::int64_t parameter_count() const = 0;
  // Number of values in buffers(): running mean and variance of each batch norm, in order.
  virtual std::int64_t buffer_count() const = 0;

  // Flat vectors in the order of torch's parameters_to_vector.
  virtual void get_parameters(float* out) const = 0;
  virtual void set_parameters(const float* in) = 0;
  virtual void get_buffers(float* out) const = 0;
  virtual void set_buffers(const float* in) = 0;
  // Optimizer state `which`: 0 momentum or first moment, 1 second moment.
  virtual void get_moment(int which, float* out) const = 0;
  virtual void set_moment(int which, const float* in) = 0;
  virtual std::int64_t steps() const = 0;
  virtual void set_steps(std::int64_t steps) = 0;

  // Trains on the minibatches order[0, batch_size), order[batch_size, 2 batch_size), ... of one
  // pass; rates[i] is the learning rate of minibatch i, losses[i] receives its mean loss.
  // Stops early once a loss is not finite or another thread calls stop(); returns the number of
  // minibatches done.
  virtual std::int64_t train(const Examples& examples, const std::int64_t* order,
                             std::int64_t count, const double* rates, float* losses) = 0;

  // Lets a train() that runs in another thread return after its minibatch; for good.
  virtual void stop() = 0;

  virtual Evaluation evaluate(const Examples& examples) = 0;
  // Summed, not mean, losses at origin + points[2 i] first + points[2 i + 1] second for i < count;
  // batch norm uses its running statistics, or at every point those of the examples, which must
  // then be one minibatch of two rows at least. Parameters are left at the last point; after
  // stop() the sums are of no use.
  virtual void losses_on_plane(const Examples& examples, const float* origin, const float* first,
                               const float* second, const double* points, std::int64_t count,
                               bool recompute, Evaluation* found) = 0;
  virtual void predict(const float* inputs, std::int64_t rows, float* outputs) = 0;

  // Keeps the multiply-add units busy from registers alone, as no real work can: the yardstick
  // for all other rates. Returns the floating-point operations done.
  virtual std::int64_t multiply_add(std::int64_t rounds) const = 0;
};

// One factory per instruction set, each from its own build of trainer.cpp.
std::unique_ptr<Trainer> make_trainer_baseline(const Spec& spec);
#if defined(__x86_64__)
std::unique_ptr<Trainer> make_trainer_avx2(const Spec& spec);
std::unique_ptr<Trainer> make_trainer_avx512(const Spec& spec);
#endif

}  // namespace downslope
