"""Arrow columns as numpy arrays: text becomes codes, time becomes seconds, missing becomes NaN."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dwcp_ml.errors import OutOfRangeError
from dwcp_ml.telemetry.schema import load_schema

if TYPE_CHECKING:
    import pyarrow as pa

Array = NDArray[np.number[Any]]


def decode(name: str, column: pa.ChunkedArray) -> tuple[Array, NDArray[np.object_] | None]:
    """Numbers of a column and, for text, its words; see ``windows.Columns`` for the meaning."""
    import pyarrow as pa

    kind = column.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        column = column.dictionary_encode()
    if pa.types.is_dictionary(column.type):
        codes, words = _codes(column)
        schema = load_schema()
        if name in schema.names() and schema.column(name).enum:
            return _enum(name, codes, words, schema.code(name))
        return _sorted(codes, words)
    if pa.types.is_timestamp(kind):
        return column.cast(pa.timestamp("us", tz=kind.tz)).cast(
            pa.int64()
        ).to_numpy() // 10**6, None
    if pa.types.is_boolean(kind):
        column = column.cast(pa.int8())
    if column.null_count and pa.types.is_integer(column.type):
        column = column.cast(pa.float64())
    return column.to_numpy(), None


def _codes(column: pa.ChunkedArray) -> tuple[NDArray[np.int64], NDArray[np.object_]]:
    """Codes, -1 where missing, and words of a dictionary column whose chunks share one."""
    import pyarrow as pa

    if not column.num_chunks:
        return np.zeros(0, np.int64), np.zeros(0, object)
    chunks = column.unify_dictionaries().chunks
    codes = pa.chunked_array([chunk.indices for chunk in chunks]).fill_null(-1).to_numpy()
    return codes, np.array(chunks[0].dictionary.to_pylist(), object)


def _sorted(
    codes: NDArray[np.int64], words: NDArray[np.object_]
) -> tuple[Array, NDArray[np.object_]]:
    """Codes in the order of the sorted words, so that comparing codes compares words."""
    order = np.argsort(words)
    rank = np.full(len(words) + 1, -1, np.int32)  # the last entry answers to code -1
    rank[order] = np.arange(len(words))
    return rank[codes], words[order]


def _enum(
    name: str, codes: NDArray[np.int64], words: NDArray[np.object_], known: dict[str, int]
) -> tuple[Array, NDArray[np.object_]]:
    strange = [word for word in words if word not in known]
    if strange:
        raise OutOfRangeError(
            f"column '{name}' holds the word '{strange[0]}', which the schema does not know; "
            f"it takes {', '.join(known)}"
        )
    table = np.array([*(known[word] for word in words), -1], np.int8)
    text = np.full(max(known.values()) + 1, "", object)
    for word, code in known.items():
        text[code] = word
    numbers = table[codes]
    if (codes < 0).any():
        return np.where(codes < 0, np.nan, numbers).astype(np.float32), text
    return numbers, text
