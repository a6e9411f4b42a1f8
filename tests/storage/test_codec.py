"""Values come back with their types, bits and layout; nothing else is written or read."""

import json

import numpy as np
import pytest
import torch
from sklearn.utils import Bunch

from sklearn_sparsedis.storage._codec import decode, encode

ARRAYS = {
    "float64": np.array([0.1, -0.0, np.nan, np.inf]),
    "float32": np.float32([[1.5], [2.5]]),
    "longdouble": np.array([0.1], dtype=np.longdouble),
    "complex": np.array([1 + 2j]),
    "integers": np.arange(3),
    "small": np.arange(3, dtype=np.uint16),
    "bool": np.array([True, False]),
    "empty": np.zeros((0, 4)),
    "scalar": np.array(2.0),
    "big-endian": np.arange(3, dtype=">i4"),
    "strings": np.array([["a", "bcd"], ["\u00e4", ""]]),
    "bytes": np.array([b"a", b"bc"]),
    "times": np.array(["2020-01-01", "NaT"], dtype="datetime64[D]"),
    "objects": np.array(["a", 1, None, (2, "b"), np.float64(3)], dtype=object),
    "reversed": np.arange(6.0)[::-2],
}
VALUES = {
    "none": None,
    "bool": True,
    "integer": 2**130,
    "float": 0.1,
    "infinite": -np.inf,
    "text": "\u00e4\ud800",
    "list": [1, [2.5]],
    "tuple": (1, ("a",)),
    "dict": {1: "a", "b": [None]},
    "bunch": Bunch(a=1),
    "numpy scalar": np.float32(0.1),
    "numpy string": np.str_("a"),
    "device": torch.device("cuda:1"),
}


def there_and_back(value):
    tensors = {}
    text = json.dumps(encode(value, tensors, "value"), allow_nan=False)
    restored = decode(json.loads(text), tensors)
    assert not tensors, "every tensor is used"
    return restored


@pytest.mark.parametrize("name", VALUES)
def test_values_keep_type_and_value(name):
    restored = there_and_back(VALUES[name])
    assert type(restored) is type(VALUES[name])
    assert restored == VALUES[name]


@pytest.mark.parametrize("name", ARRAYS)
def test_arrays_keep_dtype_and_bits(name):
    array = ARRAYS[name]
    restored = there_and_back(array)
    assert restored.dtype == array.dtype
    assert restored.shape == array.shape
    if array.dtype == object:
        assert restored.tolist() == array.tolist()
    else:
        assert restored.tobytes() == array.tobytes()


def test_a_number_that_is_not_one():
    assert np.isnan(there_and_back(float("nan")))


def test_layout_in_memory_is_kept():
    array = np.asfortranarray(np.arange(6.0).reshape(2, 3))
    assert there_and_back(array).flags.f_contiguous
    images = torch.zeros(2, 3, 4, 4).to(memory_format=torch.channels_last)
    assert there_and_back(images).stride() == images.stride()


def test_tensors_keep_their_dtype():
    tensor = torch.tensor([1.0, float("nan")], dtype=torch.bfloat16)
    restored = there_and_back(tensor)
    assert restored.dtype == torch.bfloat16
    assert torch.equal(restored.view(torch.int16), tensor.view(torch.int16))


def test_equal_names_do_not_collide():
    value = {1: np.zeros(2), "1": np.ones(2)}
    restored = there_and_back(value)
    assert restored[1].tolist() == [0, 0]
    assert restored["1"].tolist() == [1, 1]


def test_random_states_go_on():
    random = np.random.RandomState(0)
    random.normal(size=3)
    restored = there_and_back(random)
    assert restored.normal(size=5).tolist() == random.normal(size=5).tolist()


class Text(str):
    pass


@pytest.mark.parametrize("value", [object(), print, {1}, Text("a"), np.zeros(1, "i4,f8"), [print]])
def test_what_would_need_code_is_refused(value):
    with pytest.raises(TypeError, match=r"^value.* cannot be stored"):
        encode(value, {}, "value")


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"module": "os"},
        {"tuple": [1], "list": [1]},
        {"tuple": 1},
        {"float": "0"},
        {"dict": [[1]]},
        {"dict": [1]},
        {"array": {"tensor": ["missing", [0]]}},
        {"array": {"tensor": ["there", [0, 1]]}},
        {"array": {"shape": [1], "dtype": "|O", "bytes": ["there", [0]]}},
        {"array": {"shape": [5], "dtype": "<i4", "bytes": ["there", [0]]}},
        {"array": {"shape": [1], "callable": "print"}},
        {"scalar": {"tensor": ["there", [0]]}},
    ],
)
def test_other_json_is_refused(content):
    with pytest.raises(ValueError, match=r"."):
        decode(content, {"there": torch.zeros(2)})


def test_keys_made_to_have_equal_hashes_are_refused():
    """Each would be compared with all before it: 60,000 of them took a minute and a half."""
    keys = [i * (2**61 - 1) for i in range(10_000)]
    with pytest.raises(ValueError, match="made to have equal hashes"):
        decode({"dict": [[key, 0] for key in keys]}, {})
    assert len(decode({"dict": [[key, 0] for key in keys[:50]]}, {})) == 50


@pytest.mark.parametrize("position", [-1, 625, 10**9])
def test_random_states_at_words_that_they_do_not_have_are_refused(position):
    tensors = {}
    content = encode(np.random.RandomState(0), tensors, "value")
    state = dict(content["random state"]["dict"])["state"]
    state["dict"] = [[key, position if key == "pos" else value] for key, value in state["dict"]]
    with pytest.raises(ValueError, match="at a word that it does not have"):
        decode(content, tensors)


def test_long_names_of_dtypes_are_not_read():
    dtype = "<f8" + ",<f8" * 10**5
    with pytest.raises(ValueError, match="name of a dtype is too long"):
        decode({"array": {"shape": [1], "dtype": dtype, "bytes": ["there", [0]]}}, {})
