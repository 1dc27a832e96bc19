"""Curvature along a path: the Hessian's top eigenvalues and trace, and the gradient's norm."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigsh
from torch import nn
from torch.func import functional_call
from torch.nn.attention import SDPBackend, sdpa_kernel

from downslope.engines.pytorch import one_thread
from downslope.errors import InputError
from downslope.landscape.evaluation import LossOptions, even_chunks, seed_all
from downslope.landscape.fitting import Arrays, LossFunction, Sample, copy_of, device_of, same_draws
from downslope.landscape.trajectory import Trajectory
from downslope.networks import Loss, flatten, guarded, unflatten
from downslope.progress import Progress, Steps

Vector = NDArray[np.float64]

EIGENVALUES = 2
PROBES = 20
"""Random vectors behind the estimate of the trace."""
CHUNK = 1024
"""Examples in a backward pass."""


class CurvaturePoint(msgspec.Struct, frozen=True, kw_only=True):
    """The curvature of the loss at one snapshot.

    Args:
        step: minibatches seen.
        eigenvalues: largest of the Hessian, largest first; empty where they did not converge or
            the loss is not finite.
        trace: Hutchinson's estimate of the Hessian's trace; None if not finite.
        trace_error: its standard error over probes.
        gradient_norm: Euclidean norm of the loss's gradient; None if not finite.
    """

    step: int
    eigenvalues: list[float]
    trace: float | None
    trace_error: float | None
    gradient_norm: float | None


def curvature(
    module: nn.Module,
    trajectory: Trajectory,
    examples: Arrays | Sample,
    loss: Loss | LossFunction | LossOptions = "cross_entropy",
    *,
    seed: int = 0,
    rows: Sequence[int] | None = None,
) -> Steps[list[CurvaturePoint]]:
    """Measure the curvature of the loss at snapshots of a trajectory.

    Eigenvalues come from Lanczos iterations on Hessian-vector products (Pearlmutter 1994), the
    trace from products with random signs (Hutchinson 1990). Batch norm uses its running
    statistics as they are, and nothing drops out. Modules of half precision are computed in
    float32.

    Args:
        module: the network, as for `evaluate`.
        trajectory: its snapshots have three parameters or more.
        examples: behind the loss.
        loss: by name or as a `LossOptions`.
        seed: of Lanczos' start and of the probes.
        rows: which snapshots, by position; all by default.

    Raises:
        InputError: fewer parameters, or examples that do not fit; see `fit_examples`.
    """
    size = trajectory.vectors.shape[1]
    if size <= EIGENVALUES:
        raise InputError(f"curvature: {size} parameters; {EIGENVALUES + 1} or more are needed")
    points: list[CurvaturePoint] = []
    chosen = list(range(len(trajectory)) if rows is None else rows)
    hessian = HessianOperator(module, examples, LossOptions.of(loss))
    for done, row in enumerate(chosen, 1):
        hessian.move_to(trajectory.vectors[row])
        generator = np.random.default_rng(seed)
        norm = float(np.linalg.norm(hessian.gradient()))
        values: list[float] = []
        trace = error = math.nan
        if math.isfinite(norm):
            values = [float(v) for v in hessian.top_eigenvalues(generator)]
            signs = [generator.choice([-1.0, 1.0], size) for _ in range(PROBES)]
            samples = [float(v @ hessian.product(v)) for v in signs]
            trace = float(np.mean(samples))
            error = float(np.std(samples, ddof=1) / math.sqrt(PROBES))
        points.append(
            CurvaturePoint(
                step=trajectory.steps[row],
                eigenvalues=values,
                trace=trace if math.isfinite(trace) else None,
                trace_error=error if math.isfinite(error) else None,
                gradient_norm=norm if math.isfinite(norm) else None,
            )
        )
        yield Progress("curvature", done, len(chosen))
    return points


def without_curvature(module: nn.Module, sample: Sample, options: LossOptions) -> str:
    """Say why a loss has no second derivatives, tried on two rows; empty where it has some."""
    hessian = HessianOperator(module, sample.take(slice(0, 2)), options)
    hessian.move_to(flatten(module))
    try:
        hessian.product(np.ones(sum(p.numel() for p in module.parameters())))
    except InputError as error:
        return str(error).removeprefix("landscape: ")
    return ""


class HessianOperator:
    """Gradients and Hessian-vector products of a copy of a module."""

    def __init__(self, module: nn.Module, examples: Arrays | Sample, options: LossOptions) -> None:
        self.sample = options.fit(module, examples)
        self.module = _MeanLoss(copy_of(module), options)
        if any(p.dtype in (torch.float16, torch.bfloat16) for p in module.parameters()):
            self.module.float()  # second derivatives of half precision would be noise
        self.device = device_of(module)
        self.tensors = self.sample.tensors(self.module)
        self.chunks = even_chunks(len(self.sample), CHUNK)
        self.parameters: dict[str, torch.Tensor] = {}

    def move_to(self, vector: NDArray[np.float32]) -> None:
        """Take other parameters, shape (parameters,)."""
        parts = unflatten(self.module, np.asarray(vector, np.float32))
        self.parameters = {name: part.requires_grad_() for name, part in parts.items()}

    def gradient(self) -> Vector:
        """Return the gradient of the mean loss, shape (parameters,)."""
        return self._sum(lambda loss: torch.autograd.grad(loss, self._tensors()))

    def product(self, vector: Vector) -> Vector:
        """Return the Hessian's product with a vector of shape (parameters,)."""
        flat = torch.from_numpy(np.array(vector, np.float32)).to(self.device)
        tensors = self._tensors()
        pieces = flat.split([t.numel() for t in tensors])
        along = [piece.reshape(t.shape) for piece, t in zip(pieces, tensors, strict=True)]

        def derive(loss: torch.Tensor) -> Sequence[torch.Tensor]:
            first = torch.autograd.grad(loss, tensors, create_graph=True)
            slope = torch.stack([(g * v).sum() for g, v in zip(first, along, strict=True)]).sum()
            if not slope.requires_grad:  # the loss is linear in the parameters
                return [torch.zeros_like(t) for t in tensors]
            return torch.autograd.grad(slope, tensors, materialize_grads=True)

        return self._sum(derive)

    def top_eigenvalues(self, generator: np.random.Generator) -> Vector:
        """Return the algebraically largest eigenvalues that converged, largest first."""
        size = sum(t.numel() for t in self._tensors())
        operator: Any = LinearOperator((size, size), matvec=self.product, dtype=np.float64)  # pyright: ignore
        start = generator.normal(size=size)
        solve: Any = eigsh  # its stub takes no fractions as a tolerance
        try:
            values, _ = solve(operator, EIGENVALUES, which="LA", v0=start, tol=1e-4, maxiter=300)
        except ArpackNoConvergence as error:
            values = error.eigenvalues
        return np.sort(np.asarray(values))[::-1]

    def _tensors(self) -> list[torch.Tensor]:
        return list(self.parameters.values())

    def _sum(self, derive: Callable[[torch.Tensor], Sequence[torch.Tensor]]) -> Vector:
        total: Vector = np.zeros(sum(t.numel() for t in self._tensors()))
        # The fused kernels of attention have no second derivative.
        math_only = sdpa_kernel(SDPBackend.MATH)
        what = guarded("landscape: the loss, differentiated twice,")
        with one_thread(), same_draws(self.device), torch.enable_grad(), math_only, what:
            for rows in self.chunks:
                seed_all(self.device)
                size = rows.stop - rows.start
                batch = self.sample.batch(self.tensors, rows)
                loss: Any = functional_call(self.module, self.parameters, (batch, size))
                parts = derive(loss * (size / len(self.sample)))
                total += torch.cat([p.reshape(-1) for p in parts]).double().cpu().numpy()
        return total


class _MeanLoss(nn.Module):
    """A module whose output is another one's mean loss on a batch."""

    def __init__(self, module: nn.Module, options: LossOptions) -> None:
        super().__init__()
        self.module, self.options = module, options

    def forward(self, batch: Any, rows: int) -> torch.Tensor:
        return self.options.losses(self.module, batch, rows)[0].mean()
