"""Loader of Omniglot from its official files."""

from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from sklearn.utils import Bunch

from sklearn_sparsedis.datasets._checks import check_integer
from sklearn_sparsedis.datasets._picture_files import PictureFiles

__all__ = ["load_omniglot"]

_SOURCE = (
    "images_background.zip and images_evaluation.zip (or the small1 and small2 files) of "
    "github.com/brendenlake/omniglot, which hold FOLDER/ALPHABET/characterNN/NNNN_NN.png"
)


def _is_drawing(name: PurePosixPath) -> bool:
    return name.suffix == ".png" and len(name.parts) >= 3 and name.parts[-2].startswith("character")


def load_omniglot(path: Any, *, image_size: int | None = None) -> Bunch:
    """Load handwritten characters of many alphabets, 20 drawings each.

    Parameters
    ----------
    path : str, Path or sequence of them
        Official zip file (not unpacked), or a folder that holds an unpacked one; several are
        joined. Nothing is downloaded.
    image_size : int >= 1 or None, default=None
        Side to which the 105 x 105 drawings are reduced by averaging; few-shot work uses 28.

    Returns
    -------
    data : Bunch
        images : ndarray of uint8, shape (n_samples, side, side)
            Ink is 255, paper 0.
        target : ndarray of int, shape (n_samples,)
            Character, an index into `target_names`.
        alphabet : ndarray of int, shape (n_samples,)
            Index into `alphabet_names`: the groups of a split by alphabets.
        drawer : ndarray of int, shape (n_samples,)
            Number of the person who drew it, as in the name of the file (1-20).
        target_names, alphabet_names : list of str

    Raises
    ------
    FileNotFoundError
        If a path does not exist.
    ValueError
        If a file is truncated or corrupt or holds no drawings.
    ImportError
        If Pillow is not installed.

    Notes
    -----
    Official files overlap: small1 and small2 share alphabets with each other and are parts of
    images_background. A drawing that occurs twice is kept once.

    References
    ----------
    .. [1] B. M. Lake, R. Salakhutdinov and J. B. Tenenbaum, "Human-level concept learning through
       probabilistic program induction", Science 350, 2015.
    """
    if image_size is not None:
        check_integer("image_size", image_size, 1)
    paths = [path] if isinstance(path, (str, Path)) else list(path)
    drawings: dict[tuple[str, str], tuple[int, np.ndarray]] = {}
    for one in paths:
        with PictureFiles(one, _SOURCE) as files:
            for name in filter(_is_drawing, files.names):
                key = (f"{name.parts[-3]}/{name.parts[-2]}", name.stem)
                if key not in drawings:
                    drawer = int(name.stem.rpartition("_")[2])
                    drawings[key] = (drawer, 255 - files.picture(name, "L", image_size))
    if not drawings:
        raise ValueError(f"path={[str(p) for p in paths]} holds no drawings. Wanted: {_SOURCE}.")
    keys = sorted(drawings)
    characters = [character for character, _ in keys]
    target_names, target = np.unique(characters, return_inverse=True)
    alphabets = [character.partition("/")[0] for character in characters]
    alphabet_names, alphabet = np.unique(alphabets, return_inverse=True)
    return Bunch(
        images=np.stack([drawings[key][1] for key in keys]),
        target=target,
        alphabet=alphabet,
        drawer=np.array([drawings[key][0] for key in keys]),
        target_names=target_names.tolist(),
        alphabet_names=alphabet_names.tolist(),
    )
