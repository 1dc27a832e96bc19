"""The compiled engine against PyTorch, in float32 and in float64, for every instruction set."""

import math
import threading
import time
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from scipy import special

from downslope import Examples, Member, NetworkSpec, TrainingSpec, build, predict, train
from downslope.engines import (
    Job,
    instruction_set,
    instruction_sets,
    learning_rates,
    train_member,
)
from downslope.engines.native import CancelToken, make_trainer, train_member_natively
from downslope.engines.pytorch import loss_of, make_optimizer, minibatch_order
from downslope.networks import flatten

ISAS = instruction_sets()
pytestmark = pytest.mark.skipif(not ISAS, reason="the compiled engine was not built")


def data(rows: int, features: int, outputs: int, loss: str, seed: int) -> Examples:
    generator = np.random.default_rng(seed)
    inputs = generator.standard_normal((rows, features)).astype(np.float32)
    if loss == "cross_entropy":
        return Examples(inputs, generator.integers(0, outputs, rows))
    return Examples(inputs, generator.random((rows, outputs)).astype(np.float32))


def in_torch(
    member: Member, examples: Examples, steps: int, dtype: torch.dtype, turn: int = 0
) -> np.ndarray:
    """Train for some steps in PyTorch at a precision; returns the flat parameters.

    `turn` rolls the rows within each minibatch: the same mathematics, rounded otherwise.
    """
    spec = member.training
    generator = torch.Generator().manual_seed(member.seed)
    module = build(member.network, generator).to(dtype)
    inputs = torch.from_numpy(examples.inputs).to(dtype)
    targets = torch.from_numpy(examples.targets)
    targets = targets if spec.loss == "cross_entropy" else targets.to(dtype)
    optimizer = make_optimizer(module, spec)
    per_epoch = math.ceil(len(examples) / spec.batch_size)
    rates = learning_rates(spec, per_epoch)
    step = 0
    while step < steps:
        for minibatch in minibatch_order(len(examples), generator).split(spec.batch_size):
            rows = minibatch.roll(turn)
            for group in optimizer.param_groups:
                group["lr"] = float(rates[step])
            optimizer.zero_grad()
            outputs = module(inputs[rows])
            loss_of(spec.loss, outputs, targets[rows], spec.label_smoothing).backward()
            if spec.clip_norm:
                torch.nn.utils.clip_grad_norm_(module.parameters(), spec.clip_norm)
            optimizer.step()
            step += 1
            if step == steps:
                break
    return torch.cat([p.detach().reshape(-1) for p in module.parameters()]).double().numpy()


def natively(member: Member, examples: Examples, steps: int, isa: str) -> np.ndarray:
    trainer = make_trainer(member, isa)
    generator = torch.Generator().manual_seed(member.seed)
    trainer.parameters = flatten(build(member.network, generator))
    per_epoch = math.ceil(len(examples) / member.training.batch_size)
    rates = learning_rates(member.training, per_epoch)
    while trainer.steps < steps:
        done = trainer.steps
        count = min(per_epoch, steps - done)
        order = minibatch_order(len(examples), generator).numpy()
        rows = order[: count * member.training.batch_size]
        trainer.train(examples.inputs, examples.targets, rows, rates[done : done + count])
    return trainer.parameters.astype(np.float64)


@st.composite
def members(draw) -> Member:
    loss = draw(st.sampled_from(["cross_entropy", "mean_squared_error"]))
    optimizer = draw(st.sampled_from(["sgd", "sgd", "adam", "adamw"]))
    momentum = draw(st.sampled_from([0.0, 0.9])) if optimizer == "sgd" else 0.0
    hidden = draw(st.lists(st.integers(1, 300), min_size=0, max_size=3))
    widths = (draw(st.integers(1, 60)), *hidden, draw(st.integers(2, 20)))
    return Member(
        network=NetworkSpec(
            widths=widths,
            activation=draw(
                st.sampled_from(["relu", "leaky_relu", "elu", "prelu", "gelu", "tanh"])
            ),
            normalization=draw(st.sampled_from(["none", "none", "batch"])),
            output="logits"
            if loss == "cross_entropy"
            else draw(st.sampled_from(["logits", "sigmoid"])),
        ),
        training=TrainingSpec(
            loss=loss,
            optimizer=optimizer,
            learning_rate=draw(st.sampled_from([0.001, 0.02])) / (1 if momentum == 0 else 5),
            schedule=draw(st.sampled_from(["constant", "cosine", "one_cycle"])),
            momentum=momentum,
            nesterov=momentum > 0 and draw(st.booleans()),
            weight_decay=draw(st.sampled_from([0.0, 0.01])),
            decay_on=draw(st.sampled_from(["weights", "all"])),
            label_smoothing=draw(st.sampled_from([0.0, 0.1])) if loss == "cross_entropy" else 0.0,
            clip_norm=draw(st.sampled_from([0.0, 0.0, 0.5])),
            batch_size=draw(st.integers(2, 70)),
            epochs=100,
        ),
        seed=draw(st.integers(0, 2**32)),
    )


