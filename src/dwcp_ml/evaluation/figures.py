"""Figures on disk: one CSV of (series, x, y) each, with its labels in the model's report."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING, Any

import numpy as np

from dwcp_ml.files import whole_folder
from dwcp_ml.models.base import Figure

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

HEADER = ("series", "x", "y")


def write_figures(figures: Sequence[Figure], folder: Path) -> list[dict[str, Any]]:
    """Write FIGURE.csv for each into ``folder``; what the report needs to draw them again."""
    with whole_folder(folder) as draft:
        for figure in figures:
            with (draft / f"{figure.name}.csv").open("w", newline="", encoding="utf-8") as stream:
                table = csv.writer(stream, lineterminator="\n")
                table.writerow(HEADER)
                for label, (x, y) in figure.series.items():
                    table.writerows((label, _text(a), _text(b)) for a, b in zip(x, y, strict=True))
    return [_description(figure, f"{folder.name}/{figure.name}.csv") for figure in figures]


def read_figure(description: Mapping[str, Any], folder: Path) -> Figure:
    """The figure that ``write_figures`` described; ``folder`` holds the models' folders."""
    points: dict[str, tuple[list[str], list[str]]] = {}
    with (folder / description["file"]).open(newline="", encoding="utf-8") as stream:
        for label, x, y in list(csv.reader(stream))[1:]:
            xs, ys = points.setdefault(label, ([], []))
            xs.append(x)
            ys.append(y)
    kind = str if description["kind"] == "bar" else np.float64
    series = {
        label: (np.asarray(xs, dtype=kind), np.asarray(ys, dtype=np.float64))
        for label, (xs, ys) in points.items()
    }
    labels = {k: v for k, v in description.items() if k != "file"}
    return Figure(series=series, **labels)


def training_figure(epochs: Sequence[Mapping[str, Any]]) -> Figure | None:
    """Loss by epoch from history.json; None where nothing of the kind was recorded."""
    names = [k for k in (epochs[0] if epochs else {}) if "loss" in k]
    series = {
        name.replace("_", " "): (
            np.arange(1, len(epochs) + 1),
            np.array([float(e.get(name, np.nan)) for e in epochs]),
        )
        for name in names
    }
    if not series:
        return None
    losses = np.concatenate([y for _, y in series.values()])
    low, high = np.nanmin(losses), np.nanmax(losses)
    return Figure(
        "training",
        "Loss while training",
        "line",
        "epoch",
        "loss",
        series,
        log_y=bool(0 < 10 * low < high),
    )


def _text(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float | np.floating) else str(value)


def _description(figure: Figure, file: str) -> dict[str, Any]:
    return {
        "name": figure.name,
        "title": figure.title,
        "kind": figure.kind,
        "x_label": figure.x_label,
        "y_label": figure.y_label,
        "log_x": figure.log_x,
        "log_y": figure.log_y,
        "diagonal": figure.diagonal,
        "file": file,
    }
