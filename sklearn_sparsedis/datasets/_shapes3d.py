"""Pictures like those of 3D Shapes, rendered from their factors."""

from colorsys import hsv_to_rgb
from functools import lru_cache
from typing import Any

import numpy as np
from sklearn.utils import Bunch

from sklearn_sparsedis.datasets._factor_files import SHAPES3D_NAMES, SHAPES3D_SIZES
from sklearn_sparsedis.datasets._factor_grid import choose_factors
from sklearn_sparsedis.datasets._shapes3d_scene import SIDE, Scene, trace

__all__ = ["make_shapes3d"]

_SCALES = np.linspace(0.75, 1.25, SHAPES3D_SIZES[3])
_ANGLES = np.deg2rad(np.linspace(-30.0, 30.0, SHAPES3D_SIZES[5]))
_HUES = np.array([hsv_to_rgb(k / 10, 1.0, 1.0) for k in range(10)], dtype=np.float32) * 255
_SKY = np.array([153, 226, 249], dtype=np.float32)
_BATCH = 256  # number of pictures that are held as floats at once


@lru_cache(maxsize=SHAPES3D_SIZES[3] * SHAPES3D_SIZES[4] * SHAPES3D_SIZES[5])
def _weights(scale: int, shape: int, orientation: int) -> np.ndarray:
    """Weights of the four colours; all 480 geometries take 31 MB."""
    return trace(Scene(), shape, float(_SCALES[scale]), float(_ANGLES[orientation]))


def _render(factors: np.ndarray) -> np.ndarray:
    weights = np.stack([_weights(*map(int, geometry)) for geometry in factors[:, 3:]])
    colours = np.empty((len(factors), 4, 3), dtype=np.float32)
    colours[:, :3] = _HUES[factors[:, :3]]
    colours[:, 3] = _SKY
    pictures = np.minimum(weights @ colours, 255.0)
    return (pictures + 0.5).astype(np.uint8).reshape(-1, SIDE, SIDE, 3)


def make_shapes3d(
    n_samples: int | None = None, *, factors: Any = None, random_state: Any = None
) -> Bunch:
    """Render a solid in a coloured room, from six factors: Shapes3D-like pictures.

    On the grid of factors of [1]_, with its camera, sizes and colours as measured on published
    pictures. It is not the data set: wall textures, highlights and the fall-off of the light are
    left out. On 50 published pictures the mean absolute error is 4.7 % of the range, with the
    factors, which are not published, chosen to fit. Results on it are comparable with each other,
    not with those published for 3D Shapes.

    Parameters
    ----------
    n_samples : int >= 1 or None, default=None
        Pictures to draw uniformly from the grid, with replacement. None, with no `factors`, renders
        all 480,000 in the original order: 6 GB. To go through them in batches, pass the factors of
        a batch: ``np.stack(np.unravel_index(index, (10, 10, 10, 8, 4, 15)), axis=1)``.
    factors : array-like of int, shape (n_samples, 6), or None, default=None
        Indices of floor hue, wall hue, object hue (0-9 each), scale (0-7), shape (0 cube,
        1 cylinder, 2 sphere, 3 capsule) and orientation (0-14) of the pictures to render.
    random_state : int, RandomState instance or None, default=None
        Seed of the factors drawn for `n_samples`.

    Returns
    -------
    data : Bunch
        images : ndarray of uint8, shape (n_samples, 64, 64, 3)
        factors : ndarray of int, shape (n_samples, 6)
        factor_names : tuple of str
        factor_sizes : tuple of int

    Raises
    ------
    ValueError, TypeError
        For both `n_samples` and `factors`, or values outside of the grid.

    See Also
    --------
    load_shapes3d : The original file.

    Notes
    -----
    Rays are traced once for each geometry that occurs, of 480, in about 10 ms, and the result is
    kept; a picture is then the product of its weights and its four colours.

    References
    ----------
    .. [1] C. Burgess and H. Kim, "3D Shapes Dataset", 2018,
       https://github.com/google-deepmind/3d-shapes.

    Examples
    --------
    >>> from sklearn_sparsedis.datasets import make_shapes3d
    >>> data = make_shapes3d(factors=[[0, 6, 3, 0, 0, 7]])
    >>> data.images.shape, data.images[0, 0, 0]
    ((1, 64, 64, 3), array([153, 226, 249], dtype=uint8))
    """
    chosen = choose_factors(n_samples, factors, SHAPES3D_SIZES, SHAPES3D_NAMES, random_state)
    images = np.empty((len(chosen), SIDE, SIDE, 3), dtype=np.uint8)
    for start in range(0, len(chosen), _BATCH):
        images[start : start + _BATCH] = _render(chosen[start : start + _BATCH])
    return Bunch(
        images=images,
        factors=chosen,
        factor_names=SHAPES3D_NAMES,
        factor_sizes=SHAPES3D_SIZES,
    )
