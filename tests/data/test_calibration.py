"""Simulated series beside public measurements; the page that shows them is up to date."""

import re
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from dwcp_ml.telemetry.simulator.compression import cost_table

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "calibration.md"


@pytest.fixture(scope="module")
def scripts():
    """The modules of benchmarks/ that make the page."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT / "benchmarks")
        import calibration
        import calibration_checks
        import calibration_data

        yield {m.__name__: m for m in (calibration, calibration_checks, calibration_data)}


@pytest.fixture(scope="module")
def fleet(scripts, tmp_path_factory):
    return scripts["calibration_data"].simulated(tmp_path_factory.mktemp("calibration") / "raw")


@pytest.fixture
def checks(scripts) -> ModuleType:
    return scripts["calibration_checks"]


def kept(rows) -> dict:
    assert rows
    left = [
        f"{r.subject}, {r.statistic}: {r.simulated[1]:.3g} not in {r.band}"
        for r in rows
        if not r.passed
    ]
    assert not left, "\n".join(left)
    return {(r.subject, r.statistic): r for r in rows}


def test_throughput_keeps_the_bands_around_aggregated_traffic(shared, checks, fleet):
    rows = kept(checks.traffic(shared, fleet))
    ours = rows["throughput, 5-min means", "lag-1"]
    assert ours.simulated[1] == pytest.approx(ours.measured[1], abs=0.01)


def test_quiet_consensus_latency_lies_in_the_spread_of_etcd_runs(shared, checks, fleet):
    kept(checks.consensus(shared, fleet))


def test_round_trip_times_follow_the_measured_ones_between_cloud_regions(shared, scripts, checks):
    kept(checks.round_trips(shared))
    pairs = scripts["calibration_data"].region_times(shared)
    assert (pairs["min_rtt"] / pairs["model_ms"]).median() == pytest.approx(1, abs=0.05)
    assert np.corrcoef(np.log(pairs["min_rtt"]), np.log(pairs["model_ms"]))[0, 1] > 0.9


def test_quiet_jitter_follows_the_deviation_of_pings(shared, checks, fleet):
    kept(checks.jitter(shared, fleet))


def test_quiet_health_signals_have_the_memory_and_tails_of_real_metrics(shared, checks, fleet):
    kept(checks.health(shared, fleet))


def test_levels_cost_and_gain_as_zstd_does_and_timing_errs_alike(shared, checks):
    kept(checks.compression(shared))


def test_the_packaged_cost_table_is_the_measured_one(shared, scripts):
    table = cost_table()
    source = scripts["calibration_data"].zlib_measured(shared)
    large = source[source["size_bytes"] > 400_000]
    assert set(large["payload"]) == set(table.payloads)
    for row in large.itertuples():
        m, p = table.machines.index(row.machine), table.payloads.index(row.payload)
        assert table.ratio[p, row.level] == pytest.approx(row.ratio, rel=1e-3)
        assert table.rate_mbps[m, p, row.level] == pytest.approx(
            8 * row.compress_mbytes_per_s, rel=1e-3
        )


def test_the_page_shows_the_figures_of_the_present_simulator(shared, checks, fleet):
    shown = {}
    for line in PAGE.read_text().splitlines():
        cells = [c.strip() for c in line.strip("|").split("|")]
        if line.startswith("|") and len(cells) == 6 and re.match(r"-?\d", cells[3]):
            shown[cells[0], cells[1]] = float(cells[3].split()[0])
    rows = checks.all_checks(shared, fleet)
    assert set(shown) == {(r.subject, r.statistic) for r in rows}, "run benchmarks/calibration.py"
    for row in rows:
        seen = shown[row.subject, row.statistic]
        assert seen == pytest.approx(row.simulated[1], rel=0.05, abs=0.02), (
            f"{row.subject}, {row.statistic}: run benchmarks/calibration.py"
        )


def test_the_page_has_its_pictures_and_its_command():
    text = PAGE.read_text()
    assert "python benchmarks/calibration.py --shared ../shared --out docs" in text
    pictures = re.findall(r"\]\((img/calibration_\w+\.png)\)", text)
    assert len(pictures) == 5
    for name in pictures:
        assert 1000 < (PAGE.parent / name).stat().st_size < 80_000


def test_statistics_are_those_of_known_series(checks):
    rng = np.random.default_rng(0)
    normal = rng.standard_normal(200_000)
    assert checks.tail_weight(normal) == pytest.approx(3.82, abs=0.05)
    assert checks.tail_weight(rng.standard_t(4, 400_000)) == pytest.approx(6.2, abs=0.1)
    assert checks.lag1(normal) == pytest.approx(0, abs=0.01)
    assert checks.lag1(np.arange(5.0)) == pytest.approx(1)
    assert checks.log_deviation(np.exp(0.1 * normal)) == pytest.approx(0.1, rel=0.02)
    assert checks.variation(10 + normal) == pytest.approx(0.1, rel=0.02)
    assert checks.quantile(0.5)(normal + 5) == 1
    assert checks.persistence_mape(np.array([1.0, 2.0, 1.0])) == pytest.approx(75)
    flat = np.ones(3600)
    flat[[100, 500, 501, *range(900, 910)]] = 4.0
    assert checks.spikes_an_hour([flat]) == pytest.approx(2)


def test_filling_the_page_needs_its_marks(scripts):
    page = scripts["calibration"].filled
    marked = "a <!-- x begins --> old <!-- x ends --> b"
    assert page(marked, "x", "new") == "a <!-- x begins -->\nnew\n<!-- x ends --> b"
    with pytest.raises(ValueError, match="x begins"):
        page("nothing", "x", "new")
