"""The unit of a relative strength."""

import torch
from torch import Tensor

from sklearn_sparsedis.functional._logistic import row_shares
from sklearn_sparsedis.solvers.smooth_loss._losses import Loss
from sklearn_sparsedis.solvers.smooth_loss._penalties import Penalty
from sklearn_sparsedis.solvers.smooth_loss._problem import pose

__all__ = ["alpha_unit"]


@torch.no_grad()
def alpha_unit(
    loss: Loss, penalty: Penalty, Z: Tensor, y: Tensor, sample_weight: Tensor | None = None
) -> Tensor:
    """Strength in whose units a relative strength counts, shape (*batch,).

    For penalties with a kink at zero it is the smallest strength with coefficients of zero, for the
    ridge the mean second derivative of the loss in a coefficient at the best constant. It is zero
    for problems whose solution is a constant whatever the strength.

    Parameters
    ----------
    loss, penalty, Z, y, sample_weight
        As in `solve_smooth`.
    """
    posed = pose(loss, penalty, Z, y, row_shares(y, sample_weight), 1.0)
    problem, design = posed.problem, posed.problem.design
    rows = problem.loss.at(posed.targets.start[:, None].expand_as(problem.y), problem.y)
    gradient = design.correlate(problem.share * rows.residual)
    weight = rows.curvature(problem.share)
    total = weight.sum(-1, keepdim=True)
    mean = design.correlate(weight)
    varies = design.squares().correlate(weight)
    variance = varies - mean.square() / torch.where(total > 0, total, 1.0)
    return penalty.unit(gradient, variance.clamp_min(0)).reshape(posed.batch)
