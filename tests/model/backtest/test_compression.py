"""The compression backtest: costs of a table become what a sender sees; payloads stay apart."""

from functools import cache

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dwcp_ml import backtest
from dwcp_ml.backtest.compression_costs import GRID_MBPS, gains, read_costs
from dwcp_ml.backtest.tables import read_table
from dwcp_ml.errors import BacktestError, MissingColumnError
from dwcp_ml.models.compression_metrics import regret_pct
from dwcp_ml.models.compression_rivals import choose
from dwcp_ml.models.compression_selector import MODEL, CompressionParams

TASK = backtest.get("compression")
SECTION = CompressionParams(train_rows=1500, validation_rows=300, epochs=2)
LEVELS = np.arange(1, 10)


def costs(payloads=7, machines=2, repeats=1):
    """Payloads that shrink ever further; a higher level is slower and packs better."""
    rng = np.random.default_rng(3)
    rows = []
    for m in range(machines):
        for p in range(payloads):
            for _ in range(repeats):
                shrinks = 1.1 + 0.6 * p
                rows += [
                    {
                        "machine": f"m{m}",
                        "payload": f"p{p}",
                        "level": k,
                        "ratio": shrinks * (1 + 0.04 * k),
                        "compress_mb_s": (60 + 30 * m) * shrinks / k**0.8 * rng.uniform(0.98, 1.02),
                        "decompress_mb_s": 300.0 * shrinks,
                    }
                    for k in LEVELS
                ]
    return pd.DataFrame(rows)


def prepared(table, tmp_path, by="entity", section=SECTION):
    return TASK.prepare(read(table, tmp_path), by, section, "t.csv")


def read(table, tmp_path):
    path = tmp_path / "t.csv"
    table.to_csv(path, index=False)
    return read_table(path, TASK)


@cache
def three_payloads():
    return read_costs(costs(payloads=3, machines=1), "t.csv")


class Quiet:
    def epoch(self, number, of, figures):
        """Forget the epoch."""


def test_each_payload_is_tested_once_and_never_trained_on_there(tmp_path):
    folds = TASK.folds(read(costs(), tmp_path), "entity", SECTION, "t.csv")
    tested = [set(fold.test.slices["payload"]) for fold in folds]
    assert sorted(name for names in tested for name in names) == [f"p{k}" for k in range(7)]
    for fold, names in zip(folds, tested, strict=True):
        assert names.isdisjoint(fold.train.slices["payload"])
        assert names.isdisjoint(fold.validation.slices["payload"])


def test_the_sender_sees_the_bandwidth_and_a_level_1_probe_and_no_higher_level(tmp_path):
    table = costs()
    test = prepared(table, tmp_path).test
    rate, ratio, sender = (test.features[:, k] for k in (0, 3, 5))
    first = table[table["level"] == 1].set_index(["machine", "payload"])
    probe = first.loc[list(zip(test.slices["machine"], test.slices["payload"], strict=True))]
    np.testing.assert_allclose(ratio, probe["ratio"], rtol=1e-6)
    np.testing.assert_allclose(sender, 8 * probe["compress_mb_s"], rtol=1e-6)
    assert set(np.float32(GRID_MBPS)) == set(rate)
    higher = table.copy()
    higher.loc[higher["level"] > 1, ["ratio", "compress_mb_s"]] *= 0.7
    np.testing.assert_array_equal(prepared(higher, tmp_path).test.features, test.features)


def test_gain_is_that_of_the_slowest_of_compressing_sending_and_restoring(tmp_path):
    table = costs(payloads=3, machines=1)
    table.loc[table["level"] <= 2, "decompress_mb_s"] = 30.0
    found = read_costs(read(table, tmp_path), "t.csv")
    rows = table[table["payload"] == "p1"].set_index("level")
    for mbps in (1.0, 500.0, 1e5):
        by_level = gains(found.take([1]), np.array([mbps]))[0]
        assert by_level[0] == 1.0
        for level, row in rows.iterrows():
            pace = min(mbps * row["ratio"], 8 * row["compress_mb_s"], 8 * row["decompress_mb_s"])
            assert by_level[level] == pytest.approx(pace / mbps)


