"""Newton systems of the group-Lasso SVM's dual that are too large to factor."""

from sklearn_sparsedis.functional._sync import any_true
from sklearn_sparsedis.solvers.group_lasso_svm._arrays import Array, where
from sklearn_sparsedis.solvers.group_lasso_svm._system import ClassSolver

# Relative residual that is enough, and the most steps for it
_ACCURACY, _STEPS = 0.01, 100


class GradientSolver:
    """Newton system, solved by conjugate gradients.

    Each feature's curvature is replaced by its mean over all directions for the preconditioner,
    whose blocks a Gram matrix of the samples and the barrier give. With more features in use than
    samples the two differ by a factor of few, however small or large the barrier's curvature is.

    Parameters
    ----------
    F : Array of shape (b, n, p)
        Features.
    bent : Array of shape (b, p, k)
        Direction of each feature's extra curvature, scaled by its square root.
    weight : Array of shape (b, p)
        Curvature of each feature in all directions.
    dual, curvature : Array of shape (b, n, k)
        Dual point, and the barrier's diagonal curvature there.
    """

    def __init__(self, F: Array, bent: Array, weight: Array, dual: Array, curvature: Array):
        self.F, self.bent, self.weight, self.curvature = F, bent, weight, curvature
        mean = weight + (bent * bent).sum(-1) / bent.shape[-1]
        self.near = ClassSolver((F * mean[:, None]) @ F.mT, dual, curvature)

    def __call__(self, gradient: Array) -> Array:
        """Return the move of Lambda (b, n, k) that answers a gradient (b, n, k)."""
        move, search, last = 0 * gradient, 0 * gradient, 1.0
        enough = None
        for _ in range(_STEPS):
            scaled = self.near(gradient)
            size = -(gradient * scaled).sum((-1, -2), keepdims=True)
            enough = _ACCURACY**2 * size if enough is None else enough
            going = size > enough
            if not any_true(going):
                break
            search = scaled + size / last * search
            image = self._multiply(search)
            length = where(going, size / (search * image).sum((-1, -2), keepdims=True), 0)
            move, gradient = move + length * search, gradient + length * image
            last = size
        return move

    def _multiply(self, move: Array) -> Array:
        V_move = (move.mT @ self.F).mT
        along = (self.bent * V_move).sum(-1)[..., None] * self.bent
        return self.F @ (self.weight[..., None] * V_move + along) + self.curvature * move
