"""The engine against the loop that a PyTorch user writes, with a real DataLoader, bit for bit."""

import math
import random
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from downslope import Examples, InputError, Member, NetworkSpec, TrainingSpec
from downslope.engines import Job, predict, train, train_member
from downslope.engines.pytorch import minibatch_order

ROWS, FEATURES, CLASSES = 103, 12, 4  # 103 = 6 * 16 + 7: the last minibatch is short


def examples(seed: int = 0, rows: int = ROWS) -> Examples:
    generator = np.random.default_rng(seed)
    inputs = generator.standard_normal((rows, FEATURES)).astype(np.float32)
    return Examples(inputs, generator.integers(0, CLASSES, rows))


@pytest.fixture
def users_generator() -> Iterator[None]:
    """Let a test use the global generator and one thread, as a user's script does."""
    state, threads = torch.get_rng_state(), torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_rng_state(state)
    torch.set_num_threads(threads)


def users_module(member: Member) -> nn.Sequential:
    """Build the member's network with plain constructors, which draw from the global generator."""
    spec = member.network
    activations = {
        "relu": nn.ReLU,
        "leaky_relu": lambda: nn.LeakyReLU(0.01),
        "elu": nn.ELU,
        "prelu": nn.PReLU,
        "gelu": nn.GELU,
        "tanh": nn.Tanh,
    }
    layers: list[nn.Module] = []
    for a, b in zip(spec.widths[:-2], spec.widths[1:-1], strict=True):
        layers.append(nn.Linear(a, b))
        if spec.normalization == "batch":
            layers.append(nn.BatchNorm1d(b))
        layers.append(activations[spec.activation]())
        if spec.dropout:
            layers.append(nn.Dropout(spec.dropout))
    layers.append(nn.Linear(spec.widths[-2], spec.widths[-1]))
    return nn.Sequential(*layers)


def users_loop(member: Member, data: Examples, held_out: Examples | None = None):
    """Train as a PyTorch user does; returns the module, minibatch losses and rates per epoch."""
    spec = member.training
    torch.manual_seed(member.seed)
    module = users_module(member)
    loader = DataLoader(
        TensorDataset(torch.from_numpy(data.inputs), torch.from_numpy(data.targets)),
        batch_size=spec.batch_size,
        shuffle=True,
    )
    evaluation = None
    if held_out is not None:
        rows = TensorDataset(torch.from_numpy(held_out.inputs), torch.from_numpy(held_out.targets))
        evaluation = DataLoader(rows, batch_size=50)
    decay, groups = spec.weight_decay, module.parameters()
    if spec.decay_on == "weights":
        weights = [m.weight for m in module if isinstance(m, nn.Linear)]
        others = [p for p in module.parameters() if not any(p is w for w in weights)]
        groups = [
            {"params": weights, "weight_decay": decay},
            {"params": others, "weight_decay": 0.0},
        ]
    kind = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam, "adamw": torch.optim.AdamW}
    options = {}
    if spec.optimizer == "sgd":
        options = {"momentum": spec.momentum, "nesterov": spec.nesterov}
    smoothing = spec.label_smoothing
    optimizer = kind[spec.optimizer](groups, lr=spec.learning_rate, weight_decay=decay, **options)
    total = spec.epochs * len(loader)
    scheduler = None
    if spec.schedule == "cosine":
        scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, total)
    elif spec.schedule == "one_cycle":
        scheduler = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, spec.learning_rate, total_steps=total + 1, cycle_momentum=False
        )
    losses, rates, accuracies = [], [], []
    for _ in range(spec.epochs):
        module.train()
        losses.append([])
        for x, y in loader:
            loss = nn.functional.cross_entropy(module(x), y, label_smoothing=smoothing)
            optimizer.zero_grad()
            loss.backward()
            if spec.clip_norm:
                nn.utils.clip_grad_norm_(module.parameters(), spec.clip_norm)
            optimizer.step()
            losses[-1].append(loss.item())
            rates.append(optimizer.param_groups[0]["lr"])
            if scheduler is not None:
                scheduler.step()
        if evaluation is not None:
            module.eval()
            with torch.no_grad():
                hits = [(module(x).argmax(1) == y).sum().item() for x, y in evaluation]
            accuracies.append(sum(hits) / len(held_out))
    return module, losses, rates, accuracies


