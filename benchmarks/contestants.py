"""One contestant in its own process: trains when told to, says how long it took.

`python contestants.py NAME WIDTHS BATCH TASK` reads lines from its input; at each it trains and
prints seconds and model-epochs; at the end of its input it prints its peak memory in MiB.
`engines.py` starts several and alternates between them, so that nothing but the clock is shared.
"""

import itertools
import os
import resource
import sys
import time
from collections.abc import Callable

import numpy as np

ROWS, CLASSES, RATE = 48_000, 10, 0.01

# Trains some epochs of some networks; returns how many model-epochs that was.
Epoch = Callable[[], int]


def examples() -> tuple[np.ndarray, np.ndarray]:
    """Make rows of 784 features, as many as the published search trains on."""
    generator = np.random.default_rng(0)
    inputs = generator.random((ROWS, 784), dtype=np.float32) - np.float32(0.5)
    return inputs, generator.integers(0, CLASSES, ROWS)


def torch_module(widths: list[int], regularized: bool):
    """Build the network as a PyTorch user does."""
    from torch import nn

    layers: list[nn.Module] = []
    for a, b in itertools.pairwise(widths[:-1]):
        layers.append(nn.Linear(a, b))
        if regularized:
            layers.append(nn.BatchNorm1d(b))
        layers.append(nn.ReLU())
        if regularized:
            layers.append(nn.Dropout(0.2))
    return nn.Sequential(*layers, nn.Linear(widths[-2], widths[-1]))


