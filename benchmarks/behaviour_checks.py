"""What a trained model must do whatever its figures: invariance, direction, plain cases.

Every check counts what goes wrong, so that a value at or below its bound has passed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import behaviour_cases as cases
import numpy as np
from numpy.typing import NDArray

from dwcp_ml.models.bandwidth_network import FEATURES as BANDWIDTH
from dwcp_ml.models.compression_network import FEATURES as COMPRESSION
from dwcp_ml.models.node_features import FEATURES as NODE

Features = NDArray[np.float32]
Answer = Callable[[Features], Mapping[str, NDArray[Any]]]
WORSE = np.array([-1, 1, 1, 1, 1, 1], np.float32)  # sign of harm of each input of a node
ONE_BY_ONE = 100  # rows that are also sent alone
RISE = 0.02  # of a predicted rate that more loss may raise it by: half of the model's own error
DIP = 0.02  # of a score that a worse input may lower it by


@dataclass(frozen=True)
class Check:
    """One behaviour: ``value`` of what went wrong, at most ``bound`` asked."""

    model: str
    kind: str  # invariance, direction or plain cases
    what: str
    value: float
    bound: float | None
    cases: int
    wrong: tuple[str, ...] = ()  # names of the plain cases answered wrong
    note: str = ""

    @property
    def passed(self) -> bool | None:
        """Whether the bound holds; None where nothing was asked."""
        return None if self.bound is None else bool(self.value <= self.bound)

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {**asdict(self), "passed": self.passed}


def same_rows(model: str, answer: Answer, features: Features) -> list[Check]:
    """Neither the order of rows nor the size of a batch changes an answer."""
    whole = answer(features)
    order = np.random.default_rng(0).permutation(len(features))
    mixed = answer(features[order])
    some = np.linspace(0, len(features) - 1, ONE_BY_ONE).astype(int)
    alone = [answer(features[i : i + 1]) for i in some]
    one = {k: np.concatenate([a[k] for a in alone]) for k in whole}
    return [
        Check(
            model,
            "invariance",
            what,
            max(_apart(whole[k][rows], found[k]) for k in whole),
            1e-4,
            len(rows),
        )
        for what, rows, found in (
            ("largest relative difference if the rows change places", order, mixed),
            ("largest relative difference if a row is sent alone", some, one),
        )
    ]


def _apart(a: NDArray[Any], b: NDArray[Any]) -> float:
    """Largest difference relative to the values, or to 1e-3 where they are smaller."""
    x, y = np.asarray(a, float), np.asarray(b, float)
    return float(np.max(np.abs(x - y) / np.maximum(np.abs(x), 1e-3), initial=0.0))


def bandwidth(answer: Answer, windows: Features) -> list[Check]:
    """Loss, rate and plain links of the bandwidth predictor; ``windows`` (n, 10, 7)."""
    name, rate, loss = "bandwidth_predictor", *(BANDWIDTH.index(c) for c in cases.RATE_AND_LOSS)

    def predicted(x: Features) -> NDArray[np.float64]:
        return np.asarray(answer(x)["next_throughput_mbps"], float)

    usual, checks = predicted(windows), []
    for factor in (2, 5):
        more = windows.copy()
        more[:, -1, loss] *= factor
        rise = predicted(more) / usual - 1
        text = f"share of windows where {factor} x the loss of the newest step raises the forecast"
        note = f"change of the forecast: mean {rise.mean():+.2%}, 99th percentile {_p99(rise):+.2%}"
        checks.append(_share(name, "direction", f"{text} by over 2 %", rise > RISE, 0.01, note))
    more = windows.copy()
    more[:, :, rate] *= 1.1
    text = "share of windows where 10 % more throughput throughout does not raise the forecast"
    checks.append(_share(name, "direction", text, predicted(more) <= usual, 0.0))
    steady, wanted, names = cases.steady_links()
    off = np.abs(predicted(steady) / wanted - 1)
    checks.append(_plain(name, "steady links forecast more than 3 % off", off > 0.03, names))
    classes = np.asarray(answer(steady)["bandwidth_class"])
    checks.append(
        _plain(name, "steady links in the wrong class", classes != cases.steady_classes(), names)
    )
    fallen, level, names = cases.fallen_links()
    off = np.abs(predicted(fallen) / level - 1)
    text = "links that fell five steps ago forecast more than 10 % off their new rate"
    return [*checks, _plain(name, text, off > 0.10, names)]


def compression(answer: Answer, rows: Features) -> list[Check]:
    """Rates of link and sender, and plain choices of the selector; ``rows`` (n, 6)."""
    name = "compression_selector"

    def level(x: Features) -> NDArray[np.int64]:
        return np.asarray(answer(x)["compression_level"], np.int64)

    usual = level(rows)
    faster, sender = rows.copy(), rows.copy()
    faster[:, COMPRESSION.index("throughput_mbps")] *= 4
    sender[:, COMPRESSION.index("amst_transfer_rate")] *= 4
    link = "share of rows where a link 4 x as fast asks for a level more than one higher"
    processor = "share of rows where a sender 4 x as fast asks for a level more than one lower"
    features, lowest, highest, names = cases.plain_choices()
    chosen = level(features)
    wrong = (chosen < lowest) | (chosen > highest)
    return [
        _share(name, "direction", link, level(faster) > usual + 1, 0.01),
        _share(name, "direction", processor, level(sender) < usual - 1, 0.01),
        _plain(name, "plain choices outside the levels that make sense", wrong, names),
    ]


def node(answer: Answer, rows: Features, normal: Features) -> list[Check]:
    """Worse nodes and plain incidents of the detector.

    Args:
        answer: the graph.
        rows: (n, 6) any rows.
        normal: (m, 6) rows without an incident; their deviation is the unit of "worse".
    """
    name = "node_reliability"

    def risk(x: Features) -> NDArray[np.float64]:
        return np.asarray(answer(x)["anomaly_score"], float)

    middle = np.median(normal, axis=0)
    unit = 1.4826 * np.median(np.abs(normal - middle), axis=0).astype(np.float32)
    usual = risk(rows)
    checks = []
    for step in (1, 3, 6):
        worse = rows + step * unit * WORSE
        worse[:, NODE.index("uptime_pct")] = np.clip(worse[:, 0], 0, 100)
        text = f"share of rows whose score falls by over 0.02 with all inputs {step} sd worse"
        checks.append(_share(name, "direction", text, risk(worse) < usual - DIP, 0.01))
    features, wanted, names = cases.nodes()
    flags = np.asarray(answer(features)["is_anomaly"])
    for kind, text in (
        (1, "plain incidents not flagged"),
        (0, "plain normal nodes flagged"),
        (cases.LOOKALIKE, "harmless events that resemble a weak incident flagged"),
    ):
        mine = wanted == kind
        kept = [n for n, m in zip(names, mine, strict=True) if m]
        bound = None if kind == cases.LOOKALIKE else 0
        checks.append(_plain(name, text, flags[mine] != (kind == 1), kept, bound))
    return checks


def consensus(answer: Answer, windows: Features) -> list[Check]:
    """Unit, level and plain episodes of the detector; ``windows`` (n, steps, 1)."""
    name = "consensus_latency"

    def found(x: Features) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        out = answer(x)
        return np.asarray(out["reconstruction_error"], float), np.asarray(out["is_high_latency"])

    usual, flags = found(windows)
    _, scaled = found((windows * np.float32(37.0)).astype(np.float32))
    text = "share of windows judged another way in a cluster 37 x as slow"
    checks = [_share(name, "invariance", text, scaled != flags, 0.001)]
    for factor in (2, 3, 5):
        slow = windows.copy()
        slow[:, -10:] *= np.float32(factor)
        score, _ = found(slow)
        text = (
            f"share of windows whose score falls where the last ten steps take {factor} x as long"
        )
        quiet = flags == 0
        checks.append(_share(name, "direction", text, score[quiet] < usual[quiet], 0.01))
    features, wanted, names = cases.clusters()
    _, judged = found(features)
    for kind, text in ((1, "plain episodes not flagged"), (0, "plain normal windows flagged")):
        mine = wanted == kind
        kept = [n for n, m in zip(names, mine, strict=True) if m]
        checks.append(_plain(name, text, judged[mine] != kind, kept))
    return checks


def _p99(values: NDArray[np.float64]) -> float:
    return float(np.percentile(values, 99))


def _share(
    model: str, kind: str, what: str, wrong: NDArray[Any], bound: float, note: str = ""
) -> Check:
    return Check(model, kind, what, float(np.mean(wrong)), bound, len(wrong), note=note)


def _plain(
    model: str, what: str, wrong: NDArray[Any], names: list[str], bound: float | None = 0
) -> Check:
    bad = tuple(n for n, w in zip(names, wrong, strict=True) if w)
    return Check(model, "plain cases", what, len(bad), bound, len(names), bad)