def member(network: dict | None = None, seed: int = 541, **training) -> Member:
    spec = {"learning_rate": 0.05, "batch_size": 16, "epochs": 3, **training}
    return Member(
        network=NetworkSpec(widths=(FEATURES, 9, 7, CLASSES), **(network or {})),
        training=TrainingSpec(**spec),
        seed=seed,
    )


CASES = {
    "plain": member(),
    "decay on weights": member(weight_decay=0.01),
    "decay on all": member(weight_decay=0.01, decay_on="all"),
    "momentum": member(momentum=0.9),
    "nesterov": member(momentum=0.9, nesterov=True, weight_decay=0.01),
    "adam": member(optimizer="adam", weight_decay=0.01),
    "adamw": member(optimizer="adamw", weight_decay=0.01),
    "cosine": member(schedule="cosine"),
    "one cycle": member(schedule="one_cycle", optimizer="adam"),
    "leaky": member({"activation": "leaky_relu"}),
    "elu": member({"activation": "elu"}),
    "prelu": member({"activation": "prelu"}, weight_decay=0.01),
    "gelu": member({"activation": "gelu"}),
    "tanh": member({"activation": "tanh"}),
    "batch norm": member({"normalization": "batch"}, weight_decay=0.01),
    "dropout": member({"dropout": 0.3}),
    "everything": member(
        {"normalization": "batch", "dropout": 0.5, "activation": "elu"},
        optimizer="adamw",
        schedule="one_cycle",
        weight_decay=0.02,
    ),
    "smoothing": member(label_smoothing=0.1),
    "clipping": member(clip_norm=0.1, momentum=0.9),
    "one batch": member(batch_size=1000),
    "batch of one": member(batch_size=1, epochs=2),
}


@pytest.mark.parametrize("case", CASES)
def test_the_trajectory_is_the_dataloader_loops_bit_for_bit(case: str, users_generator) -> None:
    data = examples()
    module, losses, rates, _ = users_loop(CASES[case], data)
    records = list(train_member(Job(member=CASES[case], snapshots_per_epoch=1), data))
    for epoch, record in enumerate(records):
        assert record.batch_losses.tolist() == losses[epoch]
        assert record.learning_rate == rates[(epoch + 1) * len(losses[0]) - 1]
    assert records[-1].state is not None
    for name, value in module.state_dict().items():
        np.testing.assert_array_equal(records[-1].state[name], value.numpy(), err_msg=name)
    np.testing.assert_array_equal(
        records[-1].snapshots[-1].parameters,
        nn.utils.parameters_to_vector(module.parameters()).detach().numpy(),
    )


def test_an_evaluation_pass_moves_the_stream_only_if_asked(users_generator) -> None:
    data, held_out = examples(), examples(1)
    plain, drawing = member(), member(evaluation_draw=True)
    _, losses, _, accuracies = users_loop(plain, data, held_out)
    records = list(train_member(Job(member=drawing), data, held_out))
    assert [r.batch_losses.tolist() for r in records] == losses
    assert [r.validation_accuracy for r in records] == accuracies
    # Without it, validation has no influence at all.
    alone = [r.batch_losses.tolist() for r in train_member(Job(member=plain), data)]
    watched = [r.batch_losses.tolist() for r in train_member(Job(member=plain), data, held_out)]
    assert alone == watched
    assert alone[1:] != losses[1:]


def test_global_state_is_left_alone() -> None:
    before = torch.get_rng_state()
    legacy = random.getstate()
    list(train_member(Job(member=CASES["everything"]), examples()))
    assert torch.equal(torch.get_rng_state(), before)
    assert random.getstate() == legacy


def test_the_minibatch_order_is_a_permutation_from_two_draws() -> None:
    generator = torch.Generator().manual_seed(3)
    order = minibatch_order(50, generator)
    assert sorted(order.tolist()) == list(range(50))
    twin = torch.Generator().manual_seed(3)
    torch.empty(2, dtype=torch.int64).random_(generator=twin)
    assert torch.equal(torch.rand(1, generator=generator), torch.rand(1, generator=twin))


