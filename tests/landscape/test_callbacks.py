"""Callbacks and checkpoints of the real Lightning and Hugging Face Trainer: `make callbacks`."""

from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from downslope.errors import InputError
from downslope.landscape import (
    Grid,
    LossOptions,
    Trajectory,
    compute_landscape,
    lightning_callback,
    read_snapshots,
    trainer_callback,
)
from downslope.networks import flatten
from downslope.progress import drain

pytestmark = pytest.mark.filterwarnings("ignore")  # what they warn of is theirs
DRAW = np.random.default_rng(0)


def installed(name: str) -> Any:
    """Import a library; where it is installed and cannot be imported, the test fails."""
    if find_spec(name.partition(".")[0]) is None:
        pytest.skip("make callbacks installs it")
    return import_module(name)


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))


@pytest.mark.parametrize("name", ["lightning.pytorch", "pytorch_lightning"])
def test_lightning_records_what_its_own_checkpoints_hold(tmp_path: Path, name: str) -> None:
    library = installed(name)

    class Classifier(library.LightningModule):
        def __init__(self, rate: float) -> None:
            super().__init__()
            self.save_hyperparameters()
            self.model = network()
            self.losses: list[float] = []

        def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
            loss = functional.cross_entropy(self.model(batch[0]), batch[1])
            self.losses.append(loss.item())
            return loss

        def configure_optimizers(self) -> Any:
            return torch.optim.Adam(self.parameters(), lr=self.hparams["rate"])

    inputs = torch.from_numpy(DRAW.normal(size=(24, 3)).astype(np.float32))
    rows = torch.utils.data.TensorDataset(inputs, (inputs[:, 0] > 0).long())
    loader = torch.utils.data.DataLoader(rows, batch_size=4)
    path = Trajectory()
    saving = library.callbacks.ModelCheckpoint(
        tmp_path, filename="{epoch}-{step}", every_n_train_steps=2, save_top_k=-1, save_last=True
    )
    trainer = library.Trainer(
        max_epochs=2, accumulate_grad_batches=2, accelerator="cpu", logger=False,
        enable_progress_bar=False, enable_model_summary=False,
        callbacks=[saving, lightning_callback(path, every=2, part="model")],
    )  # fmt: skip
    module = Classifier(0.1)
    trainer.fit(module, loader)
    assert path.steps == [0, 2, 4, 6]
    assert np.array_equal(path.vectors[0], flatten(network()))
    assert np.isnan(path.losses[0])
    assert path.losses[1:] == pytest.approx([module.losses[i] for i in (3, 7, 11)])
    saved = drain(read_snapshots(tmp_path, network()))
    assert saved.steps == path.steps[1:]
    assert np.array_equal(saved.vectors, path.vectors[1:])
    again = library.Trainer(
        max_steps=1, accelerator="cpu", logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False,
        callbacks=[lightning_callback(Trajectory(), part="net")],
    )  # fmt: skip
    with pytest.raises(InputError, match="part = 'net'; the module has model"):
        again.fit(Classifier(0.1), loader)


def bert() -> Any:
    library = installed("transformers")
    torch.manual_seed(0)
    return library.BertForSequenceClassification(
        library.BertConfig(
            vocab_size=20, hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
            intermediate_size=16, max_position_embeddings=8,
        )
    )  # fmt: skip


def per_example(module: nn.Module, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    inputs = {name: value for name, value in batch.items() if name != "labels"}
    return functional.cross_entropy(module(**inputs).logits, batch["labels"], reduction="none")


def test_the_trainer_records_what_its_own_checkpoints_hold(tmp_path: Path) -> None:
    model = bert()
    library = installed("transformers")
    tokens = DRAW.integers(0, 20, (16, 6))
    arrays = {
        "input_ids": tokens,
        "attention_mask": (np.arange(6) < DRAW.integers(2, 7, 16)[:, None]).astype(np.int64),
        "labels": (tokens[:, 0] > 9).astype(np.int64),
    }
    rows = [{name: array[i] for name, array in arrays.items()} for i in range(16)]
    path = Trajectory()
    start = flatten(model)
    library.Trainer(
        model=model,
        args=library.TrainingArguments(
            str(tmp_path / "out"), max_steps=6, save_steps=2, per_device_train_batch_size=4,
            learning_rate=0.01, use_cpu=True, report_to=[], disable_tqdm=True,
        ),
        train_dataset=rows,
        callbacks=[trainer_callback(path, every=2)],
    ).train()  # fmt: skip
    assert path.steps == [0, 2, 4, 6] and np.array_equal(path.vectors[0], start)
    saved = drain(read_snapshots(tmp_path / "out", bert()))
    assert saved.steps == path.steps[1:]
    assert np.array_equal(saved.vectors, path.vectors[1:])
    # In several files, as larger models are saved.
    for step, vector in zip(path.steps, path.vectors, strict=True):
        torch.nn.utils.vector_to_parameters(torch.from_numpy(vector), model.parameters())
        model.save_pretrained(tmp_path / "parts" / f"checkpoint-{step}", max_shard_size="4KB")
    assert len(list((tmp_path / "parts" / "checkpoint-0").glob("*-of-*.safetensors"))) > 1
    whole = bert()
    parts = drain(read_snapshots(tmp_path / "parts", whole))
    assert parts.steps == path.steps and np.array_equal(parts.vectors, path.vectors)
    drawn = drain(
        compute_landscape(
            whole, parts, arrays, loss=LossOptions(per_example), grid=Grid(3, 3),
            curvature_points=1,
        )
    )  # fmt: skip
    with torch.no_grad():
        given = {name: torch.from_numpy(array) for name, array in arrays.items()}
        expected = whole.eval()(**given).loss.item()  # transformers' own, a mean
    assert drawn.result.path[-1].true_loss == pytest.approx(expected, rel=1e-5)
    assert drawn.result.curvature[0].trace is not None


def test_a_library_that_is_not_there_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> Any:
        raise ModuleNotFoundError(name=name.partition(".")[0])

    monkeypatch.setattr("downslope.landscape.callbacks.import_module", missing)
    with pytest.raises(InputError, match=r"pip install 'downslope\[lightning\]'"):
        lightning_callback(Trajectory())
    with pytest.raises(InputError, match=r"pip install 'downslope\[transformers\]'"):
        trainer_callback(Trajectory())
    with pytest.raises(InputError, match="every = 0"):
        trainer_callback(Trajectory(), every=0)
