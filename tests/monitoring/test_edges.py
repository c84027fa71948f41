"""What cannot be compared, or only in part, is told in a sentence and never guessed."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_drift import HOURS, days

from dwcp_ml.monitoring.columns import Column, Table, aligned, categories
from dwcp_ml.monitoring.distances import FACTORS, psi, shift, smirnov, variation
from dwcp_ml.monitoring.show import page
from dwcp_ml.monitoring.tables import read_values
from dwcp_ml.monitoring.watch import Rule, watch


def words(rng, windows, shares, rows=120):
    """Windows of an hour of one column of categories."""
    names = tuple(shares)
    codes = rng.choice(len(names), windows * rows, p=list(shares.values())).astype(float)
    column = Column("mode", words=names)
    return Table((column,), np.arange(windows * rows) * 3600 / rows, codes[:, None])


def test_shares_of_categories_drift_and_their_order_in_the_alphabet_does_not_matter():
    rng = np.random.default_rng(1)
    was = words(rng, 20, {"tcp": 0.7, "udp": 0.2, "quic": 0.1})
    same = words(rng, 2, {"quic": 0.1, "tcp": 0.7, "udp": 0.2})
    other = words(rng, 2, {"quic": 0.6, "tcp": 0.2, "udp": 0.2})
    assert watch(was, same, HOURS).drifted == [False, False]
    verdict = watch(was, other, HOURS)
    assert verdict.drifted == [True, True]
    assert verdict.windows[0].columns[0].distance == pytest.approx(0.5, abs=0.1)


def test_a_category_never_seen_before_is_named():
    rng = np.random.default_rng(2)
    was = words(rng, 20, {"tcp": 0.8, "udp": 0.2})
    live = words(rng, 1, {"sctp": 0.3, "tcp": 0.5, "udp": 0.2})
    (column,) = watch(was, live, HOURS).windows[0].columns
    assert column.drifted
    assert column.note == "not in the reference: sctp"


@settings(deadline=None, max_examples=30)
@given(st.permutations(range(6)), st.integers(0, 2**32 - 1))
def test_total_variation_and_stability_index_do_not_depend_on_how_categories_are_numbered(
    numbers, seed
):
    rng = np.random.default_rng(seed)
    one, two = rng.integers(0, 6, 200).astype(float), rng.integers(0, 4, 300).astype(float)
    other = np.array(numbers, float)
    renamed = other[one.astype(int)], other[two.astype(int)]
    assert variation(*renamed) == pytest.approx(variation(one, two))
    assert psi(*renamed, categorical=True) == pytest.approx(psi(one, two, categorical=True))
    assert 0 <= variation(one, two) <= 1


def test_total_variation_is_that_of_the_textbook():
    assert variation(np.array([0.0, 0, 0, 1]), np.array([0.0, 1, 1, 1])) == pytest.approx(0.5)
    assert variation(np.array([0.0]), np.array([5.0])) == 1


@pytest.mark.parametrize("factor", FACTORS)
def test_values_in_another_unit_are_recognised(factor):
    rng = np.random.default_rng(3)
    was, live = days(rng, 20, columns=1), days(rng, 1, columns=1)
    was, live = (replace(t, values=np.exp(t.values)) for t in (was, live))
    live = replace(live, values=live.values * factor)
    (column,) = watch(was, live, HOURS).windows[0].columns
    assert column.note.startswith("another unit? divided by ")
    told = float(column.note.split("divided by ")[1].split()[0])
    assert smirnov((live.values / told)[:, 0], was.values[:, 0]) <= column.limit


def test_a_real_move_is_not_taken_for_another_unit():
    rng = np.random.default_rng(4)
    (column,) = (
        watch(days(rng, 20, columns=1), days(rng, 1, columns=1, move=3), HOURS).windows[0].columns
    )
    assert column.drifted
    assert column.note == ""


def test_a_constant_column_drifts_once_it_moves_and_the_other_way_round():
    rng = np.random.default_rng(5)
    was, live = days(rng, 20, columns=2), days(rng, 1, columns=2)
    was.values[:, 0] = 7
    live.values[:, 1] = 0.5
    first, second = watch(was, live, HOURS).windows[0].columns
    assert (first.drifted, first.note) == (True, "always 7 in the reference")
    assert (second.drifted, second.note) == (True, "always 0.5 now")
    assert np.isnan(shift(was.values[:, 0], live.values[:, 0]))
    live.values[:, 0] = 7
    assert not watch(was, live, HOURS).windows[0].columns[0].drifted


def test_what_one_side_lacks_is_left_out_and_named():
    rng = np.random.default_rng(6)
    was, live = days(rng, 10), days(rng, 1)
    was.values[:, 2] = np.nan
    live = replace(live, columns=(Column("a"), Column("new"), Column("c")))
    verdict = watch(was, live, HOURS)
    assert [c.name for c in verdict.windows[0].columns] == ["a"]
    assert verdict.left_out == {
        "b": "only in the reference",
        "new": "only in the live table",
        "c": "no value in the reference",
    }
    assert "b: only in the reference" in page(verdict, "m")


def test_words_are_not_compared_with_numbers():
    rng = np.random.default_rng(7)
    was, live = days(rng, 10, columns=2), days(rng, 1, columns=2)
    was = replace(was, columns=(Column("a"), Column("b", words=("x",))))
    assert aligned(was, live)[2] == {"b": "words on one side, numbers on the other"}


def test_a_column_without_values_in_a_window_is_no_drift_of_its_own_but_missing():
    rng = np.random.default_rng(8)
    was, live = days(rng, 10), days(rng, 1)
    live.values[:, 0] = np.nan
    found = {c.name: c for c in watch(was, live, HOURS).windows[0].columns}
    assert not found["a"].drifted
    assert found["a"].note == "no values in this window, 50 are needed"
    assert found["missing:a"].drifted


def test_missing_values_that_were_always_missing_are_usual():
    rng = np.random.default_rng(9)
    was, live = days(rng, 20), days(rng, 3)
    for table in (was, live):
        table.values[rng.random(len(table.values)) < 0.3, 0] = np.nan
    verdict = watch(was, live, HOURS)
    assert [c.name for c in verdict.windows[0].columns] == ["a", "b", "c", "missing:a"]
    assert not any(verdict.drifted)


def test_one_window_alone_meets_no_rule_of_two():
    rng = np.random.default_rng(10)
    verdict = watch(days(rng, 20), days(rng, 1, move=3), HOURS)
    assert verdict.drifted == [True]
    assert not verdict.retrain
    assert "1 of the last 1 windows of 1 hours drifted; 2 of 3 ask" in page(verdict, "m")
    assert watch(days(rng, 20), days(rng, 1, move=3), Rule(1, 1, 1)).retrain


def test_windows_with_few_rows_are_named_and_hours_without_rows_are_no_window():
    rng = np.random.default_rng(11)
    live = days(rng, 5)
    keep = (live.time_s < 2 * 3600) | (live.time_s >= 4 * 3600 + 3000)  # two whole hours, one cut
    live = Table(live.columns, live.time_s[keep], live.values[keep])
    verdict = watch(days(rng, 20), live, HOURS)
    assert [w.start.hour for w in verdict.windows] == [0, 1]
    assert [(at.hour, rows) for at, rows in verdict.skipped] == [(4, 20)]
    assert "20 rows are too few" in page(verdict, "m")


def test_numbers_that_stand_for_words_become_categories_and_unknown_ones_stay_numbers():
    column, codes = categories("kind", np.array([2.0, np.nan, 0.0, 9.0]), {0: "dc", 2: "wan"},
                               "input")  # fmt: skip
    assert column.words == ("dc", "wan", "9")
    np.testing.assert_array_equal(codes, [1, np.nan, 0, 2])


def test_of_telemetry_names_places_and_times_are_not_compared(tmp_path):
    table = pd.DataFrame(
        {
            "timestamp": ["2025-01-06T00:00:00+00:00", "2025-01-06T00:01:00+00:00"],
            "epoch_time": [1, 2],
            "day_of_week": [0, 0],
            "node_id": ["a", "b"],
            "link_type": ["wan", None],
            "rtt_ms": [1.0, None],
            "custom": ["x", "y"],
        }
    )
    table.to_csv(tmp_path / "t.csv", index=False)
    read = read_values(tmp_path / "t.csv")
    assert read.names == ("link_type", "rtt_ms", "custom")
    np.testing.assert_array_equal(read.values, [[0, 1, 0], [np.nan, np.nan, 1]])


def test_text_in_the_report_is_escaped_and_json_holds_no_nan(tmp_path):
    from dwcp_ml.monitoring.show import write_reports

    rng = np.random.default_rng(12)
    was, live = days(rng, 10), days(rng, 1)
    live.values[:, 0] = np.nan
    odd = tuple(replace(c, name=f"<{c.name}>") for c in was.columns)
    was, live = replace(was, columns=odd), replace(live, columns=odd)
    write_reports(watch(was, live, HOURS), tmp_path, "<b>me</b>")
    text = (tmp_path / "drift.html").read_text()
    assert "<b>me" not in text
    assert "<a>" not in text
    json.loads((tmp_path / "drift.json").read_text(), parse_constant=pytest.fail)
