"""Draw shapes3d.png: published pictures of 3D Shapes above the nearest that make_shapes3d renders.

The factors of the published pictures are not given: hues are read off patches of floor, wall and
object, and scale, shape and orientation are those of the least mean absolute error among all 480.
Run from the root of the checkout, beside which the reference data lie:
``python docs/images/make_shapes3d.py``.
"""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import hsv_to_rgb

from sklearn_sparsedis.datasets import make_shapes3d

HERE = Path(__file__).parent
REAL = HERE.parents[2] / "shared" / "data" / "shapes3d_reference" / "native64_50.npz"
PATCHES = (  # rows and columns that show floor, wall and object
    (slice(58, 62), slice(2, 12)),
    (slice(22, 36), slice(3, 20)),
    (slice(44, 50), slice(30, 34)),
)
N_SHOWN = 10


def nearest_hue(patch, colours):
    """Hue to which most pixels of a patch are nearest, at full brightness."""
    pixels = patch.reshape(-1, 3) / patch.reshape(-1, 3).max(axis=1, keepdims=True) * 255
    distance = np.abs(pixels[:, None] - colours).sum(axis=2)
    return np.bincount(distance.argmin(axis=1), minlength=len(colours)).argmax()


def nearest_picture(picture, colours):
    """The nearest rendered picture, and its mean absolute error as a share of the range."""
    hues = [nearest_hue(picture[patch], colours) for patch in PATCHES]
    grid = np.stack(np.unravel_index(np.arange(480), (8, 4, 15)), axis=1)
    factors = np.column_stack([np.tile(hues, (480, 1)), grid])
    images = make_shapes3d(factors=factors).images.astype(np.float32)
    errors = np.abs(images - picture).mean(axis=(1, 2, 3)) / 255
    return images[errors.argmin()].astype(np.uint8), errors.min()


def main():
    """Compare all published pictures and draw some."""
    with np.load(REAL) as file:
        real = file["images"].astype(np.float32)
    colours = np.array([hsv_to_rgb((k / 10, 1, 1)) for k in range(10)]) * 255
    ours, errors = zip(*(nearest_picture(picture, colours) for picture in real), strict=True)
    shown = np.linspace(0, len(real) - 1, N_SHOWN).round().astype(int)
    figure, axes = plt.subplots(2, N_SHOWN, figsize=(11, 2.7), layout="constrained")
    for column, k in enumerate(shown):
        axes[0, column].imshow(real[k].astype(np.uint8))
        axes[1, column].imshow(ours[k])
        axes[1, column].set_xlabel(f"{errors[k]:.1%}", fontsize=9)
    for ax in axes.flat:
        ax.set(xticks=[], yticks=[])
    axes[0, 0].set_ylabel("3D Shapes")
    axes[1, 0].set_ylabel("rendered")
    figure.suptitle(
        f"Mean absolute error below each; {np.mean(errors):.1%} of the range over {len(real)} "
        "published pictures",
        fontsize=10,
    )
    figure.savefig(HERE / "shapes3d.png", dpi=100)


if __name__ == "__main__":
    main()
