"""Loaders of CIFAR-FS and mini-ImageNet from their official files."""

import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

import numpy as np
from sklearn.utils import Bunch

from sklearn_sparsedis.datasets._checks import check_choice, check_integer
from sklearn_sparsedis.datasets._picture_files import PictureFiles

__all__ = ["load_cifar_fs", "load_mini_imagenet"]

SUBSETS = ("train", "val", "test")
_CIFAR_FS = (
    "the archive of github.com/bertinetto/r2d2 (cifar100.zip), which holds "
    "data/CLASS/NAME.png and splits/bertinetto/{train,val,test}.txt"
)
_MINI_IMAGENET = (
    "a zip file or folder with the pictures of images.zip, images/NAME.jpg or "
    "images/CLASS/NAME.jpg, and with train.csv, val.csv and test.csv (filename,label) of "
    "github.com/twitter-research/meta-learning-lstm (data/miniImagenet)"
)
# Name of a picture, its class and its subset.
Entry = tuple[PurePosixPath, str, str]


def load_cifar_fs(path: str | Path, *, subset: str = "all") -> Bunch:
    """Load CIFAR-FS: the 100 classes of CIFAR-100 in a split for few-shot learning.

    Parameters
    ----------
    path : str or Path
        Zip file (not unpacked), or a folder that holds the unpacked one. Nothing is downloaded.
    subset : {"all", "train", "val", "test"}, default="all"
        Classes for meta-training (64), validation (16) or test (20).

    Returns
    -------
    data : Bunch
        images : ndarray of uint8, shape (n_samples, 32, 32, 3)
        target : ndarray of int, shape (n_samples,)
            Class, an index into `target_names`.
        subset : ndarray of str, shape (n_samples,)
            Part of the split that the class belongs to.
        target_names : list of str

    Raises
    ------
    FileNotFoundError
        If `path` does not exist.
    ValueError
        If a file is truncated or corrupt, or the layout is another one.
    ImportError
        If Pillow is not installed.

    References
    ----------
    .. [1] L. Bertinetto, J. F. Henriques, P. Torr and A. Vedaldi, "Meta-learning with
       Differentiable Closed-form Solvers", ICLR 2019.
    """
    with PictureFiles(path, _CIFAR_FS) as files:
        return _load(files, list(_cifar_fs_entries(files)), subset, None)


def _cifar_fs_entries(files: PictureFiles) -> Iterator[Entry]:
    subset_of: dict[str, str] = {}
    for name in files.names:
        if name.suffix == ".txt" and name.stem in SUBSETS and name.parts[-2:-1] == ("bertinetto",):
            for line in files.read(name).decode("utf-8").split():
                subset_of[line] = name.stem
    for name in files.names:
        if name.suffix == ".png" and len(name.parts) >= 2 and name.parts[-2] in subset_of:
            yield name, name.parts[-2], subset_of[name.parts[-2]]


def load_mini_imagenet(
    path: str | Path, *, subset: str = "all", image_size: int | None = 84
) -> Bunch:
    """Load mini-ImageNet: 100 classes of ImageNet, 600 pictures each, for few-shot learning.

    Parameters
    ----------
    path : str or Path
        Zip file, or a folder, with the pictures and the three lists of the split. Nothing is
        downloaded.
    subset : {"all", "train", "val", "test"}, default="all"
        Classes for meta-training (64), validation (16) or test (20).
    image_size : int >= 1 or None, default=84
        Side to which pictures are reduced by averaging, the whole picture being kept; None leaves
        pictures as they are, which must then all be of one size.

    Returns
    -------
    data : Bunch
        images : ndarray of uint8, shape (n_samples, side, side, 3)
            1.3 GB for all of them at 84 x 84.
        target : ndarray of int, shape (n_samples,)
            Class, an index into `target_names`.
        subset : ndarray of str, shape (n_samples,)
            Part of the split that the class belongs to.
        target_names : list of str
            WordNet names.

    Raises
    ------
    FileNotFoundError
        If `path` does not exist.
    ValueError
        If a file is truncated or corrupt, a listed picture is missing, or the layout is another
        one.
    ImportError
        If Pillow is not installed.

    References
    ----------
    .. [1] O. Vinyals et al., "Matching Networks for One Shot Learning", NIPS 2016.
    .. [2] S. Ravi and H. Larochelle, "Optimization as a Model for Few-Shot Learning", ICLR 2017.
    """
    if image_size is not None:
        check_integer("image_size", image_size, 1)
    with PictureFiles(path, _MINI_IMAGENET) as files:
        return _load(files, list(_mini_imagenet_entries(files)), subset, image_size)


def _mini_imagenet_entries(files: PictureFiles) -> Iterator[Entry]:
    pictures = {name.name: name for name in files.names if name.suffix in (".jpg", ".jpeg")}
    for name in files.names:
        if name.suffix != ".csv" or name.stem not in SUBSETS:
            continue
        rows = csv.DictReader(io.StringIO(files.read(name).decode("utf-8")))
        if rows.fieldnames != ["filename", "label"]:
            raise ValueError(
                f"{name} has the columns {rows.fieldnames}, not filename and label. Wanted: "
                f"{_MINI_IMAGENET}."
            )
        for row in rows:
            if row["filename"] not in pictures:
                raise ValueError(
                    f"{name} lists {row['filename']}, which is not among the "
                    f"{len(pictures)} pictures of {files.path}. Wanted: {_MINI_IMAGENET}."
                )
            yield pictures[row["filename"]], row["label"], name.stem


def _load(
    files: PictureFiles, entries: Sequence[Entry], subset: str, image_size: int | None
) -> Bunch:
    check_choice("subset", subset, ("all", *SUBSETS))
    entries = sorted(entry for entry in entries if subset in ("all", entry[2]))
    if not entries:
        raise ValueError(
            f"{files.path} holds no pictures for subset={subset!r}. Wanted: {files.wanted}."
        )
    first = files.picture(entries[0][0], "RGB", image_size)
    images = np.empty((len(entries), *first.shape), dtype=np.uint8)
    for i, (name, _, _) in enumerate(entries):
        picture = files.picture(name, "RGB", image_size)
        if picture.shape != first.shape:
            raise ValueError(
                f"{name} is of {picture.shape[1]} x {picture.shape[0]} pixels and "
                f"{entries[0][0]} of {first.shape[1]} x {first.shape[0]}: pass image_size."
            )
        images[i] = picture
    target_names, target = np.unique([label for _, label, _ in entries], return_inverse=True)
    return Bunch(
        images=images,
        target=target,
        subset=np.array([part for _, _, part in entries]),
        target_names=target_names.tolist(),
    )
