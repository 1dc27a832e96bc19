from collections.abc import Callable

import numpy as np
import pytest
import torch

from downslope.autoencoders import Autoencoder
from downslope.data import Dataset, Examples, Scaling
from downslope.networks import NetworkSpec, build

UNIT = Scaling(divisor=16.0)


@pytest.fixture
def coder() -> Autoencoder:
    """An autoencoder of 8x8 digits as initialized."""
    network = NetworkSpec(widths=(64, 16, 6, 16, 64), output="sigmoid")
    module = build(network, torch.Generator().manual_seed(3))
    state = {name: value.numpy() for name, value in module.state_dict().items()}
    return Autoencoder(network, state, UNIT, (8, 8))


@pytest.fixture
def digits(make_digits: Callable[..., Dataset]) -> Examples:
    """Digits with inputs scaled to [0, 1]."""
    return UNIT.apply(make_digits().training)


@pytest.fixture
def inputs(digits: Examples) -> np.ndarray:
    return np.asarray(digits.inputs, np.float32)
