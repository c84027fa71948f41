"""Examples of a part, gathered block by block: the whole part is never in memory.

The candidates of all blocks are counted first, then those that the sample wants are gathered. The
sample is therefore the same however the part is cut into blocks, row groups or files.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dwcp_ml.models.base import Array, Examples, joined
from dwcp_ml.telemetry.blocks import Block, blocks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from dwcp_ml.telemetry.dataset import Part


def sampled(
    part: Part,
    candidates: Callable[[Block], NDArray[np.int64]],
    gather: Callable[[Block, NDArray[np.int64]], Examples],
    most: int,
    *,
    needs: Sequence[str],
    more: Sequence[str] = (),
    truth: Sequence[str] = (),
) -> Examples:
    """At most ``most`` examples, spread evenly over all candidates of a part, in their order.

    Args:
        part: sorted telemetry.
        candidates: rows of a block that an example may belong to, ascending; called twice.
        gather: the examples of the rows taken from a block, one each.
        most: bounds the memory that the examples take.
        needs: columns that ``candidates`` reads.
        more: columns that ``gather`` reads besides.
        truth: columns of the latent truth that ``gather`` reads where the part has it.

    Raises:
        MissingColumnError, UnreadableFileError, OutOfRangeError: as of ``telemetry.blocks``.
    """
    total = sum(len(candidates(block)) for block in blocks(part, needs))
    wanted = evenly(total, most)
    found: list[Examples] = []
    for block, rows in _taken(blocks(part, [*needs, *more], truth), candidates, wanted):
        if len(rows) or not found:  # the first one gives the shapes if nothing is found
            found.append(gather(block, rows))
    return joined(found)


def latent(block: Block, names: Sequence[str], rows: NDArray[np.int64]) -> dict[str, Array]:
    """Columns of the truth at ``rows`` of a block; empty where there is no truth."""
    return {} if block.truth is None else {name: block.truth[name][rows] for name in names}


def evenly(total: int, most: int) -> NDArray[np.int64]:
    """Places of at most ``most`` among ``total``, spread evenly from the first to the last."""
    return np.linspace(0, total - 1, min(total, most)).astype(np.int64)


def _taken(
    found: Iterator[Block],
    candidates: Callable[[Block], NDArray[np.int64]],
    wanted: NDArray[np.int64],
) -> Iterator[tuple[Block, NDArray[np.int64]]]:
    """Blocks with the rows taken from each; ``wanted`` are places among all candidates."""
    before = 0
    for block in found:
        rows = candidates(block)
        low, high = np.searchsorted(wanted, [before, before + len(rows)])
        yield block, rows[wanted[low:high] - before]
        before += len(rows)
