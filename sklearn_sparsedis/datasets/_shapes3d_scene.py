"""A room with one solid, seen by rays: geometry and light of the 3D Shapes pictures.

Lengths are in units of half the room's width; y points up and the solid stands at the origin.
"""

from dataclasses import dataclass

import numpy as np

__all__ = ["SIDE", "Scene", "trace"]

SIDE = 64
_SAMPLES = 2  # a pixel is the mean of 2 x 2 rays


@dataclass(frozen=True)
class Scene:
    """Camera, sizes and light; the defaults are measured on published pictures."""

    focal: float = 70.4  # pixels
    distance: float = 0.758
    height: float = 0.221
    wall: float = 0.584
    light: tuple[float, float] = (-2.317, 1.31)  # azimuth from the camera and elevation, radians
    ambient: float = 0.41
    diffuse: float = 0.23
    head: float = 0.64  # light along the camera's view
    floor: float = 0.97
    shadow: float = 0.33


def _slab(origin: np.ndarray, step: np.ndarray, low: float, high: float) -> np.ndarray:
    """Interval (2, n) of the ray parameter between two parallel planes."""
    step = np.where(np.abs(step) < 1e-12, 1e-12, step)
    ends = np.stack([(low - origin) / step, (high - origin) / step])
    return np.sort(ends, axis=0)


def _round(origin: np.ndarray, step: np.ndarray, radius: float, axes: list[int]) -> np.ndarray:
    """Interval of the ray parameter inside a sphere (three axes) or an upright cylinder (two)."""
    a = np.sum(step[..., axes] ** 2, axis=-1)
    b = np.sum(step[..., axes] * origin[..., axes], axis=-1)
    c = np.sum(origin[..., axes] ** 2, axis=-1) - radius**2
    root = b**2 - a * c
    half = np.sqrt(np.maximum(root, 0.0))
    ends = np.stack([-b - half, -b + half]) / np.maximum(a, 1e-12)
    return np.where(root > 0, ends, np.array([np.inf, -np.inf])[:, None])


def _entry(*intervals: np.ndarray) -> np.ndarray:
    """Ray parameter at which a ray enters an intersection of convex sets; inf if it misses."""
    low = np.max([interval[0] for interval in intervals], axis=0)
    high = np.min([interval[1] for interval in intervals], axis=0)
    return np.where((low < high) & (low > 1e-9), low, np.inf)


def _hit(shape: int, size: float, origin: np.ndarray, step: np.ndarray) -> np.ndarray:
    """Ray parameter at the solid: 0 cube, 1 cylinder, 2 sphere, 3 capsule."""
    if shape == 0:
        half = 0.106 * size
        sides = [_slab(origin[..., k], step[..., k], -half, half) for k in (0, 2)]
        return _entry(*sides, _slab(origin[..., 1], step[..., 1], 0.0, 2.0 * half))
    if shape == 1:
        body = _round(origin, step, 0.116 * size, [0, 2])
        return _entry(body, _slab(origin[..., 1], step[..., 1], 0.0, 0.23 * size))
    radius, top = (0.116, 0.116) if shape == 2 else (0.097, 0.29)
    ends = [
        _entry(_round(origin - np.array([0.0, y * size, 0.0]), step, radius * size, [0, 1, 2]))
        for y in {radius, top}
    ]
    if shape == 3:
        body = _round(origin, step, radius * size, [0, 2])
        ends.append(_entry(body, _slab(origin[..., 1], step[..., 1], radius * size, top * size)))
    return np.min(ends, axis=0)


def _normal(shape: int, size: float, point: np.ndarray) -> np.ndarray:
    """Outward unit normal of the solid at points on it."""
    if shape == 0:
        local = point - np.array([0.0, 0.106 * size, 0.0])
        axis = np.abs(local).argmax(axis=-1)
        return np.eye(3)[axis] * np.sign(np.take_along_axis(local, axis[:, None], axis=-1))
    if shape == 1:
        side = point * np.array([1.0, 0.0, 1.0]) / (0.116 * size)
        return np.where(point[:, 1:2] > 0.23 * size - 1e-6, [0.0, 1.0, 0.0], side)
    radius, top = (0.116, 0.116) if shape == 2 else (0.097, 0.29)
    centre = np.zeros_like(point)
    centre[:, 1] = np.clip(point[:, 1], radius * size, top * size)
    return (point - centre) / (radius * size)


