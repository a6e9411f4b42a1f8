"""Arrays and data frames that callers give, as plain arrays, or an error that says what to do."""

import sys
from collections.abc import Iterator, Sequence
from typing import Any

import narwhals as nw
import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator
from sklearn.utils import check_array
from sklearn.utils.validation import validate_data

__all__ = [
    "check_features",
    "check_labelled",
    "check_numbers",
    "column_names",
    "in_order_of",
    "match_names",
    "readable",
]

FLOATS = [np.float64, np.float32]
# names of columns, or values, that a message shows
SHOWN = 5
# most channels that pictures usually have
CHANNELS = 4


def readable(given: Any, name: str, *, missing: bool = False) -> Any:
    """What a caller gave, such that scikit-learn reads the numbers that the caller means.

    Parameters
    ----------
    given : array-like
    name : str
        Of the argument, for messages.
    missing : bool
        Whether masked entries become NaN; they are refused otherwise.

    Raises
    ------
    TypeError
        For what holds no numbers yet, or no numbers.
    ValueError
        For masked entries, and columns with the same name.
    """
    given = nw.to_native(given, pass_through=True)
    _refuse_torch(given, name)
    if type(given).__name__ == "LazyFrame":
        raise TypeError(f"{name} is a LazyFrame, which has no values yet: pass {name}.collect().")
    if nw.dependencies.is_into_dataframe(given):
        _refuse_columns(given, name)
    if np.ma.isMaskedArray(given):
        given = _unmask(given, name, missing=missing)
    if isinstance(given, np.ndarray):
        if given.dtype.kind in "mM":
            raise TypeError(f"{name} has dates or durations, {given.dtype}. {_since(name)}")
        if not given.dtype.isnative:
            return given.astype(given.dtype.newbyteorder("="))
    return given


def _refuse_torch(given: Any, name: str) -> None:
    torch = sys.modules.get("torch")
    if torch is None:
        return
    data = torch.utils.data
    if isinstance(given, data.DataLoader | data.IterableDataset):
        raise TypeError(
            f"{name} is of type {type(given).__name__}, which has no rows at given positions. Pass "
            "an array, or a dataset with __getitem__ and __len__, whose items are rows: of a "
            "DataLoader, its attribute dataset."
        )
    if not isinstance(given, torch.Tensor):
        return
    steps = (
        (given.requires_grad, "requires gradients", "detach()"),
        (given.device.type != "cpu", f"is on {given.device}", "cpu()"),
        (given.layout != torch.strided, "is not dense", "to_dense()"),
        (given.is_floating_point() and _unknown_to_numpy(given), f"is {given.dtype}", "float()"),
    )
    needed = [(why, step) for wanted, why, step in steps if wanted]
    if needed:
        reasons, calls = zip(*needed, strict=True)
        raise TypeError(
            f"{name} is a tensor that {' and '.join(reasons)}, which NumPy cannot read. Pass "
            f"{name}.{'.'.join(calls)}."
        )


def _unknown_to_numpy(tensor: Any) -> bool:
    return str(tensor.dtype) not in ("torch.float64", "torch.float32", "torch.float16")


def _refuse_columns(frame: Any, name: str) -> None:
    """Raise for columns of a data frame whose numbers are not plain."""
    names = _columns(frame)
    twice = [column for column, n in _counts(names).items() if n > 1]
    if twice:
        raise ValueError(
            f"{name} has more than one column with the name {_shown(twice)}, but columns are told "
            f"apart by their names. Rename them, or pass {name}.to_numpy()."
        )
    for column, kind in nw.from_native(frame, eager_only=True).schema.items():
        if kind.is_temporal():
            raise TypeError(
                f"{name}: column {column!r} has dates or durations, {kind}. {_since(name)}"
            )
    dtypes = [type(kind).__name__ for kind in getattr(frame, "dtypes", ())]
    if "SparseDtype" in dtypes:
        raise TypeError(
            f"{name}: column {names[dtypes.index('SparseDtype')]!r} is a sparse one of pandas "
            f"(SparseDtype), which is not taken. Pass {name}.sparse.to_dense()."
        )


def _counts(names: Sequence[Any]) -> dict[Any, int]:
    counts: dict[Any, int] = {}
    for name in names:
        counts[name] = counts.get(name, 0) + 1
    return counts


def _since(name: str) -> str:
    return (
        f"Turn them into numbers, for instance days since the first, or leave them out of {name}."
    )


def _shown(values: Sequence[Any]) -> str:
    return ", ".join(map(repr, values[:SHOWN])) + (", ..." if len(values) > SHOWN else "")


def _unmask(given: Any, name: str, *, missing: bool) -> NDArray[Any]:
    masked = np.ma.count_masked(given)
    if not masked:
        return np.asarray(given)
    if not missing:
        raise ValueError(
            f"{name} is a masked array with {masked} masked entries, and must not have missing "
            "values. Leave out those rows, or fill in values, as sklearn.impute.SimpleImputer does."
        )
    filled: NDArray[Any] = given.astype(given.dtype if given.dtype.kind == "f" else np.float64)
    return filled.filled(np.nan)  # type: ignore[attr-defined]


def check_numbers(array: Any, name: str, *, missing: bool = False, **options: Any) -> NDArray[Any]:
    """Validate numbers as scikit-learn does; rows come out one after the other in memory.

    The same numbers then give the same sums to the last bit, whatever memory they came in.

    Parameters
    ----------
    array : array-like
    name : str
        Of the argument, for messages.
    missing : bool
        Whether they may be NaN, or masked.
    **options
        Of `sklearn.utils.check_array`.
    """
    finite: bool | str = "allow-nan" if missing else True
    options = {"dtype": FLOATS, "order": "C", "ensure_all_finite": finite, **options}
    given = readable(array, name, missing=missing)
    try:
        return check_array(given, input_name=name, **options)
    except ValueError as error:
        _explain_text(given, name, error, missing=missing)
        raise