@pytest.mark.parametrize("isa", ISAS)
@settings(
    max_examples=10,
    derandomize=True,  # chaotic paths: a fresh draw in every run would be a lottery
    phases=[Phase.generate],  # shrinking a failure would take minutes
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(member=members())
def test_as_near_to_float64_as_pytorchs_own_float32(isa: str, member: Member) -> None:
    batch = member.training.batch_size
    rows = 5 * batch + (2 if batch > 2 else 0)  # batch norm cannot train on one row
    widths = member.network.widths
    examples = data(rows, widths[0], widths[-1], member.training.loss, seed=member.seed % 1000)
    exact = in_torch(member, examples, 200, torch.float64)
    # One rounding that turns a ReLU on or off moves a whole path, so how far float32 strays is
    # taken from a few runs that differ in the order of their sums alone.
    singles = [in_torch(member, examples, 200, torch.float32, turn) for turn in (0, 1, 2)]
    found = natively(member, examples, 200, isa)
    norm = np.linalg.norm
    strays = max(norm(single - exact) for single in singles)
    assert norm(found - exact) <= 3 * strays + 1e-6 * max(1.0, norm(exact))


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("activation", ["relu", "leaky_relu", "elu", "prelu", "gelu", "tanh"])
@pytest.mark.parametrize("normalization", ["none", "batch"])
def test_gradients_of_one_step_are_autograds(isa: str, activation, normalization) -> None:
    member = Member(
        network=NetworkSpec(
            widths=(30, 50, 17, 9), activation=activation, normalization=normalization
        ),
        training=TrainingSpec(learning_rate=1.0, batch_size=40, epochs=1),
        seed=5,
    )
    examples = data(40, 30, 9, "cross_entropy", 1)
    start = flatten(build(member.network, torch.Generator().manual_seed(5))).astype(np.float64)
    exact = in_torch(member, examples, 1, torch.float64) - start
    found = natively(member, examples, 1, isa) - start
    # A weight near 1 in float32 hides differences below its own rounding.
    assert np.linalg.norm(found - exact) <= 1e-5 * np.linalg.norm(exact) + 1e-7 * len(start) ** 0.5


def test_records_agree_with_the_pytorch_engine() -> None:
    member = Member(
        network=NetworkSpec(widths=(12, 20, 4), normalization="batch", activation="elu"),
        training=TrainingSpec(
            batch_size=16, epochs=3, learning_rate=0.05, schedule="one_cycle", evaluation_draw=True
        ),
        seed=541,
    )
    rows, held_out = data(103, 12, 4, "cross_entropy", 0), data(50, 12, 4, "cross_entropy", 1)
    job = Job(member=member, snapshots_per_epoch=3)
    expected = list(train_member(job, rows, held_out))
    found = list(train_member_natively(job, rows, held_out))
    assert len(found) == len(expected)
    for a, b in zip(found, expected, strict=True):
        assert (a.epoch, a.step, a.outcome) == (b.epoch, b.step, b.outcome)
        assert a.train_loss == pytest.approx(b.train_loss, rel=1e-5)
        assert a.validation_loss == pytest.approx(b.validation_loss, rel=1e-4)
        assert a.validation_accuracy == pytest.approx(b.validation_accuracy, abs=0.021)
        assert a.learning_rate == pytest.approx(b.learning_rate, rel=1e-9)
        np.testing.assert_allclose(a.batch_losses, b.batch_losses, rtol=1e-4)
        assert [s.step for s in a.snapshots] == [s.step for s in b.snapshots]
        for ours, theirs in zip(a.snapshots, b.snapshots, strict=True):
            np.testing.assert_allclose(ours.parameters, theirs.parameters, atol=1e-4)
    state, reference = found[-1].state, expected[-1].state
    assert list(state) == list(reference)
    for name in reference:
        np.testing.assert_allclose(state[name], reference[name], rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(
        predict(member.network, state, held_out.inputs),
        predict(member.network, reference, held_out.inputs),
        atol=1e-3,
    )


@pytest.mark.parametrize("optimizer", ["adam", "adamw"])
def test_batch_norm_with_adam_agrees_but_for_the_biases_before_it(optimizer: str) -> None:
    """A batch norm takes such a bias away again: its gradient is rounding, which Adam scales up."""
    member = Member(
        network=NetworkSpec(widths=(12, 20, 16, 4), normalization="batch"),
        training=TrainingSpec(batch_size=16, epochs=3, learning_rate=0.01, optimizer=optimizer),
        seed=541,
    )
    rows, held_out = data(103, 12, 4, "cross_entropy", 0), data(50, 12, 4, "cross_entropy", 1)
    *_, ours = train_member_natively(Job(member=member), rows, held_out)
    *_, theirs = train_member(Job(member=member), rows, held_out)
    layers = list(build(member.network, torch.Generator()).named_children())
    left_out: set[str] = set()
    for (name, _), (following, layer) in pairwise(layers):
        if isinstance(layer, torch.nn.BatchNorm1d):
            left_out |= {f"{name}.bias", f"{following}.running_mean"}  # which follows the bias
    assert len(left_out) == 4
    assert ours.train_loss == pytest.approx(theirs.train_loss, rel=1e-4)
    for name in set(theirs.state) - left_out:
        np.testing.assert_allclose(
            ours.state[name], theirs.state[name], rtol=1e-3, atol=1e-3, err_msg=name
        )
    outputs: list[np.ndarray] = []
    for state in (ours.state, theirs.state):  # with the minibatch's own mean the biases cancel
        module = build(member.network, torch.Generator()).train()
        module.load_state_dict({k: torch.from_numpy(np.array(v)) for k, v in state.items()})
        outputs.append(module(torch.from_numpy(held_out.inputs)).detach().numpy())
    np.testing.assert_allclose(*outputs, atol=1e-3)


@pytest.mark.parametrize("isa", ISAS)
def test_evaluation_is_pytorchs(isa: str) -> None:
    for loss, output in (
        ("cross_entropy", "logits"),
        ("mean_squared_error", "sigmoid"),
        ("mean_squared_error", "logits"),
    ):
        network = NetworkSpec(widths=(12, 33, 7), output=output)
        member = Member(network=network, training=TrainingSpec(loss=loss, batch_size=16), seed=2)
        examples = data(101, 12, 7, loss, 3)
        module = build(network, torch.Generator().manual_seed(2))
        trainer = make_trainer(member, isa)
        trainer.parameters = flatten(module)
        with torch.no_grad():
            outputs = module(torch.from_numpy(examples.inputs))
            expected = float(loss_of(loss, outputs, torch.from_numpy(examples.targets)))
        found, correct = trainer.evaluate(examples.inputs, examples.targets)
        assert found == pytest.approx(expected, rel=1e-6)
        np.testing.assert_allclose(trainer.predict(examples.inputs), outputs.numpy(), atol=1e-6)
        if loss == "cross_entropy":
            assert correct == int((outputs.argmax(1).numpy() == examples.targets).sum())


def scipys(activation: str, z: np.ndarray) -> np.ndarray:
    """Return an activation in float64, from another library's functions."""
    if activation == "tanh":
        return np.tanh(z)
    if activation == "elu":
        return np.where(z > 0, z, np.expm1(np.minimum(z, 0)))
    return z * special.ndtr(z)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("activation", ["tanh", "elu", "gelu"])
@given(
    values=st.lists(
        st.floats(-60, 60, width=32) | st.floats(-1, 1, width=32) | st.floats(-8, 8, width=32),
        min_size=1,
        max_size=64,
    )
)
def test_activations_are_scipys(isa: str, activation, values: list[float]) -> None:
    network = NetworkSpec(widths=(1, 1, 1), activation=activation)
    trainer = make_trainer(Member(network=network, training=TrainingSpec(), seed=0), isa)
    trainer.parameters = np.array([1, 0, 1, 0], np.float32)
    z = np.array(values, np.float32)
    expected = scipys(activation, z.astype(np.float64))
    found = trainer.predict(z[:, None])[:, 0]
    # 1e-6 of the value, or 4e-9 where the lower tail of the normal distribution is that small.
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=4e-9)


@pytest.mark.parametrize("isa", ISAS)
def test_sigmoid_saturates_and_softmax_does_not_overflow(isa: str) -> None:
    network = NetworkSpec(widths=(1, 1), output="sigmoid")
    member = Member(network=network, training=TrainingSpec(loss="mean_squared_error"), seed=0)
    trainer = make_trainer(member, isa)
    trainer.parameters = np.array([1, 0], np.float32)
    z = np.array([-1e30, -100, -20, 0, 20, 100, 1e30, np.nan], np.float32)
    found = trainer.predict(z[:, None])[:, 0]
    np.testing.assert_allclose(found, special.expit(z.astype(np.float64)), rtol=1e-6, atol=1e-38)

    network = NetworkSpec(widths=(1, 3))
    trainer = make_trainer(Member(network=network, training=TrainingSpec(), seed=0), isa)
    trainer.parameters = np.array([0, 1, -1, 0, 0, 0], np.float32)
    x = np.array([[500.0], [-500.0]], np.float32)
    loss, correct = trainer.evaluate(x, np.array([2, 0]))
    assert (loss, correct) == (pytest.approx(750.0), 0)


@pytest.mark.parametrize("isa", ISAS)
def test_dropout_drops_its_share_and_scales_the_rest(isa: str) -> None:
    # One step of an identity-like network: the gradient of the last bias-free weights shows masks.
    member = Member(
        network=NetworkSpec(widths=(1, 400, 1), dropout=0.3),
        training=TrainingSpec(loss="mean_squared_error", batch_size=1, learning_rate=1.0, epochs=1),
        seed=9,
    )
    trainer = make_trainer(member, isa)
    start = np.concatenate([np.zeros(400), np.ones(400), np.zeros(400), [0.0]]).astype(np.float32)
    trainer.parameters = start
    one = np.ones((1, 1), np.float32)
    shares = []
    for _ in range(50):
        trainer.parameters = start
        trainer.train(one, 0 * one + 0.5, np.zeros(1, np.int64), np.ones(1))
        gradient = trainer.parameters[800:1200]  # -2 (0 - 0.5) * hidden output
        assert set(np.unique(gradient.round(5))) <= {0.0, np.float32(1 / 0.7).round(5)}
        shares.append((gradient == 0).mean())
    # 20,000 draws: four standard errors are 1.3 %.
    assert np.mean(shares) == pytest.approx(0.3, abs=0.013)
    assert np.std(shares) > 0.005, "every step draws its own mask"


def test_dropout_masks_depend_on_the_seed_alone() -> None:
    def losses(seed: int) -> list[float]:
        member = Member(
            network=NetworkSpec(widths=(12, 20, 4), dropout=0.5),
            training=TrainingSpec(batch_size=10, epochs=2),
            seed=seed,
        )
        rows = data(50, 12, 4, "cross_entropy", 0)
        return [x for r in train([member], rows, engine="native") for x in r.batch_losses]

    assert losses(1) == losses(1)
    assert losses(1) != losses(2)


def test_a_diverged_member_stops_itself_with_step_and_last_loss() -> None:
    member = Member(
        network=NetworkSpec(widths=(12, 20, 4)),
        training=TrainingSpec(batch_size=10, epochs=9, learning_rate=1e30),
        seed=1,
    )
    rows = data(100, 12, 4, "cross_entropy", 0)
    last = list(train([member], rows, engine="native"))[-1]
    assert last.outcome == "diverged"
    assert len(last.batch_losses) == last.step < 90
    assert not np.isfinite(last.batch_losses[-1])
    assert last.reason == (
        f"not finite at step {last.step}, epoch 1; "
        f"the last finite loss was {last.batch_losses[-2]:.4g}"
    )


def test_a_member_stops_within_a_minibatch_when_asked() -> None:
    member = Member(
        network=NetworkSpec(widths=(12, 300, 300, 4)),
        training=TrainingSpec(batch_size=4, epochs=100_000),
        seed=1,
    )
    token = CancelToken()
    seen = []

    def work() -> None:
        rows = data(400, 12, 4, "cross_entropy", 0)
        seen.extend(train_member_natively(Job(member=member), rows, token=token))

    thread = threading.Thread(target=work)
    thread.start()
    while not token._trainers:
        assert thread.is_alive()
        time.sleep(0.01)
    token.cancel()
    thread.join(timeout=30)
    assert not thread.is_alive()
    assert all(record.outcome is None for record in seen)


def test_an_evaluation_stops_within_a_minibatch_when_asked() -> None:
    member = Member(
        network=NetworkSpec(widths=(12, 600, 600, 4)),
        training=TrainingSpec(batch_size=8, epochs=1),
        seed=1,
    )
    examples = data(60_000, 12, 4, "cross_entropy", 0)
    trainer = make_trainer(member, instruction_set())
    whole = trainer.evaluate(examples.inputs, examples.targets)
    trainer.stop()
    part = trainer.evaluate(examples.inputs, examples.targets)
    assert part[1] < whole[1] / 100


def test_a_batch_larger_than_the_data_is_one_minibatch() -> None:
    rows = data(7, 12, 4, "cross_entropy", 0)
    training = TrainingSpec(batch_size=1000, epochs=2)
    one = Member(network=NetworkSpec(widths=(12, 5, 4)), training=training, seed=1)
    assert [r.step for r in train([one], rows, engine="native")] == [1, 2]