def _rays(scene: Scene, angle: float) -> tuple[np.ndarray, np.ndarray]:
    """Position of the camera, and step along each ray."""
    sin, cos = np.sin(angle), np.cos(angle)
    camera = np.array([scene.distance * sin, scene.height, scene.distance * cos])
    pixel = (np.arange(SIDE * _SAMPLES) + 0.5) / _SAMPLES - SIDE / 2
    across, down = np.meshgrid(pixel / scene.focal, pixel / scene.focal)
    right, forward = np.array([cos, 0.0, -sin]), np.array([-sin, 0.0, -cos])
    step = forward + across[..., None] * right - down[..., None] * np.array([0.0, 1.0, 0.0])
    return camera, step.reshape(-1, 3)


def _room(scene: Scene, camera: np.ndarray, step: np.ndarray) -> tuple[np.ndarray, ...]:
    """Ray parameter at the room and its normal there; the parameter is inf in the sky."""
    planes = (np.sign(step[:, [0, 2]]) - camera[[0, 2]]) / np.where(
        step[:, [0, 2]] == 0, 1e-12, step[:, [0, 2]]
    )
    nearest = planes.argmin(axis=1)
    wall = planes.min(axis=1)
    ground = np.where(step[:, 1] < 0, camera[1] / np.maximum(-step[:, 1], 1e-12), np.inf)
    on_floor = ground < wall
    high = camera[1] + wall * step[:, 1] > scene.wall
    normal = -np.eye(3)[2 * nearest] * np.sign(step)
    normal = np.where(on_floor[:, None], np.array([0.0, 1.0, 0.0]), normal)
    reach = np.where(on_floor, ground, np.where(high, np.inf, wall))
    return reach, on_floor, normal


def trace(scene: Scene, shape: int, size: float, angle: float) -> np.ndarray:
    """Weights (SIDE * SIDE, 4) of the colours of floor, wall, solid and sky in each pixel.

    A picture is linear in its four colours, up to the final clipping, so that these weights, which
    include the light, hold for all hues.
    """
    camera, step = _rays(scene, angle)
    reach, on_floor, normal = _room(scene, camera, step)
    solid = _hit(shape, size, np.broadcast_to(camera, step.shape), step)
    on_solid = solid < reach
    sky = ~on_solid & np.isinf(reach)
    point = camera + np.where(on_solid, solid, np.where(sky, 0.0, reach))[:, None] * step
    normal = np.where(on_solid[:, None], _normal(shape, size, point), normal)
    azimuth, elevation = scene.light[0] + angle, scene.light[1]  # it moves with the camera
    light = np.array(
        [
            np.sin(azimuth) * np.cos(elevation),
            np.sin(elevation),
            np.cos(azimuth) * np.cos(elevation),
        ]
    )
    back = np.array([np.sin(angle), 0.0, np.cos(angle)])
    shade = scene.ambient + scene.diffuse * np.maximum(normal @ light, 0.0)
    shade = shade + scene.head * np.maximum(normal @ back, 0.0)
    dark = np.isfinite(_hit(shape, size, point, np.broadcast_to(light, point.shape)))
    floor = np.where(dark, scene.shadow, scene.floor)
    floor_part = on_floor & ~on_solid & ~sky
    wall_part = ~on_floor & ~on_solid & ~sky
    weights = np.stack([floor_part * floor, wall_part * shade, on_solid * shade, sky * 1.0], axis=1)
    grid = weights.reshape(SIDE, _SAMPLES, SIDE, _SAMPLES, 4)
    return grid.mean(axis=(1, 3)).reshape(-1, 4).astype(np.float32)
