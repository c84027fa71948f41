"""What a backtest offers: how a table of measurements becomes a model's own examples."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

    from dwcp_ml.models.base import Examples, GateRule, Metric, ModelParams, Predictor

By = Literal["time", "entity"]


@dataclass(frozen=True)
class Prepared:
    """A table as examples, and what its figures are held against.

    Attributes:
        train, validation, test: examples of the model; test is later in time, or other entities.
        section: the model's parameters, fitted to the table (window, batch, epochs).
        rules: bounds that stand beside the figures; a backtest records verdicts, it never fails.
        rivals: beside those of ``Model.baselines``; tuned on train and validation only.
        metrics: beside those of the model.
        notes: sentences that a reader needs to judge the figures.
    """

    train: Examples
    validation: Examples
    test: Examples
    section: ModelParams
    rules: tuple[GateRule, ...]
    rivals: Mapping[str, Predictor] = field(default_factory=dict)
    metrics: tuple[Metric, ...] = ()
    notes: tuple[str, ...] = ()


class Task(Protocol):
    """One kind of table. A module of this package with a ``TASK`` is found by itself."""

    name: str  # as the command line says it
    title: str
    model: str  # name of the model whose code is trained and scored
    needs: tuple[str, ...]  # columns, units as in the schema
    optional: tuple[str, ...]
    shown: tuple[str, ...]  # metrics of the summary table, the most important first

    def prepare(self, table: pd.DataFrame, by: By, section: Any, source: str) -> Prepared:
        """Examples of a table that holds ``needs``.

        Args:
            table: as ``tables.read_table`` gives it; of times as epoch seconds.
            by: what test is apart by.
            section: the model's parameters from params.yaml.
            source: name of the file, for messages.

        Raises:
            BacktestError: the table cannot be split or scored; says why and what to do.
            GapError: an entity does not keep a constant step.
        """
        ...
