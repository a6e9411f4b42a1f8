"""Procedural dSprites against the published frames."""

import numpy as np
import pytest

from sklearn_sparsedis.datasets import make_dsprites
from sklearn_sparsedis.datasets._dsprites import _HEART, _heart


def _schedule():
    """Factors of the 320 published frames."""
    up, down = list(range(6)), list(range(5, -1, -1))
    rows = []
    for shape in (2, 1, 0):
        scales = up + down + up
        rows += [(shape, s, 0, 0, 0) for s in scales]
        rows += [(shape, 5, o, 0, 0) for o in range(40)]
        if shape == 2:
            there, back = range(32), range(31, -1, -1)
            rows += [(2, 5, 0, 0, y) for y in there] + [(2, 5, 0, x, 31) for x in there]
            rows += [(2, 5, 0, 31, y) for y in back] + [(2, 5, 0, x, 0) for x in back]
        rows += [(shape, s, 0, 0, 0) for s in down]
    return np.array(rows)


def test_frames_equal_the_published_ones(shared):
    image = pytest.importorskip("PIL.Image")
    path = shared / "data" / "dsprites_reference" / "dsprites.gif"
    if not path.exists():
        pytest.skip("the published frames are not here")
    frames = []
    with image.open(path) as gif:
        for k in range(gif.n_frames):
            gif.seek(k)
            frames.append(np.array(gif.convert("L")) > 127)
    real = np.array(frames)
    ours = make_dsprites(factors=_schedule()).images > 0
    wrong = (real != ours).sum(axis=(1, 2))
    assert wrong.sum() / real.sum() <= 0.002
    assert wrong.max() <= 6
    assert (wrong == 0).sum() >= 258


def test_heart_equals_a_plain_point_in_polygon_test():
    x, y, angle = _HEART
    assert (np.diff(angle) > 0).all()  # star-shaped about the origin
    u, v = np.random.default_rng(0).uniform(-13, 13, size=(2, 4000))
    inside = np.zeros(4000, dtype=bool)
    for a, b, c, d in zip(x[:-1], y[:-1], x[1:], y[1:], strict=True):
        if b != d:
            inside ^= ((b > v) != (d > v)) & (u < (c - a) * (v - b) / (d - b) + a)
    np.testing.assert_array_equal(_heart(u, v), inside)


def test_sample_whole_batches_and_factors_agree():
    data = make_dsprites(1200, random_state=0)
    assert data.images.dtype == np.uint8
    assert set(np.unique(data.images)) == {0, 1}
    for row in (0, 700, 1199):
        single = make_dsprites(factors=data.factors[row : row + 1])
        np.testing.assert_array_equal(single.images[0], data.images[row])
    np.testing.assert_array_equal(make_dsprites(1200, random_state=0).factors, data.factors)
    assert (data.factors.max(axis=0) == np.array(data.factor_sizes) - 1).all()


def test_factors_act_as_named():
    base = [0, 5, 0, 16, 16]
    area = make_dsprites(factors=[base, [0, 0, 0, 16, 16]]).images.sum(axis=(1, 2))
    assert area[1] / area[0] == pytest.approx(0.25, abs=0.03)
    centre = np.array(
        [
            np.argwhere(image).mean(axis=0)
            for image in make_dsprites(factors=[base, [0, 5, 0, 31, 16], [0, 5, 0, 16, 31]]).images
        ]
    )
    shift = 32 * 15 / 31
    np.testing.assert_allclose(centre[1] - centre[0], [0, shift], atol=0.6)
    np.testing.assert_allclose(centre[2] - centre[0], [shift, 0], atol=0.6)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"factors": [[0, 6, 0, 0, 0]]}, ValueError, r"column 1 \(scale\) must be in \[0, 5\]"),
        ({"factors": [[-1, 0, 0, 0, 0]]}, ValueError, r"column 0 \(shape\) must be in \[0, 2\]"),
        ({"factors": [[0.0] * 5]}, ValueError, "must be an integer array of shape"),
        ({"factors": [[0, 0, 0]]}, ValueError, r"shape \(n_samples, 5\) with columns"),
        ({"n_samples": 0}, ValueError, "n_samples=0 must be >= 1"),
        ({"n_samples": 1, "factors": [[0] * 5]}, ValueError, "n_samples and factors exclude"),
    ],
)
def test_bad_arguments(arguments, error, message):
    with pytest.raises(error, match=message):
        make_dsprites(**arguments)
