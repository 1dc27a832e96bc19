// The Python face of the core: checks shapes, lets go of the interpreter's lock, calls.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <stdexcept>

#include "trainer.hpp"

namespace nb = nanobind;
using namespace nb::literals;

namespace downslope {

void bind_trainability(nb::module_& m);  // trainability_module.cpp

namespace {

using Floats = nb::ndarray<const float, nb::c_contig, nb::device::cpu, nb::ndim<1>>;
using Matrix = nb::ndarray<const float, nb::c_contig, nb::device::cpu, nb::ndim<2>>;
using Points = nb::ndarray<const double, nb::c_contig, nb::device::cpu, nb::ndim<2>>;
using Doubles = nb::ndarray<const double, nb::c_contig, nb::device::cpu, nb::ndim<1>>;
using Integers = nb::ndarray<const std::int64_t, nb::c_contig, nb::device::cpu, nb::ndim<1>>;

void require(bool condition, const std::string& message) {
  if (!condition) throw std::invalid_argument(message);
}

template <class Number>
nb::object new_array(std::size_t size, Number*& data) {
  data = new Number[std::max<std::size_t>(size, 1)];
  nb::capsule owner(data, [](void* p) noexcept { delete[] static_cast<Number*>(p); });
  return nb::cast(nb::ndarray<nb::numpy, Number, nb::ndim<1>>(data, {size}, owner));
}

template <class Choices>
auto choose(const std::string& what, const std::string& name, const Choices& choices) {
  for (const auto& [key, value] : choices)
    if (name == key) return value;
  throw std::invalid_argument(what + " = '" + name + "' is unknown to the compiled engine");
}

struct Isa {
  const char* name;
  std::unique_ptr<Trainer> (*make)(const Spec&);
  bool (*runs)();
};

// Best first.
const std::vector<Isa>& isas() {
  static const std::vector<Isa> all = {
#if defined(__x86_64__)
      {"avx512", make_trainer_avx512,
       [] {
         return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
                __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("fma");
       }},
      {"avx2", make_trainer_avx2,
       [] {
         return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
                __builtin_cpu_supports("bmi2");
       }},
#endif
#if defined(__aarch64__)
      {"neon", make_trainer_baseline, [] { return true; }},  // part of every such processor
#else
      {"baseline", make_trainer_baseline, [] { return true; }},
#endif
  };
  return all;
}

}  // namespace

std::vector<std::string> supported() {
  std::vector<std::string> names;
  for (const Isa& isa : isas())
    if (isa.runs()) names.emplace_back(isa.name);
  return names;
}

namespace {

// A trainer that knows its own shape, so that no array reaches the core unchecked.
class Member {
 public:
  Member(const std::string& isa, Spec spec) : spec_(std::move(spec)) {
    require(spec_.widths.size() >= 2, "widths: at least inputs and outputs are needed");
    for (int w : spec_.widths) require(w >= 1 && w <= 1 << 20, "widths: each from 1 to 2^20");
    require(spec_.batch_size >= 1 && spec_.batch_size <= 1 << 20, "batch_size: from 1 to 2^20");
    require(spec_.dropout >= 0 && spec_.dropout < 1, "dropout: at least 0 and below 1");
    require(spec_.label_smoothing >= 0 && spec_.label_smoothing < 1,
            "label_smoothing: at least 0 and below 1");
    require(spec_.clip_norm >= 0, "clip_norm: 0 or above");
    for (const Isa& each : isas())
      if (isa == each.name) {
        require(each.runs(), "isa '" + isa + "' does not run on this processor");
        trainer_ = each.make(spec_);
        return;
      }
    throw std::invalid_argument("isa '" + isa + "' is unknown");
  }

  nb::object train(Matrix inputs, nb::object targets, Integers order, Doubles rates) {
    const Examples examples = check(inputs, targets);
    const std::int64_t count = static_cast<std::int64_t>(order.shape(0));
    const std::int64_t steps = (count + spec_.batch_size - 1) / spec_.batch_size;
    require(count >= 1, "order: empty");
    require(static_cast<std::int64_t>(rates.shape(0)) == steps, "rates: one per minibatch");
    const std::int64_t* rows = order.data();
    require(std::all_of(rows, rows + count,
                        [&](std::int64_t r) { return r >= 0 && r < examples.rows; }),
            "order: a row outside of the examples");
    require(!spec_.batch_norm || (count - 1) % spec_.batch_size != 0,
            "Expected more than 1 value per channel when training: the last minibatch has one row");
    float* losses = nullptr;
    nb::object result = new_array(static_cast<std::size_t>(steps), losses);
    std::int64_t done = 0;
    {
      nb::gil_scoped_release unlocked;
      done = trainer_->train(examples, rows, count, rates.data(), losses);
    }
    return result[nb::slice(nb::int_(0), nb::int_(done), nb::int_(1))];
  }

