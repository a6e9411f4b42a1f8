"""Shapes3D-like pictures: geometry, colours, and distance from the published pictures."""

import numpy as np
import pytest

from sklearn_sparsedis.datasets import _shapes3d as shapes3d
from sklearn_sparsedis.datasets import make_shapes3d
from sklearn_sparsedis.datasets._shapes3d_scene import Scene, trace

SKY = np.array([153, 226, 249])


def _solid_pixels(shape, scale=0.75, angle=0.0):
    return trace(Scene(), shape, scale, angle)[:, 2].reshape(64, 64) > 0


def test_weights_cover_each_pixel_once():
    flat = Scene(ambient=1.0, diffuse=0.0, head=0.0, floor=1.0, shadow=1.0)
    for shape in range(4):
        np.testing.assert_allclose(trace(flat, shape, 1.0, 0.3).sum(axis=1), 1.0, atol=1e-6)


def test_room_is_where_the_pinhole_puts_it():
    scene = Scene()
    weights = trace(scene, 0, 0.75, 0.0).reshape(64, 64, 4)
    column = weights[:, 2]  # left of the solid; the camera looks straight at the back wall
    depth = 1.0 + scene.distance
    top = 32 - scene.focal * (scene.wall - scene.height) / depth
    bottom = 32 + scene.focal * scene.height / depth
    assert np.flatnonzero(column[:, 3] == 0)[0] == pytest.approx(top, abs=1)
    assert np.flatnonzero(column[:, 0] > 0)[0] == pytest.approx(bottom, abs=1)


@pytest.mark.parametrize(
    ("shape", "width", "height"),
    [(0, 2 * 0.106, 2 * 0.106), (1, 2 * 0.116, 0.23), (2, 2 * 0.116, 2 * 0.116), (3, 0.194, 0.387)],
)
def test_solids_have_their_sizes(shape, width, height):
    solid = _solid_pixels(shape)
    scene = Scene()
    near = scene.distance - (width / 2 * 0.75 if shape == 0 else 0.0)
    columns, rows = solid.any(axis=0).sum(), solid.any(axis=1).sum()
    assert columns == pytest.approx(scene.focal * width * 0.75 / near, abs=2)
    # the foot is seen from above: the outline is lower by what perspective adds
    assert rows == pytest.approx(scene.focal * height * 0.75 / near, abs=4)


def test_scale_is_the_ratio_of_sizes():
    small, large = _solid_pixels(3, 0.75).any(axis=0), _solid_pixels(3, 1.25).any(axis=0)
    assert large.sum() / small.sum() == pytest.approx(5 / 3, abs=0.15)


def test_orientation_turns_the_camera():
    left, right = (trace(Scene(), 2, 1.0, a).reshape(64, 64, 4)[..., 1] for a in (-0.5, 0.5))
    # the room without its light is symmetric, and the walls are lit from the camera's side
    assert ((left > 0) == (right[:, ::-1] > 0)).mean() > 0.98
    assert not np.allclose(left, right, atol=0.1)


def test_each_hue_colours_its_part_only():
    base = [0, 6, 3, 4, 2, 7]
    pictures = []
    for column in range(3):
        other = list(base)
        other[column] = 8
        pictures.append(make_shapes3d(factors=[base, other]).images.astype(int))
    weights = shapes3d._weights(4, 2, 7).reshape(64, 64, 4)
    for part, (first, second) in enumerate(pictures):
        changed = (first != second).any(axis=-1)
        assert changed.any()
        assert not changed[weights[..., part] == 0].any()


def test_samples_and_factors_agree():
    data = make_shapes3d(150, random_state=0)
    assert data.images.shape == (150, 64, 64, 3)
    assert data.images.dtype == np.uint8
    np.testing.assert_array_equal(data.images[:, 0, 0], np.tile(SKY, (150, 1)))
    for row in (0, 75, 149):
        single = make_shapes3d(factors=data.factors[row : row + 1])
        # matrix products of other sizes may round differently
        assert np.abs(single.images[0].astype(int) - data.images[row]).max() <= 1
    np.testing.assert_array_equal(make_shapes3d(150, random_state=0).factors, data.factors)


def test_every_factor_changes_the_picture():
    for column, size in enumerate(shapes3d.SHAPES3D_SIZES):
        factors = np.tile([2, 5, 8, 4, 0, 7], (size, 1))
        factors[:, column] = np.arange(size)
        assert len(np.unique(make_shapes3d(factors=factors).images, axis=0)) == size


def test_distance_from_the_published_pictures(shared):
    path = shared / "data" / "shapes3d_reference" / "native64_50.npz"
    if not path.exists():
        pytest.skip("the published pictures are not here")
    with np.load(path) as file:
        real = file["images"].astype(np.float32)
    parts = {"floor": (slice(58, 62), slice(2, 12)), "wall": (slice(22, 36), slice(3, 20))}
    parts["object"] = (slice(44, 50), slice(30, 34))
    grid = np.stack(np.unravel_index(np.arange(480), (8, 4, 15)), axis=1)
    weights = np.stack([shapes3d._weights(*map(int, g)) for g in grid])[:, ::5]
    errors = []
    for (
        picture
    ) in real:  # factors are not published: the nearest of the grid, by a fifth of the pixels
        hues = [_nearest_hue(picture[rows, columns]) for rows, columns in parts.values()]
        colours = np.vstack([shapes3d._HUES[hues], shapes3d._SKY])
        ours = np.minimum(weights @ colours, 255.0)
        errors.append(
            np.abs(ours - picture.reshape(1, -1, 3)[:, ::5]).mean(axis=(1, 2)).min() / 255
        )
    # Shapes3D-like: textures and the light's fall-off are left out
    assert np.mean(errors) < 0.05


def _nearest_hue(patch):
    pixels = patch.reshape(-1, 3)
    pixels = pixels / np.maximum(pixels.max(axis=1, keepdims=True), 1) * 255
    distance = np.abs(pixels[:, None] - shapes3d._HUES).sum(axis=2)
    return int(np.bincount(distance.argmin(axis=1), minlength=10).argmax())


def test_bad_arguments():
    with pytest.raises(ValueError, match=r"column 3 \(scale\) must be in \[0, 7\]"):
        make_shapes3d(factors=[[0, 0, 0, 8, 0, 0]])
    with pytest.raises(ValueError, match="n_samples and factors exclude each other"):
        make_shapes3d(2, factors=[[0] * 6])
