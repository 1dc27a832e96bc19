"""A solution of the assignment in plain PyTorch, as a student would write it.

The hand-in document prints these functions, `downslope check` compares a student's with them, and
each mistake of `mistakes.toml` is a small change of this text. Trained with a run's configuration,
seed and data, they give the numbers of its PyTorch engine bit for bit.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import nn
from torch.utils.data import ConcatDataset, DataLoader, Dataset, TensorDataset, random_split

Batch = tuple[torch.Tensor, ...]
Array = NDArray[Any]


# Problem 2: the classifier


def load_fashion_mnist(name: str, folder: str = ".") -> TensorDataset:
    """Read one of the sets, "train" or "test", with pixels in [-0.5, 0.5]."""
    images = np.load(Path(folder) / f"fashion_mnist_{name}_images.npy")
    labels = np.load(Path(folder) / f"fashion_mnist_{name}_labels.npy")
    pixels = torch.from_numpy(images.reshape(len(images), -1).astype(np.float32) / 255 - 0.5)
    return TensorDataset(pixels, torch.from_numpy(labels.astype(np.int64)))


def split_validation(
    dataset: Dataset[Batch], share: float = 0.2, seed: int = 541
) -> list[Dataset[Batch]]:
    """Split off a share of the examples for validation."""
    torch.manual_seed(seed)
    count = round(share * len(dataset))  # type: ignore[arg-type]
    return list(random_split(dataset, [len(dataset) - count, count]))  # type: ignore[arg-type]


def build_mlp(input_dim: int, n_layers: int, hidden_units: int, output_dim: int) -> nn.Module:
    """Build a network with n_layers hidden layers that returns logits."""
    layers: list[nn.Module] = []
    width = input_dim
    for _ in range(n_layers):
        layers.append(nn.Linear(width, hidden_units))
        layers.append(nn.ReLU())
        width = hidden_units
    layers.append(nn.Linear(width, output_dim))
    return nn.Sequential(*layers)


def extract_model_params(model: nn.Module) -> torch.Tensor:
    """Return all trainable parameters in one vector."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    return torch.cat([p.detach().reshape(-1) for p in parameters])


def load_params_into_model(model: nn.Module, all_params: torch.Tensor) -> None:
    """Write a vector of all trainable parameters into a model, in place."""
    start = 0
    with torch.no_grad():
        for p in model.parameters():
            if p.requires_grad:
                p.copy_(all_params[start : start + p.numel()].reshape(p.shape))
                start += p.numel()


def train_epoch(
    model: nn.Module,
    loader: DataLoader[Batch],
    criterion: nn.Module,
    optimizer: torch.optim.Optimizer,
) -> tuple[float, Array]:
    """Train for one epoch; return the mean loss per example and the parameters after it."""
    model.train()
    total = 0.0
    for inputs, targets in loader:
        optimizer.zero_grad()
        outputs = model(inputs)
        loss = criterion(outputs, targets)
        loss.backward()
        optimizer.step()
        total += loss.item() * len(inputs)
    parameters = extract_model_params(model).numpy()
    return total / len(loader.dataset), parameters  # type: ignore[arg-type]


def evaluate(model: nn.Module, loader: DataLoader[Batch]) -> float:
    """Return the share of the examples that the model classifies correctly."""
    model.eval()
    correct = 0
    with torch.no_grad():
        for inputs, targets in loader:
            predictions = model(inputs).argmax(dim=1)
            correct += (predictions == targets).sum().item()
    return correct / len(loader.dataset)  # type: ignore[arg-type]


def compute_loss(model: nn.Module, loader: DataLoader[Batch], criterion: nn.Module) -> float:
    """Return the mean loss per example."""
    model.eval()
    total = 0.0
    with torch.no_grad():
        for inputs, targets in loader:
            outputs = model(inputs)
            total += criterion(outputs, targets).item() * len(inputs)
    return total / len(loader.dataset)  # type: ignore[arg-type]


def make_optimizer(model: nn.Module, config: dict[str, Any]) -> torch.optim.Optimizer:
    """Make the optimizer of a configuration; L2 strength is for weights, not for biases."""
    weights = [layer.weight for layer in model.modules() if isinstance(layer, nn.Linear)]
    others = [p for p in model.parameters() if all(p is not weight for weight in weights)]
    groups = [
        {"params": weights, "weight_decay": config["weight_decay"]},
        {"params": others, "weight_decay": 0.0},
    ]
    if config.get("decay_on") == "all":
        groups = [{"params": model.parameters(), "weight_decay": config["weight_decay"]}]
    kind = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam, "adamw": torch.optim.AdamW}
    return kind[config.get("optimizer", "sgd")](groups, lr=config["learning_rate"])


def schedule_one_cycle(optimizer: torch.optim.Optimizer, steps: int) -> None:
    """Have every step of an optimizer move its learning rate up to its value and down again."""
    scheduler = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, optimizer.param_groups[0]["lr"], total_steps=steps + 1, cycle_momentum=False
    )

    def move(*_: Any) -> None:
        scheduler.step()

    optimizer.register_step_post_hook(move)