  nb::tuple evaluate(Matrix inputs, nb::object targets) {
    const Examples examples = check(inputs, targets);
    Evaluation found;
    {
      nb::gil_scoped_release unlocked;
      found = trainer_->evaluate(examples);
    }
    return nb::make_tuple(found.loss, found.correct);
  }

  // Sums of losses and counts of correct examples at points of a plane, each of shape (points,).
  nb::tuple losses_on_plane(Matrix vectors, Points points, Matrix inputs, nb::object targets,
                            bool recompute) {
    const Examples examples = check(inputs, targets);
    require(!recompute || (examples.rows > 1 && examples.rows <= spec_.batch_size),
            "recompute: from 2 examples to one minibatch of them are needed");
    const std::int64_t parameters = trainer_->parameter_count();
    require(vectors.shape(0) == 3 && static_cast<std::int64_t>(vectors.shape(1)) == parameters,
            "vectors: shape (3, " + std::to_string(parameters) + ") is needed: origin, directions");
    require(points.shape(1) == 2, "points: shape (n, 2) is needed");
    std::vector<Evaluation> found(points.shape(0));
    double *sums = nullptr, *correct = nullptr;
    nb::object all_sums = new_array(found.size(), sums);
    nb::object all_correct = new_array(found.size(), correct);
    {
      nb::gil_scoped_release unlocked;
      const float* origin = vectors.data();
      trainer_->losses_on_plane(examples, origin, origin + parameters, origin + 2 * parameters,
                                points.data(), static_cast<std::int64_t>(found.size()), recompute,
                                found.data());
      for (std::size_t i = 0; i < found.size(); ++i) {
        sums[i] = found[i].loss;
        correct[i] = static_cast<double>(found[i].correct);
      }
    }
    return nb::make_tuple(all_sums, all_correct);
  }

  nb::object predict(Matrix inputs) {
    check_inputs(inputs);
    const std::size_t rows = inputs.shape(0), outputs = spec_.widths.back();
    float* data = nullptr;
    nb::object result = new_array(rows * outputs, data);
    {
      nb::gil_scoped_release unlocked;
      trainer_->predict(inputs.data(), static_cast<std::int64_t>(rows), data);
    }
    return result.attr("reshape")(rows, outputs);
  }

  void stop() { trainer_->stop(); }

  nb::object get(std::int64_t count, void (Trainer::*read)(float*) const) const {
    float* data = nullptr;
    nb::object result = new_array(static_cast<std::size_t>(count), data);
    (trainer_.get()->*read)(data);
    return result;
  }
  void set(Floats values, std::int64_t count, void (Trainer::*write)(const float*)) {
    require(static_cast<std::int64_t>(values.shape(0)) == count,
            "a flat vector of " + std::to_string(count) + " values is needed, not " +
                std::to_string(values.shape(0)));
    (trainer_.get()->*write)(values.data());
  }
  nb::object moment(int which) const {
    check_moment(which);
    float* data = nullptr;
    nb::object result = new_array(static_cast<std::size_t>(trainer_->parameter_count()), data);
    trainer_->get_moment(which, data);
    return result;
  }
  void set_moment(int which, Floats values) {
    check_moment(which);
    require(static_cast<std::int64_t>(values.shape(0)) == trainer_->parameter_count(),
            "a moment has as many values as there are parameters");
    trainer_->set_moment(which, values.data());
  }
  int moments() const {
    return spec_.optimizer != Optimizer::sgd ? 2 : spec_.momentum != 0 ? 1 : 0;
  }
  Trainer& trainer() const { return *trainer_; }

 private:
  void check_moment(int which) const {
    require(which >= 0 && which < moments(), "this optimizer has no such moment");
  }
  void check_inputs(const Matrix& inputs) const {
    require(static_cast<int>(inputs.shape(1)) == spec_.widths.front(),
            "inputs: " + std::to_string(inputs.shape(1)) + " columns do not fit " +
                std::to_string(spec_.widths.front()) + " inputs");
    require(inputs.shape(0) >= 1, "inputs: no rows");
  }
  Examples check(const Matrix& inputs, const nb::object& targets) const {
    check_inputs(inputs);
    Examples examples;
    examples.inputs = inputs.data();
    examples.rows = static_cast<std::int64_t>(inputs.shape(0));
    if (spec_.loss == Loss::cross_entropy) {
      const auto classes = nb::cast<Integers>(targets, false);
      require(classes.shape(0) == inputs.shape(0), "targets: as many as inputs are needed");
      const std::int64_t* first = classes.data();
      require(std::all_of(first, first + examples.rows,
                          [&](std::int64_t c) { return c >= 0 && c < spec_.widths.back(); }),
              "targets: a class outside of the outputs");
      examples.classes = first;
    } else {
      const auto values = nb::cast<Matrix>(targets, false);
      require(values.shape(0) == inputs.shape(0) &&
                  static_cast<int>(values.shape(1)) == spec_.widths.back(),
              "targets: shape (rows, outputs) is needed");
      examples.targets = values.data();
    }
    return examples;
  }

