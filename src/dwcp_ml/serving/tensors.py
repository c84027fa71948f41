"""Tensors of requests: from JSON or bytes to arrays that are safe to run."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dwcp_ml.serving.refusals import NotFiniteError, RowsError, WrongTensorError

if TYPE_CHECKING:
    from collections.abc import Sequence

Array = NDArray[Any]
DATATYPES = {"float32": "FP32", "int64": "INT64"}  # of metadata.json -> of the V2 protocol
MAX_RANK = 8
_NUMBERS = {float, int}


@dataclass(frozen=True)
class TensorSpec:
    """An input or output of a graph.

    Attributes:
        name: its name in the graph.
        dtype: "float32" or "int64".
        shape: sizes, or a name for a dynamic axis; axis 0 is the batch.
        least: smallest size per axis.
        features: names along the last axis, where metadata.json tells them.
    """

    name: str
    dtype: str
    shape: tuple[int | str, ...]
    least: tuple[int, ...]
    features: tuple[str, ...] = ()

    @property
    def datatype(self) -> str:
        """Name in the V2 protocol."""
        return DATATYPES[self.dtype]

    def described(self) -> dict[str, Any]:
        """As the V2 protocol's metadata writes it, dynamic axes as -1."""
        shape = [size if isinstance(size, int) else -1 for size in self.shape]
        return {"name": self.name, "datatype": self.datatype, "shape": shape}


def from_json(data: object, spec: TensorSpec, shape: Sequence[int] | None = None) -> Array:
    """Numbers of a JSON list, flat or nested, as an array of the model's type.

    Types are checked before numpy sees them: it reads "1" as a number and sizes a whole array by
    its longest string.

    Args:
        data: what the JSON parser made.
        spec: the tensor it is for.
        shape: what the request says; None takes the nesting's.

    Raises:
        WrongTensorError: ragged, not numbers, or of another size than ``shape``.
    """
    nesting, flat = _flattened(data, spec.name)
    if shape is not None and list(shape) != nesting:
        if len(nesting) > 1 or prod(shape) != len(flat):
            raise WrongTensorError(
                f"'{spec.name}' says shape {list(shape)} but its data has shape {nesting}"
            )
        nesting = list(shape)
    try:
        return np.array(flat, dtype=spec.dtype).reshape(nesting)
    except (OverflowError, ValueError) as error:
        raise WrongTensorError(f"'{spec.name}' holds a number beyond {spec.datatype}") from error


def from_bytes(raw: bytes | memoryview, spec: TensorSpec, shape: Sequence[int]) -> Array:
    """Little-endian row-major bytes as an array; WrongTensorError if the length is another."""
    dtype = np.dtype(spec.dtype)
    wanted = prod(shape) * dtype.itemsize
    if len(raw) != wanted:
        raise WrongTensorError(
            f"'{spec.name}' of shape {list(shape)} needs {wanted} bytes, got {len(raw)}"
        )
    return np.frombuffer(raw, dtype).reshape(shape)


def checked(array: Array, spec: TensorSpec, max_rows: int) -> Array:
    """The array, if it may be run.

    Raises:
        WrongTensorError: its shape is not the model's.
        RowsError: no rows or too many.
        NotFiniteError: NaN or infinity in it.
    """
    shape = array.shape
    if len(shape) != len(spec.shape) or any(
        size != wanted and type(wanted) is int
        for size, wanted in zip(shape, spec.shape, strict=True)
    ):
        expected = ", ".join(map(str, spec.shape))
        raise WrongTensorError(f"'{spec.name}' has shape {list(shape)}, expected [{expected}]")
    if not 0 < shape[0] <= max_rows:
        raise RowsError(f"'{spec.name}' has {shape[0]} rows, expected 1 to {max_rows}")
    for size, least, axis in zip(shape, spec.least, spec.shape, strict=True):
        if size < least:
            raise WrongTensorError(f"'{spec.name}' has {size} {axis}, expected {least} at least")
    if not np.isfinite(array).all():
        raise NotFiniteError(f"'{spec.name}' holds NaN or infinity, or a number beyond FP32")
    return array


def shape_of(value: object, name: str) -> list[int]:
    """A request's shape; WrongTensorError if it is no short list of sizes."""
    if (
        not isinstance(value, list)
        or len(value) > MAX_RANK
        or any(type(size) is not int or not 0 <= size < 2**31 for size in value)
    ):
        raise WrongTensorError(f"'{name}' needs a shape: a list of whole numbers, 0 or above")
    return value


def _flattened(data: object, name: str) -> tuple[list[int], list[Any]]:
    level: list[Any] = [data]
    shape: list[int] = []
    while True:
        kinds = set(map(type, level))
        if kinds == {list}:
            sizes = set(map(len, level))
            if len(sizes) > 1 or len(shape) == MAX_RANK:
                raise WrongTensorError(f"'{name}' is ragged or nested too deeply")
            shape.append(sizes.pop())
            level = list(chain.from_iterable(level))
            if not level:
                return shape, level
        elif kinds <= _NUMBERS and shape:
            return shape, level
        else:
            raise WrongTensorError(f"'{name}' must be a list of numbers, without other values")
