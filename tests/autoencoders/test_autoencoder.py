import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from downslope.autoencoders import Autoencoder, code_layer, fit_autoencoder
from downslope.cli.autoencoder import encode
from downslope.data import Range, Scaling
from downslope.engines import predict
from downslope.errors import InputError
from downslope.networks import NetworkSpec, TrainingSpec, build
from downslope.progress import drain


def test_codes_and_decoding_are_those_of_the_layers(coder: Autoencoder, inputs: np.ndarray) -> None:
    first, second, third, fourth = (nn.Linear(*s) for s in ((64, 16), (16, 6), (6, 16), (16, 64)))
    for name, layer in zip("0246", (first, second, third, fourth), strict=True):
        layer.load_state_dict(
            {k: torch.from_numpy(coder.state[f"{name}.{k}"]) for k in ("weight", "bias")}
        )
    with torch.no_grad():
        codes = second(first(torch.from_numpy(inputs)).relu()).relu()
        decoded = fourth(third(codes).relu()).sigmoid()
    raw = (inputs * 16).astype(np.uint8)
    np.testing.assert_allclose(coder.encode(raw), codes.numpy(), atol=1e-6)
    shown = coder.decode(codes.numpy())
    assert shown.shape == (len(raw), 8, 8)
    np.testing.assert_allclose(shown.reshape(-1, 64), 16 * decoded.numpy(), atol=1e-5)
    np.testing.assert_array_equal(coder.reconstruct(raw), coder.decode(coder.encode(raw)))
    whole = predict(coder.network, coder.state, inputs)
    np.testing.assert_allclose(coder.reconstruct(raw).reshape(-1, 64) / 16, whole, atol=1e-6)
    errors = np.square(whole.astype(float) - inputs).mean(1)
    np.testing.assert_allclose(coder.error(raw), errors, rtol=1e-4)


@pytest.mark.parametrize(
    ("widths", "layer"),
    [((9, 4, 9), 1), ((9, 5, 3, 5, 9), 2), ((9, 3, 3, 9), 1), ((9, 20, 12, 20, 9), 2)],
)
def test_the_code_is_the_narrowest_hidden_layer(widths: tuple[int, ...], layer: int) -> None:
    assert code_layer(NetworkSpec(widths=widths)) == layer


@pytest.mark.parametrize("widths", [(9, 9), (9, 4, 8)])
def test_what_cannot_reconstruct_is_refused(widths: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="cannot reconstruct"):
        code_layer(NetworkSpec(widths=widths))


def test_batch_norm_and_dropout_belong_to_the_layer_before(inputs: np.ndarray) -> None:
    network = NetworkSpec(
        widths=(64, 5, 64), output="sigmoid", normalization="batch", dropout=0.5, activation="elu"
    )
    module = build(network, torch.Generator().manual_seed(1)).eval()
    state = {name: value.numpy() for name, value in module.state_dict().items()}
    made = Autoencoder(network, state, Scaling(), (64,))
    with torch.no_grad():
        expected = module[:3](torch.from_numpy(inputs)).numpy()
    np.testing.assert_array_equal(made.encode(inputs), expected)


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (
            np.zeros((2, 63)),
            r"shape \(2, 63\) do not fit; .*\(examples, 64\) or \(examples, 8, 8\)",
        ),
        (np.zeros(64), r"shape \(64,\)"),
        (np.full((1, 64), "x"), "must be numbers"),
        (np.where(np.arange(128).reshape(2, 64) == 70, np.nan, 0), "row 1, column 6"),
        (np.full((1, 64), 1e60), "row 0, column 0"),
    ],
)
def test_examples_that_do_not_fit_are_refused(
    coder: Autoencoder, rows: np.ndarray, words: str
) -> None:
    with pytest.raises(InputError, match=words):
        coder.encode(rows)


@pytest.mark.parametrize(
    ("codes", "words"),
    [(np.zeros((2, 5)), r"\(examples, 6\)"), (np.full((1, 6), np.inf), "row 0, column 0")],
)
def test_codes_that_do_not_fit_are_refused(
    coder: Autoencoder, codes: np.ndarray, words: str
) -> None:
    with pytest.raises(InputError, match=words):
        coder.decode(codes)


