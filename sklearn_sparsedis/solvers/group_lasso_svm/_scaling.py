"""The user's group-Lasso SVM, validated and scaled to lambda_2 = 1 and unit sample weights."""

from dataclasses import dataclass

import torch
from torch import Tensor

from sklearn_sparsedis.functional._sync import any_true
from sklearn_sparsedis.solvers.group_lasso_svm._features import Features, is_sparse
from sklearn_sparsedis.solvers.group_lasso_svm._lagrangian import ManySamples
from sklearn_sparsedis.solvers.group_lasso_svm._problem import Problem

# Largest n (k-1) of problems that are solved in their dual, where sparse ones of up to so many
# elements are made dense
DUAL_ORDER = 500
_DENSE_ELEMENTS = 2**22


@dataclass
class Problems:
    """Problems whose features are scaled, and widened, where and when a part of them is solved.

    Attributes
    ----------
    F : Tensor of shape (b, n, m), or sparse (n, m)
        Features as given.
    rows : Tensor of shape (b, n, 1)
        Factors of the rows of F in the scaled problems, and of the dtype to solve in.
    Y, c, tau : Tensor
        As in `Problem`.
    scale : Tensor of shape (b,)
        Factor of the features, and of the coefficients on the way back.
    ones : bool
        Whether a column of ones comes after the features.
    """

    F: Tensor
    rows: Tensor
    Y: Tensor
    c: Tensor
    tau: Tensor
    scale: Tensor
    ones: bool = False

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """What the solution depends on."""
        return self.F, self.rows, self.Y, self.c, self.tau

    def scaled(self, chunk: slice) -> Problem:
        """Return the scaled problems of a part of the batch, detached from autograd."""
        F, rows, Y, c, tau = (x.detach()[chunk] for x in self.tensors)
        wide = F * rows
        return Problem(torch.cat([wide, rows], -1) if self.ones else wide, Y, c, tau)

    def of_many_samples(self, index: int) -> ManySamples:
        """Return a problem of the batch for the method that copies no features."""
        F, rows, Y, c, tau = (x.detach() for x in self.tensors)
        some = F if is_sparse(F) else F[index]
        scale = float(self.scale[index])
        return ManySamples(Features.of(some, scale, self.ones), Y[index], c[index], tau[index])


def scale_problem(
    F: Tensor,
    y: Tensor,
    group_reg: Tensor | float,
    l2_reg: Tensor | float,
    n_classes: int | None,
    feature_weight: Tensor | None,
    sample_weight: Tensor | None,
    *,
    ones: bool = False,
) -> tuple[Problems, Tensor, torch.Size]:
    """Problems with one batch dimension, unit lambda_2 and unit sample weights.

    Returns
    -------
    problems : Problems
        The problems.
    scale : Tensor of shape (b,)
        Its coefficients times this are those of the original.
    batch : torch.Size
        Batch dimensions.
    """
    _check_data(F, y)
    batch, n, m = F.shape[:-2], F.shape[-2], F.shape[-1]
    k = int(y.max()) + 1 if n_classes is None else n_classes
    if k < 2:
        raise ValueError(f"at least two classes are needed, got n_classes={k}")
    if is_sparse(F) and n * (k - 1) <= DUAL_ORDER and n * m <= _DENSE_ELEMENTS:
        F = F.to_dense()
    device = F.device
    wide = torch.float64 if device.type != "mps" else F.dtype
    l1, l2 = (_scalar(value, wide, device) for value in (group_reg, l2_reg))
    omega = feature_weight if feature_weight is not None else y.new_ones(m, dtype=wide)
    c = sample_weight if sample_weight is not None else y.new_ones(n, dtype=wide)
    for name, value, shape in (
        ("group_reg", l1, batch),
        ("l2_reg", l2, batch),
        ("feature_weight", omega, (*batch, m)),
        ("sample_weight", c, (*batch, n)),
    ):
        _check_broadcast(name, value, torch.Size(shape))
    _check_domains(y, k, l1, l2, omega, c)

    b = batch.numel()
    scale = l2.expand(batch).reshape(b).rsqrt()
    c = c.to(wide).expand(*batch, n).reshape(b, n, 1)
    threshold = (l1.unsqueeze(-1) * omega.to(wide)).expand(*batch, m).reshape(b, m)
    if ones:
        threshold = torch.cat([threshold, threshold.new_zeros(b, 1)], -1)
    problems = Problems(
        F=F if is_sparse(F) else F.reshape(b, n, m),
        rows=c * scale[:, None, None],
        Y=(y.reshape(b, n, 1) == torch.arange(k, device=device)).to(wide),
        c=c,
        tau=threshold * scale.unsqueeze(-1),
        scale=scale,
        ones=ones,
    )
    return problems, scale, batch


def _scalar(value: Tensor | float, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Tensor of a parameter; a number is written on the device, not copied to it."""
    if isinstance(value, Tensor):
        return value.to(dtype)
    return torch.full((), value, dtype=dtype, device=device)


def _check_data(F: Tensor, y: Tensor) -> None:
    if not F.is_floating_point():
        raise TypeError(f"F must be a floating-point tensor, got {F.dtype}")
    if y.is_floating_point() or y.dtype == torch.bool:
        raise TypeError(f"y must be an integer tensor of labels, got {y.dtype}")
    if F.ndim < 2 or y.shape != F.shape[:-1]:
        raise ValueError(
            "F must have shape (*batch, n, m) and y (*batch, n), "
            f"got {tuple(F.shape)} and {tuple(y.shape)}"
        )
    if F.layout not in (torch.strided, torch.sparse_csr):
        raise TypeError(f"F must be dense or in compressed sparse rows, got {F.layout}")


def _check_broadcast(name: str, value: Tensor, shape: torch.Size) -> None:
    try:
        value.expand(shape)
    except RuntimeError:
        raise ValueError(
            f"{name} must be broadcastable to shape {tuple(shape)}, got {tuple(value.shape)}"
        ) from None


def _check_domains(y: Tensor, k: int, l1: Tensor, l2: Tensor, omega: Tensor, c: Tensor) -> None:
    """Raise a ValueError for the first argument outside its domain (one synchronisation)."""
    wrong = {
        f"y must hold labels in [0, {k})": (y < 0) | (y >= k),
        "group_reg must be nonnegative": ~(l1 >= 0),
        "l2_reg must be positive": ~(l2 > 0),
        "feature_weight must be nonnegative": ~(omega >= 0),
        "sample_weight must be nonnegative": ~(c >= 0),
    }
    flags = torch.stack([mask.any() for mask in wrong.values()])
    if not any_true(flags):
        return
    for message, flag in zip(wrong, flags, strict=True):
        if any_true(flag):
            raise ValueError(message)
