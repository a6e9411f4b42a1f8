"""Processes that fit one model together, by torch.distributed."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from sklearn_sparsedis.exceptions import RankError

__all__ = ["ALONE", "Ranks"]

Result = TypeVar("Result")


@dataclass(frozen=True)
class Ranks:
    """The processes of the default process group, or this one alone where there is none.

    Every rank calls the same methods in the same order. Alone, nothing is sent and tensors are
    returned as they are.

    Attributes
    ----------
    size : int
        Number of processes.
    index : int
        Which one this is.
    """

    size: int = 1
    index: int = 0

    @classmethod
    def joined(cls) -> "Ranks":
        """The ranks of the process group that was initialised, as torchrun's scripts do."""
        if dist.is_available() and dist.is_initialized():
            return cls(dist.get_world_size(), dist.get_rank())
        return cls()

    @property
    def main(self) -> bool:
        """True on the rank that prints and writes."""
        return self.index == 0

    def part(self, n: int) -> slice:
        """This rank's share of n things in a row."""
        return slice(n * self.index // self.size, n * (self.index + 1) // self.size)

    def every(self) -> slice:
        """This rank's share of things that are dealt out in turn."""
        return slice(self.index, None, self.size)

    def join(self, rows: Tensor, n: int, *, alike: bool = False) -> Tensor:
        """All n rows, of which each rank has its `part`; differentiable as `total` is."""
        return rows if self.size == 1 else _Join.apply(rows, self.part(n), n, self._alike(alike))

    def total(self, tensor: Tensor, *, alike: bool = False) -> Tensor:
        """Sum over the ranks; differentiable.

        The gradient is the sum of what all ranks' losses give. Where all ranks go `alike` from the
        sum to their losses, these gradients are equal, and nothing is sent.
        """
        return tensor if self.size == 1 else _Total.apply(tensor, self._alike(alike))

    def _alike(self, alike: bool) -> int | None:
        return self.size if alike else None

    def add(self, *arrays: NDArray[np.float64]) -> tuple[NDArray[np.float64], ...]:
        """Sums of arrays over the ranks, in one message."""
        if self.size == 1:
            return arrays
        flat = torch.from_numpy(np.concatenate([array.ravel() for array in arrays]))
        flat = _summed(flat.to("cuda" if dist.get_backend() == "nccl" else "cpu")).cpu()
        parts = flat.split([array.size for array in arrays])
        return tuple(x.numpy().reshape(a.shape) for x, a in zip(parts, arrays, strict=True))

    def add_gradients(self, parameters: Iterable[nn.Parameter], loss: Tensor) -> Tensor:
        """Replace gradients by their sums over the ranks; and the sum of the losses."""
        if self.size == 1:
            return loss
        grads = [p.grad for p in parameters if p.grad is not None]
        message = torch.cat([loss.detach().reshape(1).to(grads[0]), *(g.flatten() for g in grads)])
        message = _summed(message)
        start = 1
        for grad in grads:
            grad.copy_(message[start : start + grad.numel()].view_as(grad))
            start += grad.numel()
        return message[0]

    def from_main(self, action: Callable[[], Any]) -> Any:
        """Run an action on the main rank; return its result, or raise its error, on all ranks."""
        if self.size == 1:
            return action()
        answer: list[Any] = [None, None]
        if self.main:
            try:
                answer[0] = action()
            except Exception as error:
                answer[1] = error
        with _explained():
            dist.broadcast_object_list(answer, src=0)
        if answer[1] is not None:
            raise answer[1]
        return answer[0]

    def each(self, action: Callable[[], Result]) -> Result:
        """Run an action without messages on each rank; raise the error of any rank on all."""
        if self.size == 1:
            return action()
        answer: tuple[Result, ...] = ()
        found: Exception | None = None
        try:
            answer = (action(),)
        except Exception as error:
            found = error
        errors: list[Exception | None] = [None] * self.size
        with _explained():
            dist.all_gather_object(errors, found)
        for raised in errors:
            if raised is not None:
                raise raised
        return answer[0]

    def require_same(self, what: Mapping[str, Any]) -> None:
        """Raise on all ranks unless they have the same values."""
        if self.size == 1:
            return
        found: list[Any] = [None] * self.size
        with _explained():
            dist.all_gather_object(found, dict(what))
        for name in what:
            values = [values.get(name) for values in found]
            if any(value != values[0] for value in values):
                shown = ", ".join(f"{value} on rank {i}" for i, value in enumerate(values[:4]))
                raise ValueError(
                    f"{name} must be the same on all {self.size} ranks of a distributed fit, got "
                    f"{shown}. Load the same data on every rank: rows are shared out inside."
                )

    @contextmanager
    def batch_norm(self, module: nn.Module) -> Iterator[None]:
        """Let batch normalisation inside a module take the moments of all ranks' rows."""
        if self.size == 1:
            yield
            return
        layers = [(layer, type(layer)) for layer in module.modules() if type(layer) in _NORMS]
        for layer, _ in layers:
            layer.__class__ = _JoinedBatchNorm
        try:
            yield
        finally:
            for layer, kind in layers:
                layer.__class__ = kind


# one process by itself
ALONE = Ranks()

_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


class _JoinedBatchNorm(_BatchNorm):
    """Batch normalisation whose batch is that of all ranks together."""

    def _check_input_dim(self, input: Tensor) -> None:  # noqa: A002
        """The layer that this one stands for has checked its input before."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002
        if not self.training and self.running_mean is not None:
            return super().forward(input)
        dims = [0, *range(2, input.ndim)]
        count = _summed(input.new_tensor([input.numel() / input.shape[1]]))
        mean = _Total.apply(input.sum(dims), None) / count
        shape = [1, -1] + [1] * (input.ndim - 2)
        centred = input - mean.view(shape)
        var = _Total.apply(centred.square().sum(dims), None) / count
        self._remember(mean.detach(), (var * count / (count - 1)).detach())
        output = centred * (var + self.eps).rsqrt().view(shape)
        if self.affine:
            output = output * self.weight.view(shape) + self.bias.view(shape)
        return output

    @torch.no_grad()
    def _remember(self, mean: Tensor, var: Tensor) -> None:
        if not self.training or self.running_mean is None or self.running_var is None:
            return
        assert self.num_batches_tracked is not None  # for mypy
        self.num_batches_tracked.add_(1)
        rate = self.momentum
        if rate is None:
            rate = 1.0 / float(self.num_batches_tracked)
        self.running_mean.lerp_(mean, rate)
        self.running_var.lerp_(var, rate)


class _Join(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: Tensor, part: slice, n: int, n_alike: int | None) -> Tensor:
        ctx.part, ctx.n_alike = part, n_alike
        full = rows.new_zeros(n, *rows.shape[1:])
        full[part] = rows
        return _summed(full)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        return _sum_of_gradients(grad, ctx.n_alike)[ctx.part], None, None, None


class _Total(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, tensor: Tensor, n_alike: int | None) -> Tensor:
        ctx.n_alike = n_alike
        return _summed(tensor.clone())

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        return _sum_of_gradients(grad, ctx.n_alike), None


def _sum_of_gradients(grad: Tensor, n_alike: int | None) -> Tensor:
    return _summed(grad.clone()) if n_alike is None else n_alike * grad


def _summed(tensor: Tensor) -> Tensor:
    """Sum over the ranks, in place."""
    tensor = tensor.contiguous()
    with _explained():
        dist.all_reduce(tensor)
    return tensor


@contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        raise RankError(
            f"Rank {dist.get_rank()} of {dist.get_world_size()} cannot reach the others: one has "
            "stopped, or took longer than the timeout of torch.distributed.init_process_group. The "
            "estimator is unchanged. Start all ranks again; with a Checkpoint the training goes on "
            f"from there. ({error})"
        ) from error
