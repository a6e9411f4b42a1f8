"""Conversion of values of a closed set of types to JSON and a dictionary of tensors, and back.

Scalars and lists are stored as such. Every other value is an object with one key, which names the
type: no class and no function is ever looked up by a name in a file.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.utils import Bunch
from torch import Tensor

__all__ = ["decode", "encode"]

Tensors = dict[str, Tensor]
# Kinds of NumPy dtypes that tensors have as well, and kinds that are stored as bytes.
NUMBERS, AS_BYTES = "biuf", "SUmMcf"
LARGEST_NUMBER = 8
# Longest name of a dtype; longer ones are lists of dtypes, which take long to read.
LONGEST_DTYPE = 40
# Largest number of keys of a dictionary with equal hashes: each is compared with all others.
MOST_EQUAL_HASHES = 100


def encode(value: object, tensors: Tensors, where: str) -> Any:
    """Convert a value to JSON, and add its arrays to the tensors.

    Parameters
    ----------
    value : object
        None, bool, int, float, str, list, tuple, dict, Bunch, NumPy scalar or array, tensor,
        torch.device or RandomState, nested at will.
    tensors : dict
        An entry is added for each array.
    where : str
        Name of the value, with which the names of its arrays begin.

    Raises
    ------
    TypeError
        For a value of any other type.
    """
    for types, tag, encoder in ENCODERS:
        if type(value) in types:
            content = encoder(value, tensors, where)
            return content if tag is None else {tag: content}
    if isinstance(value, Tensor):
        return {"tensor": _store(value, tensors, where)}
    if isinstance(value, np.generic):
        return {"scalar": _encode_array(np.asarray(value), tensors, where)}
    raise TypeError(
        f"{where} is of type {type(value).__module__}.{type(value).__qualname__}, which cannot be "
        "stored without code."
    )


def decode(content: Any, tensors: Tensors) -> Any:
    """Convert JSON from `encode` to a value, and remove its arrays from the tensors.

    Parameters
    ----------
    content : object
        JSON.
    tensors : dict
        The arrays of the value are removed.

    Raises
    ------
    ValueError
        For JSON that `encode` does not write, and for tensors that are not there.
    """
    if content is None or type(content) in (bool, int, float, str):
        return content
    if type(content) is list:
        return [decode(item, tensors) for item in content]
    if type(content) is not dict or len(content) != 1:
        raise ValueError("a value is neither plain nor named by a type")
    ((tag, inner),) = content.items()
    if tag not in DECODERS:
        raise ValueError(f"a value has the unknown type {tag!r}")
    return DECODERS[tag](inner, tensors)


def _encode_float(value: float, tensors: Tensors, where: str) -> Any:
    return value if math.isfinite(value) else {"float": repr(value)}


def _encode_items(value: Any, tensors: Tensors, where: str) -> list[Any]:
    return [encode(item, tensors, f"{where}.{i}") for i, item in enumerate(value)]


def _encode_pairs(value: dict[Any, Any], tensors: Tensors, where: str) -> list[Any]:
    return [
        [encode(key, tensors, f"{where}.key {i}"), encode(item, tensors, f"{where}.{key}")]
        for i, (key, item) in enumerate(value.items())
    ]


def _encode_random_state(value: np.random.RandomState, tensors: Tensors, where: str) -> Any:
    return encode(value.get_state(legacy=False), tensors, where)


def _encode_array(value: NDArray[Any], tensors: Tensors, where: str) -> dict[str, Any]:
    if value.dtype == object:
        items = _encode_items(value.ravel().tolist(), tensors, where)
        return {"shape": list(value.shape), "objects": items}
    if value.dtype.kind in NUMBERS and value.dtype.isnative:
        if value.dtype.itemsize <= LARGEST_NUMBER:
            # A copy, because tensors cannot have negative strides.
            copied = np.array(value, order="K")
            return {"tensor": _store(torch.from_numpy(copied), tensors, where)}
    elif value.dtype.kind not in AS_BYTES + NUMBERS:
        raise TypeError(f"{where} is an array of dtype {value.dtype}, which cannot be stored.")
    raw = np.frombuffer(value.tobytes(), dtype=np.uint8).copy()
    stored = _store(torch.from_numpy(raw), tensors, where)
    return {"shape": list(value.shape), "dtype": value.dtype.str, "bytes": stored}


def _store(tensor: Tensor, tensors: Tensors, where: str) -> list[Any]:
    """Add a tensor; return its name and its dimensions from the slowest to the fastest.

    The layout in memory is kept because products of matrices may differ in their last bits between
    layouts.
    """
    strides = tensor.stride()
    order = sorted(range(tensor.ndim), key=lambda axis: -strides[axis])
    name = where.encode("ascii", "backslashreplace").decode()
    while name in tensors:
        name += "'"
    stored = tensor.detach().cpu().permute(order)
    tensors[name] = stored.clone(memory_format=torch.contiguous_format)
    return [name, order]


def _decode_float(content: Any, tensors: Tensors) -> float:
    if content not in ("inf", "-inf", "nan"):
        raise ValueError(f"{content!r} is no number")
    return float(content)


def _decode_tuple(content: Any, tensors: Tensors) -> tuple[Any, ...]:
    return tuple(decode(_of_type(content, list), tensors))


def _decode_pairs(content: Any, tensors: Tensors) -> dict[Any, Any]:
    pairs = [_of_type(pair, list) for pair in _of_type(content, list)]
    if any(len(pair) != 2 for pair in pairs):
        raise ValueError("a dictionary does not consist of pairs")
    keys = [decode(key, tensors) for key, _ in pairs]
    if len(keys) - len({hash(key) for key in keys}) > MOST_EQUAL_HASHES:
        raise ValueError("keys of a dictionary were made to have equal hashes")
    return {key: decode(pair[1], tensors) for key, pair in zip(keys, pairs, strict=True)}


def _decode_bunch(content: Any, tensors: Tensors) -> Bunch:
    return Bunch(**_decode_pairs(content, tensors))


def _decode_array(content: Any, tensors: Tensors) -> NDArray[Any]:
    keys = set(_of_type(content, dict))
    if keys == {"tensor"}:
        return _take(content["tensor"], tensors).numpy()
    shape = tuple(_of_type(size, int) for size in _of_type(content.get("shape"), list))
    if keys == {"shape", "objects"}:
        items = decode(_of_type(content["objects"], list), tensors)
        array = np.empty(len(items), dtype=object)
        array[:] = items
        return array.reshape(shape)
    if keys == {"shape", "dtype", "bytes"}:
        if len(_of_type(content["dtype"], str)) > LONGEST_DTYPE:
            raise ValueError("the name of a dtype is too long")
        dtype = np.dtype(content["dtype"])
        if dtype.kind not in AS_BYTES + NUMBERS:
            raise ValueError(f"an array has the dtype {dtype}")
        raw = _take(content["bytes"], tensors).numpy().tobytes()
        return np.frombuffer(raw, dtype=dtype).reshape(shape).copy()
    raise ValueError("an array is stored in an unknown form")


def _decode_scalar(content: Any, tensors: Tensors) -> Any:
    array = _decode_array(content, tensors)
    if array.shape != ():
        raise ValueError("a scalar has more than one value")
    return array[()]


def _decode_random_state(content: Any, tensors: Tensors) -> np.random.RandomState:
    values = decode(content, tensors)
    state = np.random.RandomState()
    n_words = state.get_state(legacy=False)["state"]["key"].size
    if not 0 <= values["state"]["pos"] <= n_words:  # NumPy would read beyond the words
        raise ValueError("a random state is at a word that it does not have")
    state.set_state(values)
    return state


def _take(content: Any, tensors: Tensors) -> Tensor:
    name, order = _of_type(content, list)
    if _of_type(name, str) not in tensors:
        raise ValueError(f"the tensor {name!r} is missing")
    tensor = tensors.pop(name)
    if sorted(_of_type(order, list)) != list(range(tensor.ndim)):
        raise ValueError(f"the tensor {name!r} has another number of dimensions")
    inverse = sorted(range(tensor.ndim), key=order.__getitem__)
    # The clone has memory of its own, aligned as torch aligns it.
    return tensor.clone().permute(inverse)


def _of_type(value: Any, kind: type) -> Any:
    if type(value) is not kind:
        raise ValueError(f"a {kind.__name__} was expected, not {type(value).__name__}")
    return value


def _as_it_is(value: Any, tensors: Tensors, where: str) -> Any:
    return value


def _as_text(value: Any, tensors: Tensors, where: str) -> str:
    return str(value)


# Types, their tag (None if JSON has the type), and the function that encodes them.
ENCODERS: list[tuple[tuple[type, ...], str | None, Callable[..., Any]]] = [
    ((type(None), bool, int, str), None, _as_it_is),
    ((float,), None, _encode_float),
    ((list,), None, _encode_items),
    ((tuple, torch.Size), "tuple", _encode_items),
    ((dict,), "dict", _encode_pairs),
    ((Bunch,), "bunch", _encode_pairs),
    ((np.ndarray, np.memmap), "array", _encode_array),
    ((torch.device,), "device", _as_text),
    ((np.random.RandomState,), "random state", _encode_random_state),
]
DECODERS: dict[str, Callable[[Any, Tensors], Any]] = {
    "array": _decode_array,
    "bunch": _decode_bunch,
    "device": lambda content, tensors: torch.device(_of_type(content, str)),
    "dict": _decode_pairs,
    "float": _decode_float,
    "random state": _decode_random_state,
    "scalar": _decode_scalar,
    "tensor": _take,
    "tuple": _decode_tuple,
}
