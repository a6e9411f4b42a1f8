"""Data with known factors, supports and tasks."""

from sklearn_sparsedis.datasets._dsprites import make_dsprites
from sklearn_sparsedis.datasets._factor_files import load_dsprites, load_shapes3d
from sklearn_sparsedis.datasets._factor_laws import draw_correlated_factors, latents_of_factors
from sklearn_sparsedis.datasets._few_shot_files import load_cifar_fs, load_mini_imagenet
from sklearn_sparsedis.datasets._glyphs import make_glyphs
from sklearn_sparsedis.datasets._multitask import make_sparse_multitask, make_sparse_tasks
from sklearn_sparsedis.datasets._omniglot import load_omniglot
from sklearn_sparsedis.datasets._shapes3d import make_shapes3d

__all__ = [
    "draw_correlated_factors",
    "latents_of_factors",
    "load_cifar_fs",
    "load_dsprites",
    "load_mini_imagenet",
    "load_omniglot",
    "load_shapes3d",
    "make_dsprites",
    "make_glyphs",
    "make_shapes3d",
    "make_sparse_multitask",
    "make_sparse_tasks",
]