def test_a_file_holds_all_of_it(coder: Autoencoder, inputs: np.ndarray) -> None:
    content = coder.to_bytes()
    again = Autoencoder.from_bytes(content)
    assert (again.network, again.scaling, again.shape) == (coder.network, coder.scaling, (8, 8))
    assert np.array_equal(again.encode(inputs), coder.encode(inputs))
    assert again.to_bytes() == content


@given(st.data())
def test_a_damaged_file_is_refused(data: st.DataObject) -> None:
    network = NetworkSpec(widths=(4, 2, 4))
    module = build(network, torch.Generator().manual_seed(0))
    state = {name: value.numpy() for name, value in module.state_dict().items()}
    content = bytearray(Autoencoder(network, state, Scaling(), (4,)).to_bytes())
    cut = data.draw(st.integers(0, len(content) - 1))
    with pytest.raises(InputError, match="holds no autoencoder"):
        Autoencoder.from_bytes(bytes(content[:cut]), "x.safetensors")
    header = int.from_bytes(content[:8], "little")
    content[data.draw(st.integers(0, 7 + header))] ^= data.draw(st.integers(1, 255))
    try:
        Autoencoder.from_bytes(bytes(content))
    except InputError as error:
        assert "\n" not in str(error)


def test_other_files_are_no_autoencoders() -> None:
    for content in (b"", b"PK\x03\x04", json.dumps({}).encode(), b"\xff" * 100):
        with pytest.raises(InputError, match="x: holds no autoencoder"):
            Autoencoder.from_bytes(content, "x")


def test_weights_of_another_network_are_refused(coder: Autoencoder) -> None:
    with pytest.raises(InputError, match="weights are not those"):
        Autoencoder(NetworkSpec(widths=(64, 9, 64)), coder.state, coder.scaling, (8, 8))
    with pytest.raises(InputError, match="do not fit"):
        Autoencoder(coder.network, coder.state, coder.scaling, (8, 9))


def test_examples_on_another_scale_are_warned_of(tmp_path: Path, capsys) -> None:
    draw = np.random.default_rng(0)
    raw = draw.integers(0, 256, (40, 4)).astype(np.uint8)
    training = TrainingSpec(loss="mean_squared_error", optimizer="adam", epochs=1)
    fitted = drain(fit_autoencoder(raw, hidden=(2,), training=training))
    read = Autoencoder.from_bytes(fitted.to_bytes())
    assert read.fitted == fitted.fitted == Range.of(raw)
    read.encode(raw[:3])  # no warning, which would be an error here
    with pytest.warns(UserWarning, match="no value is beyond 1 .* reach 255"):
        read.encode(raw / 255)
    far = raw.astype(float)
    far[5, 2] = 9000
    with pytest.warns(UserWarning, match="1 of 40 rows .* row 5, column 2 .* with 9000"):
        read.reconstruct(far)
    (tmp_path / "coder.safetensors").write_bytes(fitted.to_bytes())
    np.save(tmp_path / "x.npy", raw / 255)
    encode(tmp_path / "coder.safetensors", [tmp_path / "x.npy"], tmp_path / "codes.npy")
    assert capsys.readouterr().err.startswith("downslope: encode: no value is beyond 1 in")


def test_what_was_kept_without_ranges_is_still_read(coder: Autoencoder) -> None:
    assert Autoencoder.from_bytes(coder.to_bytes()).fitted is None


@pytest.mark.parametrize("levels", [17, 256])
def test_bytes_are_divided_by_their_level_of_white(levels: int) -> None:
    raw = np.random.default_rng(0).integers(0, levels, (40, 4)).astype(np.uint8)
    training = TrainingSpec(loss="mean_squared_error", optimizer="adam", epochs=1)
    made = drain(fit_autoencoder(raw, hidden=(2,), training=training))
    assert made.scaling == Scaling(divisor=levels - 1)


def test_large_values_keep_their_differences() -> None:
    raw = 1_700_000_000 + np.random.default_rng(0).permutation(200).reshape(100, 2)
    training = TrainingSpec(loss="mean_squared_error", optimizer="adam", epochs=1)
    made = drain(fit_autoencoder(raw, hidden=(2,), training=training))
    assert len(np.unique(made.scale(raw)[:, 0])) == 100