def hyperparam_tuning(
    train_dataset: Dataset[Batch], val_dataset: Dataset[Batch], seed: int = 541, attempts: int = 50
) -> tuple[dict[str, Any], float]:
    """Search at random; return the configuration that is best on validation data, and its score."""
    random = np.random.RandomState(seed)
    space: dict[str, list[Any]] = {
        "hidden_layers": [2, 3, 4, 5, 6],
        "batch_size": [8, 12, 16, 20, 32, 48, 64, 128, 145, 256],
        "learning_rate": [0.01, 0.005, 0.001, 0.0005, 0.0001, 0.00005, 0.00001],
        "units": [5, 10, 20, 30, 40],
        "weight_decay": [0, 0.0005, 0.001, 0.0001, 0.00001],
        "epochs": [15, 20, 25],
    }
    best_config: dict[str, Any] = {}
    best_accuracy = 0.0
    features = len(train_dataset[0][0])
    for attempt in range(attempts):
        config = {name: random.choice(values) for name, values in space.items()}
        torch.manual_seed(seed + attempt)
        model = build_mlp(features, config["hidden_layers"], config["units"], 10)
        optimizer = make_optimizer(model, config)
        train_loader = DataLoader(train_dataset, int(config["batch_size"]), shuffle=True)
        for _ in range(config["epochs"]):
            train_epoch(model, train_loader, nn.CrossEntropyLoss(), optimizer)
        accuracy = evaluate(model, DataLoader(val_dataset, 256))
        if accuracy > best_accuracy:
            best_config, best_accuracy = config, accuracy
    return best_config, best_accuracy


def final_training(
    datasets: Sequence[Dataset[Batch]],
    model: nn.Module,
    config: dict[str, Any],
    test_dataset: Dataset[Batch] | None = None,
    snapshots_per_epoch: int = 1,
) -> tuple[list[float], Array]:
    """Train on training and validation data; return the loss of each epoch and snapshots.

    With a test set, the loss is kept beside an evaluation after each epoch, as published; nothing
    is chosen by it. Set the seed before the model is built.
    """
    loader = DataLoader(ConcatDataset(datasets), int(config["batch_size"]), shuffle=True)
    optimizer = make_optimizer(model, config)
    if config.get("schedule") == "one_cycle":
        schedule_one_cycle(optimizer, config["epochs"] * len(loader))
    snapshots: list[Array] = []
    kept = {round(len(loader) * (i + 1) / snapshots_per_epoch) for i in range(snapshots_per_epoch)}
    taken = 0

    def keep(*_: Any) -> None:
        nonlocal taken
        taken = taken % len(loader) + 1
        if taken in kept:
            snapshots.append(extract_model_params(model).numpy())

    optimizer.register_step_post_hook(keep)
    losses: list[float] = []
    for _ in range(config["epochs"]):
        losses.append(train_epoch(model, loader, nn.CrossEntropyLoss(), optimizer)[0])
        if test_dataset is not None:
            evaluate(model, DataLoader(test_dataset, 256))
    return losses, np.stack(snapshots)


def build_enhanced_mlp(
    input_dim: int,
    n_layers: int,
    hidden_units: int,
    output_dim: int,
    use_batchnorm: bool = True,
    dropout_rate: float = 0.2,
    activation: str = "relu",
) -> nn.Module:
    """Build a network with batch norm before each activation and dropout after it."""
    activations = {
        "relu": nn.ReLU,
        "leaky_relu": nn.LeakyReLU,
        "elu": nn.ELU,
        "prelu": nn.PReLU,
        "gelu": nn.GELU,
        "tanh": nn.Tanh,
    }
    layers: list[nn.Module] = []
    width = input_dim
    for _ in range(n_layers):
        layers.append(nn.Linear(width, hidden_units))
        if use_batchnorm:
            layers.append(nn.BatchNorm1d(hidden_units))
        layers.append(activations[activation]())
        if dropout_rate > 0:
            layers.append(nn.Dropout(dropout_rate))
        width = hidden_units
    layers.append(nn.Linear(width, output_dim))
    return nn.Sequential(*layers)


# Problem 3: the loss landscape


def pca_plane(snapshots: Array) -> tuple[Array, Array, Array]:
    """Fit a plane to parameter vectors: centre, two directions, and the path's coordinates."""
    center = snapshots.mean(axis=0)
    centered = (snapshots - center).astype(np.float64)
    directions = np.linalg.svd(centered, full_matrices=False)[2][:2]
    return center, directions, centered @ directions.T


