import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from downslope import TrainingSpec
from downslope.engines import learning_rates
from downslope.engines.pytorch import make_optimizer, make_scheduler


@given(
    st.sampled_from(["constant", "cosine", "one_cycle"]),
    st.integers(1, 6),
    st.integers(1, 30),
    st.floats(1e-5, 10),
)
def test_the_closed_form_is_torchs_scheduler(schedule, epochs, steps, rate) -> None:
    spec = TrainingSpec(schedule=schedule, epochs=epochs, learning_rate=rate)
    optimizer = make_optimizer(torch.nn.Linear(1, 1), spec)
    scheduler = make_scheduler(optimizer, spec, steps)
    expected = []
    for _ in range(epochs * steps):
        expected.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if scheduler is not None:
            scheduler.step()
    found = learning_rates(spec, steps)
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12 * rate)


@pytest.mark.parametrize("schedule", ["constant", "cosine", "one_cycle"])
def test_rates_are_positive(schedule) -> None:
    assert (learning_rates(TrainingSpec(schedule=schedule, epochs=3), 7) > 0).all()
