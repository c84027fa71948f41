"""Blocks: whole series in their order, however the rows are stored, beside their truth."""

from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dwcp_ml.errors import MissingColumnError, UnreadableFileError
from dwcp_ml.telemetry import blocks as module
from dwcp_ml.telemetry.blocks import blocks
from dwcp_ml.telemetry.dataset import Part

SERIES = st.dictionaries(
    st.tuples(st.sampled_from("abcd"), st.sampled_from("wxyz")), st.integers(1, 40), max_size=9
)


def table(lengths: dict[tuple[str, str], int]) -> pa.Table:
    """Sorted series of these lengths; ``value`` counts the rows."""
    keys = [key for key in sorted(lengths) for _ in range(lengths[key])]
    return pa.table(
        {
            "node_id": pa.array([n for n, _ in keys], pa.string()).dictionary_encode(),
            "peer_id": pa.array([p for _, p in keys], pa.string()).dictionary_encode(),
            "value": pa.array(np.arange(len(keys)), pa.int64()),
        }
    )


def write(folder, rows: pa.Table, row_group: int, cuts=()) -> None:
    """Part files that end at ``cuts``, in row groups of that size."""
    folder.mkdir()
    edges = [0, *sorted({c for c in cuts if c < rows.num_rows}), rows.num_rows]
    for i, (start, stop) in enumerate(pairwise(edges)):
        file = folder / f"part-{i:05d}.parquet"
        pq.write_table(rows.slice(start, stop - start), file, row_group_size=row_group)


def read(folder, block_rows: int, truth=("twice",)) -> list[module.Block]:
    part = Part(folder / "telemetry", folder / "truth", None, 60, "train")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "BLOCK_ROWS", block_rows)
        return list(blocks(part, ["value"], truth))


@settings(max_examples=150, deadline=None)
@given(
    SERIES,
    st.integers(2, 60),
    st.integers(1, 50),
    st.integers(1, 50),
    st.lists(st.integers(1, 300), max_size=3),
)
def test_blocks_are_whole_series_in_order_with_their_truth(
    tmp_path_factory, lengths, block_rows, row_group, truth_group, cuts
):
    folder, rows = tmp_path_factory.mktemp("part"), table(lengths)
    write(folder / "telemetry", rows, row_group, cuts)
    truth = pa.table({"twice": pa.array(2 * np.arange(rows.num_rows), pa.int64())})
    write(folder / "truth", truth, truth_group)
    found = read(folder, block_rows)
    assert found
    assert [v for b in found for v in b.columns["value"]] == list(range(rows.num_rows))
    assert [v for b in found for v in b.truth["twice"]] == list(range(0, 2 * rows.num_rows, 2))
    assert [b.first for b in found if len(b.columns)] == [
        int(b.columns["value"][0]) for b in found if len(b.columns)
    ]
    seen = [set(_series(b)) for b in found]
    assert sum(len(s) for s in seen) == len(set().union(*seen)) == len(lengths)
    longest = max(lengths.values(), default=0)
    for block in found:
        assert len(block.columns) <= 2 * max(block_rows, longest) + block_rows
        if len(block.columns):
            node = block.columns.text("node_id", np.array([0]))[0]
            assert block.first_peer == min(p for n, p in lengths if n == node)


def _series(block: module.Block) -> list[str]:
    return [str(link) for link in block.columns.link(np.arange(len(block.columns)))]


def test_a_series_longer_than_a_block_stays_whole(tmp_path):
    rows = table({("a", "x"): 5, ("b", "x"): 1000, ("c", "x"): 5})
    write(tmp_path / "telemetry", rows, 64)
    write(tmp_path / "truth", pa.table({"twice": rows["value"]}), 64)
    sizes = dict.fromkeys(("a>x", "b>x", "c>x"), 0)
    for block in read(tmp_path, 20):
        for link in set(_series(block)):
            assert sizes[link] == 0
            sizes[link] = _series(block).count(link)
    assert sizes == {"a>x": 5, "b>x": 1000, "c>x": 5}


@pytest.mark.parametrize(("rows", "told"), [(90, "ends 10 rows before"), (110, "more rows than")])
def test_a_truth_with_other_rows_than_its_telemetry_is_refused(tmp_path, rows, told):
    write(tmp_path / "telemetry", table({("a", "x"): 100}), 64)
    write(tmp_path / "truth", pa.table({"twice": np.arange(rows)}), 64)
    with pytest.raises(UnreadableFileError, match=told):
        read(tmp_path, 20)


def test_a_missing_column_is_named_with_the_nearest(tmp_path):
    write(tmp_path / "telemetry", table({("a", "x"): 3}), 64)
    part = Part(tmp_path / "telemetry", None, None, 60, "train")
    with pytest.raises(MissingColumnError, match=r"no column 'valeu'; did you mean 'value'\?"):
        list(blocks(part, ["valeu"]))


def test_a_link_is_named_by_both_its_ends_even_where_one_is_missing():
    columns = module.as_columns(
        pa.table({"node_id": ["a", "b", "b", "c"], "peer_id": ["y", None, "x", "x"]})
    )
    assert list(columns.link(np.array([3, 0, 1, 2, 0]))) == ["c>x", "a>y", "b>", "b>x", "a>y"]
