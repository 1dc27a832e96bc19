import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.datasets import load_digits


@pytest.fixture(scope="session")
def digits() -> NDArray[np.float32]:
    """Pixels in [0, 1] minus 0.5, shape (1797, 64)."""
    return (load_digits().data / 16 - 0.5).astype(np.float32)
