"""What is observed of each function: small calls whose outcomes tell right from wrong.

A probe runs in the process of the checked code and yields named observations: numbers, arrays,
flags, words. It compares nothing and knows no right answer.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.optim.optimizer import register_optimizer_step_post_hook
from torch.utils.data import DataLoader, TensorDataset

from downslope.assignment.observing import (
    as_numbers,
    call,
    kind_of,
    module_of,
    parts_of,
    seed_of,
)
from downslope.assignment.tuning_probe import watch_tuning

Observed = Iterator[tuple[str, Any]]
Arrays = Mapping[str, NDArray[Any]]
Probe = Callable[[Mapping[str, Any], Arrays], Observed]

SEED = 7


def _pattern(shape: torch.Size) -> torch.Tensor:
    """Make values that depend on a shape alone, so that the order of layers does not matter."""
    count = math.prod(shape)
    values = torch.sin(0.7 * torch.arange(1, count + 1, dtype=torch.float64))
    scale = math.sqrt(6 / shape[-1]) if len(shape) > 1 else 0.5
    return (scale * values).reshape(shape).float()


def _fill(model: nn.Module) -> nn.Module:
    with torch.no_grad():
        for p in model.parameters():
            p.copy_(_pattern(p.shape))
    return model


def _shapes(model: nn.Module) -> str:
    return ", ".join(sorted(" × ".join(map(str, p.shape)) for p in model.parameters()))


def _flat(model: nn.Module) -> NDArray[Any]:
    return torch.cat([p.detach().reshape(-1) for p in model.parameters()]).numpy().copy()


def _pixels(data: Arrays, name: str = "train", rows: int = 100, shift: float = 0.5) -> torch.Tensor:
    images = data[f"{name}_images"][:rows]
    return torch.from_numpy(images.reshape(len(images), -1).astype(np.float32) / 255 - shift)


def _labels(data: Arrays, name: str = "train", rows: int = 100) -> torch.Tensor:
    return torch.from_numpy(data[f"{name}_labels"][:rows].astype(np.int64))


def _loader(data: Arrays, *, shuffle: bool, rows: int = 100) -> DataLoader[Any]:
    """Make a loader whose last minibatch is short: 32, 32, 32, 4."""
    dataset = TensorDataset(_pixels(data, rows=rows), _labels(data, rows=rows))
    return DataLoader(dataset, batch_size=32, shuffle=shuffle)


class _Passes:
    """What each forward pass of a model was like."""

    def __init__(self, model: nn.Module) -> None:
        self.modes: list[str] = []
        self.gradients: list[str] = []
        self.rows: list[int] = []
        model.register_forward_pre_hook(self._note)

    def _note(self, model: nn.Module, inputs: tuple[Any, ...]) -> None:
        self.modes.append("training" if model.training else "evaluation")
        self.gradients.append("with gradients" if torch.is_grad_enabled() else "without gradients")
        self.rows.append(len(inputs[0]))


def _each(words: list[str]) -> str:
    return " and ".join(sorted(set(words))) or "never"


def _build_mlp(solution: Mapping[str, Any], data: Arrays) -> Observed:
    build = solution["build_mlp"]
    for layers in (1, 3):
        torch.manual_seed(SEED)
        model = module_of(
            call(build, input_dim=784, n_layers=layers, hidden_units=12, output_dim=10)
        )
        yield f"parameters of {layers} hidden layers", _shapes(model)
        outputs = _fill(model)(_pixels(data, rows=20))
        yield f"outputs of {layers} hidden layers", as_numbers(outputs)
    torch.manual_seed(SEED)
    model = call(build, input_dim=784, n_layers=2, hidden_units=200, output_dim=10)
    hidden = sorted((p for p in model.parameters() if p.dim() == 2), key=lambda p: -p.shape[1])
    hidden = [p for p in hidden if p.shape[0] == 200]
    yield (
        "variance of the weights times inputs",
        np.array([float(p.detach().double().var()) * p.shape[1] for p in hidden]),
    )


def _small_model() -> nn.Sequential:
    torch.manual_seed(SEED)
    return nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))


def _extract_model_params(solution: Mapping[str, Any], data: Arrays) -> Observed:
    model = _small_model()
    vector = call(solution["extract_model_params"], model=model)
    yield "vector", as_numbers(vector)
    yield "kind of the vector", kind_of(vector)
    before = as_numbers(vector)
    with torch.no_grad():
        for p in model.parameters():
            p.add_(1)
    after = as_numbers(vector)
    yield "stays when the model changes", bool(np.array_equal(before, after))


def _load_params_into_model(solution: Mapping[str, Any], data: Arrays) -> Observed:
    model = _small_model()
    parameters = list(model.parameters())
    vector = torch.linspace(-1, 1, sum(p.numel() for p in parameters))
    call(solution["load_params_into_model"], model=model, all_params=vector)
    yield "parameters of the model", as_numbers(_flat(model))
    same = all(p is q for p, q in zip(parameters, model.parameters(), strict=True))
    yield "are the same parameters, in place", same
    yield "still require gradients", all(p.requires_grad for p in model.parameters())
    before = vector.clone()
    with torch.no_grad():
        for p in model.parameters():
            p.add_(1)
    yield "vector stays when the model changes", torch.equal(vector, before)


def _train_epoch(solution: Mapping[str, Any], data: Arrays) -> Observed:
    torch.manual_seed(SEED)
    model = nn.Sequential(nn.Linear(784, 16), nn.ReLU(), nn.Linear(16, 10))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    loader = _loader(data, shuffle=True)
    passes, steps, gradients = _Passes(model.eval()), [], []

    def keep(*_: Any) -> None:
        steps.append(_flat(model))
        gradients.append(
            torch.cat([torch.zeros_like(p).reshape(-1) if p.grad is None else p.grad.reshape(-1)
                       for p in model.parameters()]).numpy().copy()
        )  # fmt: skip

    optimizer.register_step_post_hook(keep)
    returned = call(
        solution["train_epoch"],
        model=model,
        loader=loader,
        criterion=nn.CrossEntropyLoss(),
        optimizer=optimizer,
    )
    yield "mode of the model", _each(passes.modes)
    yield "rows of the minibatches", str(passes.rows)
    yield "steps of the optimizer", len(steps)
    yield "gradients by step", np.array(gradients, np.float64)
    yield "parameters by step", np.array(steps, np.float64)
    yield "parameters of the model", as_numbers(_flat(model))
    loss, flat = parts_of(returned, "the mean loss", "the flat parameters")[:2]
    yield "loss", as_numbers(loss)
    yield "kind of the loss", kind_of(loss)
    yield "flat parameters", as_numbers(flat)
    yield "kind of the parameters", kind_of(flat)
    before = as_numbers(flat)
    with torch.no_grad():
        for p in model.parameters():
            p.add_(1)
    yield "parameters stay when the model changes", bool(np.array_equal(before, as_numbers(flat)))


def _evaluated(data: Arrays) -> tuple[nn.Sequential, DataLoader[Any], _Passes]:
    """Train a network with dropout and batch norm a little, and leave it in training mode."""
    torch.manual_seed(SEED)
    model = nn.Sequential(
        nn.Linear(784, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.5), nn.Linear(16, 10)
    )
    inputs, labels = _pixels(data), _labels(data)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(8):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(inputs), labels).backward()
        optimizer.step()
    optimizer.zero_grad()
    torch.manual_seed(SEED)
    # 32, 32, 6 rows: neither their number nor their share is a power of ten of the other.
    return model, _loader(data, shuffle=False, rows=70), _Passes(model)


def _measured(data: Arrays, measure: Callable[[nn.Module, Any], Any]) -> Observed:
    model, loader, passes = _evaluated(data)
    statistics = {k: v.clone() for k, v in model.state_dict().items()}
    value = measure(model, loader)
    yield "mode of the model", _each(passes.modes)
    yield "gradients", _each(passes.gradients)
    yield "rows of the minibatches", str(passes.rows)
    yield "value", as_numbers(value)
    same = all(torch.equal(v, statistics[k]) for k, v in model.state_dict().items())
    yield "leaves the model as it was", same


def _evaluate(solution: Mapping[str, Any], data: Arrays) -> Observed:
    function = solution["evaluate"]
    yield from _measured(data, lambda model, loader: call(function, model=model, loader=loader))


def _compute_loss(solution: Mapping[str, Any], data: Arrays) -> Observed:
    def measure(model: nn.Module, loader: Any) -> Any:
        criterion = nn.CrossEntropyLoss()
        return call(solution["compute_loss"], model=model, loader=loader, criterion=criterion)

    yield from _measured(data, measure)


def _hyperparam_tuning(solution: Mapping[str, Any], data: Arrays) -> Observed:
    # The same pixels as everywhere; rows are told apart by their sums.
    inputs, labels = _pixels(data, rows=60), _labels(data, rows=60)
    training = TensorDataset(inputs[:40], labels[:40])
    validation = TensorDataset(inputs[40:], labels[40:])
    tune = solution["hyperparam_tuning"]

    def search(seed: int) -> Any:
        name = seed_of(tune)
        if name is None:  # a third argument is another one, as the number of attempts
            return call(tune, train_dataset=training, val_dataset=validation)
        if name == "seed":
            return call(tune, train_dataset=training, val_dataset=validation, seed=seed)
        return tune(training, validation, **{name: seed})

    yield from watch_tuning(search, training, validation)


def _activated(build: Callable[..., Any], name: str, **asked: Any) -> nn.Module:
    """Build with an activation by its name, or by its class, or by a module."""
    kind = {"relu": nn.ReLU, "prelu": nn.PReLU}[name]
    error: Exception | None = None
    for activation in (name, kind.__name__, kind, kind()):
        try:
            torch.manual_seed(SEED)
            model = module_of(call(build, **asked, activation=activation))
            model(torch.zeros(4, asked["input_dim"]))
            return model
        except Exception as raised:
            error = error or raised
    assert error is not None
    raise error


def _build_enhanced_mlp(solution: Mapping[str, Any], data: Arrays) -> Observed:
    build, inputs = solution["build_enhanced_mlp"], _pixels(data, rows=40)
    asked = {"input_dim": 784, "n_layers": 3, "hidden_units": 12, "output_dim": 10}
    plain = _activated(build, "relu", **asked, use_batchnorm=False, dropout_rate=0.0)
    yield "parameters of the plain network", _shapes(plain)
    yield "outputs of the plain network", as_numbers(_fill(plain)(inputs))
    prelu = _activated(build, "prelu", **asked, use_batchnorm=False, dropout_rate=0.0)
    yield "parameters with PReLU", _shapes(prelu)
    normed = _activated(build, "relu", **asked, use_batchnorm=True, dropout_rate=0.0)
    yield "parameters with batch norm", _shapes(normed)
    yield "outputs with batch norm", as_numbers(_fill(normed).train()(inputs))
    asked |= {"n_layers": 1, "hidden_units": 50}
    dropped = _activated(build, "relu", **asked, use_batchnorm=False, dropout_rate=0.2)
    with torch.no_grad():
        for p in dropped.parameters():  # each hidden unit gives 1, the output is their mean
            p.fill_(0.0 if p.dim() > 1 else 1.0)
            if p.dim() > 1 and p.shape[0] == 10:
                p.fill_(1 / 50)
            elif p.shape == (10,):
                p.fill_(0.0)
    torch.manual_seed(SEED)
    outputs = dropped.train()(torch.zeros(4000, 784)).detach().double()
    yield "spread that dropout makes", np.array([float(outputs[:, 0].var()) * 50])
    yield "mean under dropout", np.array([float(outputs[:, 0].mean())])
    differ = bool((outputs - outputs[:, :1]).abs().max() > 1e-6)
    yield "outputs themselves are dropped", differ
    quiet = dropped.eval()(torch.zeros(4, 784))
    yield "outputs in evaluation mode under dropout", as_numbers(quiet)


def _path(columns: int = 40) -> NDArray[Any]:
    steps = np.sin(np.outer(np.arange(1, 9) ** 1.5, np.arange(1, columns + 1)))
    return 3 + steps.cumsum(axis=0)


def _pca_plane(solution: Mapping[str, Any], data: Arrays) -> Observed:
    returned = call(solution["pca_plane"], snapshots=_path())
    center, directions, path = parts_of(returned, "centre", "directions", "coordinates")[:3]
    directions, path = np.asarray(directions), np.asarray(path)
    yield "centre", as_numbers(center)
    # The sign of a principal component is free: the largest entry shall be positive.
    largest = np.abs(directions).argmax(axis=1)
    signs = np.sign(directions[np.arange(len(directions)), largest])
    yield "directions", as_numbers(directions * signs[:, None])
    yield "coordinates of the path", as_numbers(path * signs)


def _plane_of(data: Arrays) -> dict[str, Any]:
    torch.manual_seed(SEED)
    model = nn.Sequential(nn.Linear(784, 4), nn.ReLU(), nn.Linear(4, 10))
    count = sum(p.numel() for p in model.parameters())
    directions = torch.randn(2, count, generator=torch.Generator().manual_seed(SEED)).numpy()
    return {
        "model": model,
        "loader": _loader(data, shuffle=False, rows=40),
        "criterion": nn.CrossEntropyLoss(),
        "center": _flat(model) + np.float32(0.01),
        "directions": directions / np.linalg.norm(directions, axis=1, keepdims=True),
        "xs": np.array([-2.0, 0.0, 2.0]),
        "ys": np.array([-1.0, 3.0]),
    }


def _loss_surface(solution: Mapping[str, Any], data: Arrays) -> Observed:
    plane = _plane_of(data)
    before = _flat(plane["model"])
    yield "losses", as_numbers(call(solution["loss_surface"], **plane))
    yield "puts the model back", bool(np.array_equal(before, _flat(plane["model"])))


def _path_losses(solution: Mapping[str, Any], data: Arrays) -> Observed:
    plane = _plane_of(data)
    center, directions = plane["center"], plane["directions"]
    off = np.cos(np.arange(len(center))) / 20
    asked = {name: plane[name] for name in ("model", "loader", "criterion")}
    snapshots = np.stack([center + off, center + directions[0] - off]).astype(np.float32)
    before = _flat(plane["model"])
    yield "losses", as_numbers(call(solution["path_losses"], **asked, snapshots=snapshots))
    yield "puts the model back", bool(np.array_equal(before, _flat(plane["model"])))


def _images(batch: Any) -> torch.Tensor:
    images = batch[0] if isinstance(batch, list | tuple) else batch
    return images.reshape(len(images), -1)


def _prepare_data(solution: Mapping[str, Any], data: Arrays) -> Observed:
    torch.manual_seed(SEED)
    returned = call(solution["prepare_data"], batch_size=32)
    training, test = parts_of(returned, "a training loader", "a test loader")[:2]
    first, second = ([_images(batch) for batch in training] for _ in range(2))
    whole = torch.cat(first).double()
    yield "range of the pixels", np.array([float(whole.min()), float(whole.max())])
    yield "rows of the minibatches", str([len(batch) for batch in first])
    yield "values of a row", whole.shape[1]
    yield "means of the training rows", np.sort(whole.mean(dim=1).numpy())
    yield "order changes from epoch to epoch", not torch.equal(whole, torch.cat(second).double())
    held_out = torch.cat([_images(batch) for batch in test]).double()
    yield "means of the test rows", np.sort(held_out.mean(dim=1).numpy())


def _autoencoder(solution: Mapping[str, Any], data: Arrays) -> Observed:
    torch.manual_seed(SEED)
    model: Any = module_of(call(solution["Autoencoder"]))
    yield "number of parameters", sum(p.numel() for p in model.parameters())
    yield "parameters", _shapes(model)
    inputs = _pixels(data, rows=20, shift=0.0)
    _fill(model)
    try:
        outputs = model(inputs)
    except RuntimeError:
        inputs = inputs.reshape(-1, 1, 28, 28)
        outputs = model(inputs)
    yield "values of a reconstruction", math.prod(outputs.shape[1:])
    yield "reconstructions", as_numbers(outputs.reshape(len(outputs), -1))
    codes = model.encode(inputs)
    yield "shape of the codes", str(list(codes.shape))
    yield "codes", as_numbers(codes)


class _Small(nn.Module):
    """An autoencoder for images of any shape of batch."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(784, 12), nn.ReLU())
        self.decoder = nn.Sequential(nn.Linear(12, 784), nn.Sigmoid())

    def encode(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.encoder(inputs.flatten(1))

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.decoder(self.encode(inputs)).reshape(inputs.shape)


def _train_autoencoder(solution: Mapping[str, Any], data: Arrays) -> Observed:
    # As the solution's own loader gives images: beside labels, alone in a list, or bare.
    images, labels = _pixels(data, rows=96, shift=0.0), _labels(data, rows=96)
    shape, bare, sets = (-1, 784), False, (images, labels)
    with suppress(Exception):
        batch = next(iter(call(solution["prepare_data"], batch_size=32)[0]))
        bare = isinstance(batch, torch.Tensor)
        shape = tuple((batch if bare else batch[0]).shape)
        sets = (images,) if bare or len(batch) == 1 else sets
    images = images.reshape(-1, *shape[1:])
    dataset: Any = images if bare else TensorDataset(images, *sets[1:])
    torch.manual_seed(SEED)
    model, steps = _Small(), list[tuple[NDArray[Any], str]]()

    def keep(optimizer: torch.optim.Optimizer, *_: Any) -> None:
        steps.append((_flat(model), type(optimizer).__name__))

    hook = register_optimizer_step_post_hook(keep)
    passes = _Passes(model)
    loader = DataLoader(dataset, batch_size=32, shuffle=True)
    asked = {"model": model, "loader": loader, "epochs": 2, "lr": 0.004}
    returned = call(solution["train_autoencoder"], **asked)
    hook.remove()
    yield "mode of the model", _each(passes.modes)
    yield "steps of the optimizer", len(steps)
    yield "optimizer", steps[0][1] if steps else "none"
    yield "parameters by step", np.array([flat for flat, _ in steps])
    _, losses = parts_of(returned, "the model", "the losses")[:2]
    yield "returns the model first", isinstance(returned[0], nn.Module)
    yield "losses", as_numbers(losses)


PROBES: dict[str, Probe] = {
    "build_mlp": _build_mlp,
    "extract_model_params": _extract_model_params,
    "load_params_into_model": _load_params_into_model,
    "train_epoch": _train_epoch,
    "evaluate": _evaluate,
    "compute_loss": _compute_loss,
    "hyperparam_tuning": _hyperparam_tuning,
    "build_enhanced_mlp": _build_enhanced_mlp,
    "pca_plane": _pca_plane,
    "loss_surface": _loss_surface,
    "path_losses": _path_losses,
    "prepare_data": _prepare_data,
    "Autoencoder": _autoencoder,
    "train_autoencoder": _train_autoencoder,
}
"""By the name of the function that is observed, in the order of the assignment."""