  Spec spec_;
  std::unique_ptr<Trainer> trainer_;
};

}  // namespace
}  // namespace downslope

NB_MODULE(_native, m) {
  using namespace downslope;
  m.doc() = "Train one dense network from first to last on one core.";
  m.def("supported", &supported, "Names of the instruction sets that run here, best first.");
  bind_trainability(m);
  nb::class_<Member>(m, "Member")
      .def(
          "__init__",
          [](Member* self, const std::string& isa, std::vector<int> widths,
             const std::string& activation, bool batch_norm, float dropout, bool sigmoid,
             const std::string& loss, const std::string& optimizer, float momentum, bool nesterov,
             float weight_decay, bool decay_all, float label_smoothing, float clip_norm,
             int batch_size, std::uint64_t dropout_seed) {
            Spec s;
            s.widths = std::move(widths);
            s.activation = choose(
                "activation", activation,
                std::vector<std::pair<const char*, Activation>>{
                    {"relu", Activation::relu}, {"leaky_relu", Activation::leaky_relu},
                    {"elu", Activation::elu}, {"prelu", Activation::prelu},
                    {"gelu", Activation::gelu}, {"tanh", Activation::tanh}});
            s.loss = choose("loss", loss,
                            std::vector<std::pair<const char*, Loss>>{
                                {"cross_entropy", Loss::cross_entropy},
                                {"mean_squared_error", Loss::mean_squared_error}});
            s.optimizer = choose("optimizer", optimizer,
                                 std::vector<std::pair<const char*, Optimizer>>{
                                     {"sgd", Optimizer::sgd}, {"adam", Optimizer::adam},
                                     {"adamw", Optimizer::adamw}});
            s.batch_norm = batch_norm;
            s.dropout = dropout;
            s.sigmoid = sigmoid;
            s.momentum = momentum;
            s.nesterov = nesterov;
            s.weight_decay = weight_decay;
            s.decay_all = decay_all;
            s.label_smoothing = label_smoothing;
            s.clip_norm = clip_norm;
            s.batch_size = batch_size;
            s.dropout_seed = dropout_seed;
            new (self) Member(isa, std::move(s));
          },
          "isa"_a, nb::kw_only(), "widths"_a, "activation"_a, "batch_norm"_a, "dropout"_a,
          "sigmoid"_a, "loss"_a, "optimizer"_a, "momentum"_a, "nesterov"_a, "weight_decay"_a,
          "decay_all"_a, "label_smoothing"_a, "clip_norm"_a, "batch_size"_a, "dropout_seed"_a)
      // No conversions: a copy of the data at every call would go unnoticed.
      .def("train", &Member::train, "inputs"_a.noconvert(), "targets"_a, "order"_a.noconvert(),
           "rates"_a.noconvert())
      .def("evaluate", &Member::evaluate, "inputs"_a.noconvert(), "targets"_a)
      .def("losses_on_plane", &Member::losses_on_plane, "vectors"_a.noconvert(),
           "points"_a.noconvert(), "inputs"_a.noconvert(), "targets"_a, "recompute"_a = false)
      .def("predict", &Member::predict, "inputs"_a.noconvert())
      .def("stop", &Member::stop)
      .def("multiply_add",
           [](Member& m, std::int64_t rounds) {
             nb::gil_scoped_release unlocked;
             return m.trainer().multiply_add(rounds);
           })
      .def_prop_rw(
          "parameters",
          [](Member& m) { return m.get(m.trainer().parameter_count(), &Trainer::get_parameters); },
          [](Member& m, Floats v) {
            m.set(v, m.trainer().parameter_count(), &Trainer::set_parameters);
          })
      .def_prop_rw(
          "buffers",
          [](Member& m) { return m.get(m.trainer().buffer_count(), &Trainer::get_buffers); },
          [](Member& m, Floats v) {
            m.set(v, m.trainer().buffer_count(), &Trainer::set_buffers);
          })
      .def_prop_ro("moments", &Member::moments)
      .def("moment", &Member::moment, "which"_a)
      .def("set_moment", &Member::set_moment, "which"_a, "values"_a)
      .def_prop_rw(
          "steps", [](Member& m) { return m.trainer().steps(); },
          [](Member& m, std::int64_t steps) { m.trainer().set_steps(steps); });
}