def check_features(
    estimator: BaseEstimator, X: Any, *, reset: bool = False, **options: Any
) -> NDArray[Any]:
    """Validate the features of an estimator as `check_numbers` does, and their number and names."""
    given = _check_dimensions(estimator, readable(X, "X"))
    options = {"dtype": FLOATS, "order": "C", **options}
    try:
        return validate_data(estimator, given, reset=reset, **options)
    except ValueError as error:
        _explain_text(given, "X", error)
        raise


def check_labelled(
    estimator: BaseEstimator, X: Any, y: ArrayLike, *, reset: bool = False, **options: Any
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Validate features and the labels of classes."""
    given = _check_dimensions(estimator, readable(X, "X"))
    options = {"dtype": FLOATS, "order": "C", **options}
    try:
        return validate_data(estimator, given, readable(y, "y"), reset=reset, **options)
    except ValueError as error:
        _explain_text(given, "X", error)
        raise


def _check_dimensions(estimator: BaseEstimator, X: Any) -> Any:
    """X, unless it has more than two dimensions, such as images that were not flattened have."""
    shape = tuple(np.shape(X)) if isinstance(X, list | tuple) else getattr(X, "shape", ())
    if len(shape) <= 2:
        return X
    flat, image = "X", tuple(shape[1:])
    first = len(image) == 3 and image[0] <= CHANNELS < min(image[1:])
    if first:
        flat, image = "numpy.moveaxis(X, 1, -1)", (*image[1:], image[0])
    advice = f"Make each entry a row, {flat}.reshape(len(X), -1)"
    if hasattr(estimator, "input_shape") and len(image) in (2, 3):
        advice += f", and say by input_shape={image} what it was"
        advice += ", with the channels last" if first else ""
    raise ValueError(
        f"Found array with dim {len(shape)}, while dim <= 2 is required by "
        f"{type(estimator).__name__}: X has shape {tuple(shape)}. {advice}."
    )


def _explain_text(given: Any, name: str, error: ValueError, *, missing: bool = False) -> None:
    """Raise an error that names the first column with text, if there is one.

    Looked for only where a conversion has failed.
    """
    for column, values in _parts(given):
        text = [value for value in values if isinstance(value, str) and not _is_number(value)]
        if not text:
            continue
        where = name if column is None else f"{name}: column {column!r}"
        found = f"{where} has text where numbers are needed, {_shown(sorted(set(text)))}: {error}."
        if len(text) > len(values) / 2:
            raise ValueError(
                f"{found} Turn categories into numbers before, for instance by "
                "sklearn.preprocessing.OneHotEncoder."
            ) from error
        then = "stands for a missing label" if missing else "sklearn.impute.SimpleImputer fills in"
        raise ValueError(
            f"{found} If it marks gaps, {len(text)} of {len(values)} here, replace it by NaN, "
            f"which {then}: na_values={sorted(set(text))[:1]} of pandas.read_csv does so."
        ) from error


def _parts(given: Any) -> Iterator[tuple[Any, list[Any]]]:
    """Columns as lists, with their names or numbers; None for what has one dimension."""
    if nw.dependencies.is_into_dataframe(given):
        for column in nw.from_native(given, eager_only=True).iter_columns():
            yield column.name, column.to_list()
        return
    array = np.asarray(given, dtype=object)
    if array.ndim == 1:
        yield None, array.tolist()
    elif array.ndim == 2:
        yield from enumerate(array.T.tolist())


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def column_names(given: Any) -> list[Any] | None:
    """Names of the columns of a data frame, or of a series; None where there are none.

    The numbers 0, 1, 2, ... that a frame without names has are not names.
    """
    given = nw.to_native(given, pass_through=True)
    if nw.dependencies.is_into_dataframe(given):
        names = _columns(given)
        return None if names == list(range(len(names))) else names
    if nw.dependencies.is_into_series(given):
        name = getattr(given, "name", None)
        return None if name is None or name == "" else [name]
    return None


def _columns(frame: Any) -> list[Any]:
    # the columns of pyarrow's tables are their values
    return list(frame.column_names if nw.dependencies.is_pyarrow_table(frame) else frame.columns)


def match_names(names: Sequence[Any], known: Sequence[Any], name: str) -> NDArray[np.intp]:
    """Position of each known name among given ones.

    Raises
    ------
    ValueError
        If they are not the same names.
    """
    place = {given: position for position, given in enumerate(names)}
    lacking = [one for one in known if one not in place]
    unknown = [one for one in names if one not in set(known)]
    if lacking or unknown:
        parts = [(lacking, "lacks"), (unknown, "has, unknown to the model,")]
        said = " and ".join(f"{verb} {_shown(some)}" for some, verb in parts if some)
        raise ValueError(
            f"{name} must have the columns that the model was fitted with, in any order: it "
            f"{said}. Rename its columns, or pass an array, whose columns are taken in order."
        )
    return np.array([place[one] for one in known], dtype=np.intp)


def in_order_of(Y: Any, tasks: NDArray[Any] | None) -> Any:
    """Targets with their columns in the order of the tasks of a fit, if both have names."""
    Y = readable(Y, "y", missing=True)
    names = column_names(Y)
    if names is None or tasks is None or tasks.dtype.kind not in "OU" or np.ndim(Y) != 2:
        return Y
    return np.asarray(Y)[:, match_names(names, tasks.tolist(), "y")]