def dataloader(widths: list[int], batch_size: int, regularized: bool) -> Epoch:
    """Train as the published code does: a DataLoader over a Subset, all of torch's threads."""
    import torch
    from torch import nn
    from torch.utils.data import DataLoader, Subset, TensorDataset

    inputs, targets = (torch.from_numpy(a) for a in examples())
    subset = Subset(TensorDataset(inputs, targets), range(ROWS))
    module = torch_module(widths, regularized)
    optimizer = torch.optim.SGD(module.parameters(), lr=RATE)

    def epoch() -> int:
        total = 0.0
        for x, y in DataLoader(subset, batch_size=batch_size, shuffle=True):
            loss = nn.functional.cross_entropy(module(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item()
        return 1

    return epoch


def indexed(widths: list[int], batch_size: int, regularized: bool) -> Epoch:
    """Train in PyTorch on whole tensors that are indexed, with all of torch's threads."""
    import torch
    from torch import nn

    inputs, targets = (torch.from_numpy(a) for a in examples())
    module = torch_module(widths, regularized)
    optimizer = torch.optim.SGD(module.parameters(), lr=RATE, fused=True)

    def epoch() -> int:
        for rows in torch.randperm(ROWS).split(batch_size):
            loss = nn.functional.cross_entropy(module(inputs[rows]), targets[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        return 1

    return epoch


def sklearn(widths: list[int], batch_size: int, regularized: bool) -> Epoch:
    """Train scikit-learn's MLPClassifier, which knows neither batch norm nor dropout."""
    from sklearn.neural_network import MLPClassifier

    assert not regularized
    inputs, targets = examples()
    model = MLPClassifier(
        widths[1:-1], solver="sgd", momentum=0, alpha=0, batch_size=batch_size, shuffle=True,
        learning_rate_init=RATE,
    )  # fmt: skip

    def epoch() -> int:
        model.partial_fit(inputs, targets, classes=np.arange(CLASSES))
        return 1

    return epoch


def jax_networks(widths: list[int], batch_size: int, regularized: bool, networks: int) -> Epoch:
    """Train networks of one shape in JAX: an epoch is one compiled scan, vmapped over networks."""
    import jax
    import jax.numpy as jnp

    inputs, targets = (jnp.asarray(a) for a in examples())
    hidden = len(widths) - 2
    generator = np.random.default_rng(0)

    def start() -> list[dict[str, jax.Array]]:
        layers = []
        for i, (a, b) in enumerate(itertools.pairwise(widths)):
            bound = 1 / np.sqrt(a)
            layer = {
                "w": generator.uniform(-bound, bound, (networks, a, b)),
                "b": generator.uniform(-bound, bound, (networks, b)),
            }
            if regularized and i < hidden:
                layer |= {"gamma": np.ones((networks, b)), "beta": np.zeros((networks, b))}
            layers.append({k: jnp.asarray(v, jnp.float32) for k, v in layer.items()})
        return layers

    def loss_of(layers, running, x, y, key):
        moved = []
        for i, layer in enumerate(layers):
            x = x @ layer["w"] + layer["b"]
            if i == hidden:
                break
            if regularized:
                mean, variance = x.mean(0), x.var(0)
                moved.append(
                    (0.9 * running[i][0] + 0.1 * mean, 0.9 * running[i][1] + 0.1 * variance)
                )
                x = layer["gamma"] * (x - mean) * jax.lax.rsqrt(variance + 1e-5) + layer["beta"]
            x = jax.nn.relu(x)
            if regularized:
                kept = jax.random.bernoulli(jax.random.fold_in(key, i), 0.8, x.shape)
                x = jnp.where(kept, x / 0.8, 0)
        picked = jnp.take_along_axis(jax.nn.log_softmax(x), y[:, None], 1)
        return -picked.mean(), moved

    def step(carry, now):
        layers, running = carry
        rows, key = now
        (loss, moved), gradients = jax.value_and_grad(loss_of, has_aux=True)(
            layers, running, inputs[rows], targets[rows], key
        )
        layers = jax.tree.map(lambda p, g: p - RATE * g, layers, gradients)
        return (layers, moved), loss

    def one(layers, running, order, keys):
        return jax.lax.scan(step, (layers, running), (order, keys))

    train = jax.jit(jax.vmap(one), donate_argnums=(0, 1))
    steps = ROWS // batch_size
    state = {
        "layers": start(),
        "running": [
            (jnp.zeros((networks, w)), jnp.ones((networks, w))) for w in widths[1:-1] if regularized
        ],
    }

    def epoch() -> int:
        order = np.stack([generator.permutation(ROWS) for _ in range(networks)])
        order = order[:, : steps * batch_size].reshape(networks, steps, batch_size)
        keys = jax.random.split(jax.random.key(0), (networks, steps))
        (state["layers"], state["running"]), losses = train(
            state["layers"], state["running"], jnp.asarray(order), keys
        )
        losses.block_until_ready()
        return networks

    return epoch


def downslope(widths: list[int], batch_size: int, regularized: bool) -> Epoch:
    """Train a population on the compiled engine, two members per core, start-up included."""
    from downslope import Examples, Member, NetworkSpec, TrainingSpec, train
    from downslope.engines import cores

    network = NetworkSpec(
        widths=tuple(widths),
        normalization="batch" if regularized else "none",
        dropout=0.2 if regularized else 0,
    )
    data = Examples(*examples())
    training = TrainingSpec(batch_size=batch_size, epochs=4, learning_rate=RATE)
    population = [
        Member(network=network, training=training, seed=seed) for seed in range(2 * cores())
    ]

    def epoch() -> int:
        return sum(1 for _ in train(population, data, engine="native"))

    return epoch


CONTESTANTS: dict[str, Callable[[list[int], int, bool], Epoch]] = {
    "dataloader": dataloader,
    "indexed": indexed,
    "sklearn": sklearn,
    # The wide network fills its registers with fewer copies; 32 of them would take minutes.
    "jax-vmap": lambda *task: jax_networks(*task, networks=32 if max(task[0][1:]) < 128 else 8),
    "jax-scan": lambda *task: jax_networks(*task, networks=1),
    "downslope": downslope,
}


def main() -> None:
    name, widths, batch_size, regularized = sys.argv[1:]
    epoch = CONTESTANTS[name](
        [int(w) for w in widths.split("-")], int(batch_size), regularized == "1"
    )
    epoch()  # compiled, allocated, warm
    print("ready", flush=True)
    for _ in sys.stdin:
        start = time.perf_counter()
        model_epochs = epoch()
        print(time.perf_counter() - start, model_epochs, flush=True)
    unit = 1 if sys.platform == "darwin" else 1024
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20, flush=True)
    os._exit(0)  # some libraries take seconds to say good-bye


if __name__ == "__main__":
    main()