def loss_surface(
    model: nn.Module,
    loader: DataLoader[Batch],
    criterion: nn.Module,
    center: Array,
    directions: Array,
    xs: Array,
    ys: Array,
) -> Array:
    """Compute the loss over a grid of a plane, one row for each y; the model is put back."""
    before = extract_model_params(model)
    surface = np.empty((len(ys), len(xs)))
    for i, y in enumerate(ys):
        for j, x in enumerate(xs):
            point = center + x * directions[0] + y * directions[1]
            load_params_into_model(model, torch.from_numpy(point).float())
            surface[i, j] = compute_loss(model, loader, criterion)
    load_params_into_model(model, before)
    return surface


def path_losses(
    model: nn.Module, loader: DataLoader[Batch], criterion: nn.Module, snapshots: Array
) -> Array:
    """Compute the loss at each snapshot itself, which may lie off the plane."""
    before = extract_model_params(model)
    losses = np.empty(len(snapshots))
    for i, snapshot in enumerate(snapshots):
        load_params_into_model(model, torch.from_numpy(snapshot).float())
        losses[i] = compute_loss(model, loader, criterion)
    load_params_into_model(model, before)
    return losses


def plot_landscape(xs: Array, ys: Array, surface: Array, path: Array, losses: Array) -> Figure:
    """Draw a loss surface in 3-D with the path of SGD over it."""
    figure = plt.figure(figsize=(7, 5))
    axes = figure.add_subplot(projection="3d")
    axes.plot_surface(*np.meshgrid(xs, ys), surface, cmap="viridis", alpha=0.7)
    axes.plot(path[:, 0], path[:, 1], losses, "o-", color="black", markersize=3)
    axes.set_xlabel("first principal component")
    axes.set_ylabel("second principal component")
    axes.set_zlabel("cross-entropy")
    return figure


# Problem 4: the autoencoder


def prepare_data(batch_size: int = 128) -> tuple[DataLoader[Batch], DataLoader[Batch]]:
    """Make loaders of the training and the test images, with pixels in [0, 1]."""
    loaders: list[DataLoader[Batch]] = []
    for name in ("train", "test"):
        images = np.load(f"fashion_mnist_{name}_images.npy")
        labels = np.load(f"fashion_mnist_{name}_labels.npy")
        pixels = torch.from_numpy(images.reshape(len(images), -1).astype(np.float32) / 255)
        dataset = TensorDataset(pixels, torch.from_numpy(labels.astype(np.int64)))
        loaders.append(DataLoader(dataset, batch_size, shuffle=name == "train"))
    return loaders[0], loaders[1]


class Autoencoder(nn.Module):
    """A dense autoencoder, 784-128-64-128-784."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Linear(784, 128),
            nn.ReLU(),
            nn.Linear(128, 64),
            nn.ReLU(),
        )
        self.decoder = nn.Sequential(
            nn.Linear(64, 128),
            nn.ReLU(),
            nn.Linear(128, 784),
            nn.Sigmoid(),
        )

    def encode(self, inputs: torch.Tensor) -> torch.Tensor:
        """Return the codes of images."""
        return self.encoder(inputs)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Return the reconstructions of images."""
        return self.decoder(self.encode(inputs))


def start_orthogonal(model: nn.Module) -> None:
    """Draw orthogonal weights that keep a signal through ReLU, and set biases to zero."""
    for layer in model.modules():
        if isinstance(layer, nn.Linear):
            nn.init.orthogonal_(layer.weight, gain=2**0.5)
            nn.init.zeros_(layer.bias)


def train_autoencoder(
    model: nn.Module,
    loader: DataLoader[Batch],
    epochs: int = 20,
    lr: float = 1e-3,
    one_cycle: bool = False,
) -> tuple[nn.Module, list[float]]:
    """Train with Adam on the mean squared error; return the mean loss of each epoch."""
    criterion = nn.MSELoss()
    optimizer = torch.optim.Adam(model.parameters(), lr=lr)
    if one_cycle:
        schedule_one_cycle(optimizer, epochs * len(loader))
    losses: list[float] = []
    model.train()
    for _ in range(epochs):
        total = 0.0
        for inputs, _labels in loader:
            optimizer.zero_grad()
            outputs = model(inputs)
            loss = criterion(outputs, inputs)
            loss.backward()
            optimizer.step()
            total += loss.item() * len(inputs)
        losses.append(total / len(loader.dataset))  # type: ignore[arg-type]
    return model, losses


def plot_reconstructions(model: nn.Module, images: torch.Tensor) -> Figure:
    """Draw images above their reconstructions."""
    model.eval()
    with torch.no_grad():
        rows = {"original": images, "reconstruction": model(images)}
    figure, axes = plt.subplots(2, len(images), figsize=(2 * len(images), 4), squeeze=False)
    for line, (title, pictures) in zip(axes, rows.items(), strict=True):
        for axis, picture in zip(line, pictures, strict=True):
            axis.imshow(picture.reshape(28, 28).numpy(), cmap="gray", vmin=0, vmax=1)
            axis.set_title(title)
            axis.axis("off")
    return figure
