"""Files of plain values and tensors, which execute no code when they are read."""

from sklearn_sparsedis.storage._arrays import check_arrays
from sklearn_sparsedis.storage._codec import decode, encode
from sklearn_sparsedis.storage._file import explained, read_file, write_file
from sklearn_sparsedis.storage._replace import remove_leftovers, replace_file

__all__ = [
    "check_arrays",
    "decode",
    "encode",
    "explained",
    "read_file",
    "remove_leftovers",
    "replace_file",
    "write_file",
]