@pytest.mark.parametrize(("k", "steps"), [(0, []), (1, [7]), (2, [4, 7]), (3, [2, 5, 7])])
def test_snapshots_are_spread_over_the_epoch(k: int, steps: list[int]) -> None:
    records = list(train_member(Job(member=member(epochs=2), snapshots_per_epoch=k), examples()))
    found = [s.step for r in records for s in r.snapshots]
    assert found == steps + [7 + s for s in steps]
    for record in records:
        for snapshot in record.snapshots:
            within = snapshot.step - (record.step - len(record.batch_losses)) - 1
            assert snapshot.loss == record.batch_losses[within]


def test_train_loss_weighs_the_short_minibatch_by_its_size() -> None:
    record = next(train_member(Job(member=member(epochs=1)), examples()))
    sizes = [16] * 6 + [7]
    expected = sum(s * float(x) for s, x in zip(sizes, record.batch_losses, strict=True)) / ROWS
    assert record.train_loss == pytest.approx(expected, rel=1e-12)


def test_only_the_last_record_ends_the_member() -> None:
    records = list(train_member(Job(member=member()), examples()))
    assert [r.outcome for r in records] == [None, None, "completed"]
    assert [r.state is None for r in records] == [True, True, False]


def test_a_diverged_member_stops_and_names_the_step() -> None:
    records = list(train_member(Job(member=member(learning_rate=1e30, epochs=9)), examples()))
    last = records[-1]
    assert last.outcome == "diverged"
    assert len(records) < 9
    assert np.isfinite(last.batch_losses).tolist() == [True] * (len(last.batch_losses) - 1) + [
        False
    ]
    before = float(last.batch_losses[-2])
    assert last.reason == (
        f"not finite at step {last.step}, epoch {last.epoch}; the last finite loss was {before:.4g}"
    )


def test_mean_squared_error_is_over_all_outputs(users_generator) -> None:
    inputs = np.random.default_rng(0).random((40, 6), dtype=np.float32)
    auto = Member(
        network=NetworkSpec(widths=(6, 3, 6), output="sigmoid"),
        training=TrainingSpec(loss="mean_squared_error", batch_size=40, epochs=1),
        seed=7,
    )
    record = next(train_member(Job(member=auto), Examples(inputs, inputs)))
    torch.manual_seed(7)
    module = nn.Sequential(nn.Linear(6, 3), nn.ReLU(), nn.Linear(3, 6), nn.Sigmoid())
    with torch.no_grad():
        outputs = module(torch.from_numpy(inputs)).numpy()
    assert record.train_loss == pytest.approx(np.mean((outputs - inputs) ** 2), rel=1e-6)
    assert math.isnan(record.validation_accuracy)


def test_predict_uses_running_statistics_and_no_dropout() -> None:
    chosen = CASES["everything"]
    state = list(train_member(Job(member=chosen), examples()))[-1].state
    assert state is not None
    module = users_module(chosen).eval()
    module.load_state_dict({k: torch.from_numpy(np.array(v)) for k, v in state.items()})
    inputs = examples(2).inputs
    with torch.no_grad():
        expected = module(torch.from_numpy(inputs)).numpy()
    np.testing.assert_allclose(
        predict(chosen.network, state, inputs), expected, rtol=1e-6, atol=1e-6
    )


good = examples()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (Examples(np.empty((0, FEATURES), np.float32), np.empty(0, np.int64)), "there are none"),
        (Examples(good.inputs.astype(np.uint8), good.targets), "scale them to float32"),
        (Examples(good.inputs[:, :5].copy(), good.targets), r"must be \(rows, 12\)"),
        (Examples(good.inputs, good.targets + 1), "they must be 0 to 3"),
        (Examples(good.inputs, good.targets - 1), "they must be 0 to 3"),
        (Examples(good.inputs, good.inputs), "int64 classes"),
    ],
)
def test_data_that_do_not_fit_are_refused_in_one_line(data: Examples, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        train([member()], data, engine="pytorch")
    assert "\n" not in str(caught.value)


def test_autoencoder_targets_must_match() -> None:
    spec = TrainingSpec(loss="mean_squared_error")
    auto = Member(network=NetworkSpec(widths=(FEATURES, 3, 5)), training=spec, seed=0)
    with pytest.raises(InputError, match="float32 targets of shape"):
        train([auto], Examples(good.inputs, good.inputs), engine="pytorch")


def test_counts_of_inputs_and_targets_must_agree() -> None:
    with pytest.raises(InputError, match="103 inputs but 102 targets"):
        Examples(good.inputs, good.targets[:-1])
