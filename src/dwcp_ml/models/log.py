"""What a training run leaves behind: figures of every epoch, on disk and for TensorBoard."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from dwcp_ml.errors import TrainingError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from dwcp_ml.models.base import TrainingLog

LOSS = "loss"  # the figure that must fall


class History:
    """A ``TrainingLog`` that remembers the figures and passes them on."""

    def __init__(self, *listeners: TrainingLog) -> None:
        self._listeners = listeners
        self.epochs: list[dict[str, float]] = []

    def epoch(self, number: int, of: int, figures: Mapping[str, float]) -> None:
        """Record one finished epoch.

        Raises:
            TrainingError: a figure is NaN or infinite.
        """
        wrong = [name for name, value in figures.items() if not math.isfinite(value)]
        if wrong:
            raise TrainingError(
                f"epoch {number} ended with {wrong[0]} = {figures[wrong[0]]}; lower the learning "
                "rate or look for extreme values in the data"
            )
        self.epochs.append({"epoch": number, **{k: float(v) for k, v in figures.items()}})
        for listener in self._listeners:
            listener.epoch(number, of, figures)

    def check_converged(self) -> None:
        """TrainingError if two or more epochs report a loss and none is below the first's."""
        losses = [row[LOSS] for row in self.epochs if LOSS in row]
        if len(losses) > 1 and min(losses[1:]) >= losses[0]:
            raise TrainingError(
                f"the loss did not fall in {len(losses)} epochs (first {losses[0]:.4g}, lowest "
                f"later {min(losses[1:]):.4g}); change the learning rate"
            )


class TensorBoardLog:
    """A ``TrainingLog`` that writes scalars for TensorBoard, which need not be installed here."""

    def __init__(self, folder: Path) -> None:
        from dwcp_ml.export.quiet import tensorflow

        self._tf = tensorflow()
        self._writer = self._tf.summary.create_file_writer(str(folder))
        summary = self._tf.compat.v1.SummaryMetadata
        self._metadata = summary(plugin_data=summary.PluginData(plugin_name="scalars"))

    def epoch(self, number: int, of: int, figures: Mapping[str, float]) -> None:
        """Write one epoch's figures."""
        with self._writer.as_default():
            for name, value in figures.items():
                scalar = self._tf.constant(value, self._tf.float32)
                self._tf.summary.write(name, scalar, step=number, metadata=self._metadata)
        self._writer.flush()