def test_the_probe_of_a_repeated_measurement_is_none_of_the_costs(tmp_path):
    table = costs(machines=1, repeats=3)
    found = read_costs(read(table, tmp_path), "t.csv")
    mine = table[(table["payload"] == "p2") & (table["level"] == 1)]["compress_mb_s"].to_numpy()
    assert found.repeated
    assert found.probe_mbps[2] == pytest.approx(8 * mine[0])
    assert found.sender_mbps[2, 1] == pytest.approx(8 * np.median(mine[1:]))
    assert any("first of the repeated" in note for note in prepared(table, tmp_path).notes)


@settings(deadline=None)
@given(st.floats(0, 1), st.integers(1, 9))
def test_a_mixture_needs_the_bytes_and_the_time_of_its_parts(share, level):
    found = three_payloads()
    mixed = found.take([0]).mixed(found.take([2]), np.array([share]))
    for of in ("ratio", "sender_mbps"):
        a, b = getattr(found, of)[[0, 2], level]
        assert getattr(mixed, of)[0, level] == pytest.approx(1 / (share / a + (1 - share) / b))
    assert mixed.ratio[0, 0] == 1
    assert mixed.sender_mbps[0, 0] == np.inf


@settings(deadline=None)
@given(st.floats(1, 8), st.floats(1, 1e4))
def test_repeats_leave_the_balance_of_sender_and_network_as_it_was(factor, mbps):
    found = three_payloads().take([1])
    repeated = found.thinned(np.array([factor]))
    before, after = (gains(c, np.array([mbps]))[0, 1:] for c in (found, repeated))
    np.testing.assert_allclose(after, factor * before)


def test_model_trained_on_the_table_beats_every_fixed_level_on_other_payloads(tmp_path):
    section = SECTION.model_copy(update={"train_rows": 6000, "epochs": 12})
    ready = prepared(costs(payloads=9), tmp_path, section=section)
    fitted = MODEL.fit(ready.train, ready.validation, ready.section, Quiet())
    regret = regret_pct(ready.test, MODEL.predict(fitted, ready.test.features)).mean()
    fixed = [regret_pct(ready.test, choose(np.full(len(ready.test), k))).mean() for k in range(10)]
    assert regret < 0.3 * min(fixed)
    assert regret < 4


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lambda t: t[~((t["level"] == 5) & (t["payload"] == "p2"))], "level 5 is missing"),
        (lambda t: t.assign(level=t["level"] - 1), "level 0; levels are whole numbers"),
        (lambda t: t.assign(ratio=t["ratio"] - 1.2), "ratio is .*must be above 0"),
        (lambda t: t.assign(compress_mb_s=0.0), "compress_mb_s is 0"),
        (lambda t: t.assign(decompress_mb_s=np.nan), "decompress_mb_s is nan"),
        (lambda t: t[t["payload"] == "p1"], "one payload only"),
        (lambda t: t[t["payload"] < "p2"], "2 payloads only"),
        (lambda t: t.assign(ratio=1.0), "level 0 is the best at every bandwidth"),
    ],
)
def test_a_table_that_cannot_be_scored_is_refused_in_one_sentence(tmp_path, spoil, sentence):
    with pytest.raises(BacktestError, match=sentence) as caught:
        prepared(spoil(costs()), tmp_path)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith("t.csv: ")


def test_a_split_by_time_is_refused_and_a_missing_column_named(tmp_path):
    with pytest.raises(BacktestError, match="use --by entity"):
        prepared(costs(), tmp_path, by="time")
    with pytest.raises(MissingColumnError, match="decompress_mb_s"):
        prepared(costs().drop(columns="decompress_mb_s"), tmp_path)
