"""Examples with every predictor's answers, and the figures drawn from them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from dwcp_ml.evaluation.bootstrap import Draws, Resamples
from dwcp_ml.models.base import joined

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from dwcp_ml.models.base import Array, Examples, Metric, Outputs

MODEL, CEILING, CHAMPION = "model", "ceiling", "champion"


@dataclass
class Dataset:
    """One set of examples (test, fresh) and what each predictor answered.

    ``answers`` is keyed by "model", "ceiling", "champion" or the name of a baseline.
    """

    name: str
    examples: Examples
    answers: Mapping[str, Outputs]
    resamples: int
    seed: int
    _resampled: Resamples | None = field(default=None, repr=False)
    _draws: dict[tuple[str, str, str], Draws] = field(default_factory=dict, repr=False)

    def draws(self, metric: Metric, predictor: str) -> Draws:
        """The metric's figure for one predictor; KeyError if it did not answer."""
        key = (self.name, metric.name, predictor)
        if key not in self._draws:
            if self._resampled is None:
                self._resampled = Resamples.of(self.examples.group, self.resamples, self.seed)
            outputs = self.answers[predictor]
            self._draws[key] = self._resampled.draws(metric, self.examples, outputs)
        return self._draws[key]

    def values(self, name: str) -> list[str]:
        """Values of a slice in order; the empty string marks examples outside of it."""
        return [str(v) for v in np.unique(self.examples.slices[name]) if str(v)]

    def at(self, name: str, value: str) -> Dataset:
        """The examples of one slice value, called "DATASET:NAME=VALUE".

        It is made anew each time, because examples can be large; its figures are remembered.
        """
        index = np.flatnonzero(self.examples.slices[name] == value)
        return self.part(f"{self.name}:{name}={value}", index)

    def part(self, name: str, index: Array | slice) -> Dataset:
        """The examples at ``index`` under another name, with the answers to them."""
        return Dataset(
            name,
            self.examples.take(index),
            {who: _at(outputs, index) for who, outputs in self.answers.items()},
            self.resamples,
            self.seed,
            _draws=self._draws,
        )

    def groups(self) -> int:
        """Number of links, nodes or clusters."""
        return len(np.unique(self.examples.group))


def numbered(examples: Examples) -> Examples:
    """Groups as numbers from 0 and slices as plain text: quick to compare and to resample."""
    codes = np.unique(examples.group, return_inverse=True)[1]
    slices = {name: np.asarray(values).astype(str) for name, values in examples.slices.items()}
    return replace(examples, group=codes, slices=slices)


def pooled(name: str, parts: Sequence[Dataset]) -> tuple[Dataset, list[Dataset]]:
    """All examples of several datasets whose examples are ``numbered``; groups stay apart.

    Returns:
        The whole, and the several as parts of it: let go of ``parts``, and nothing is held twice.
    """
    lead = parts[0]
    before = np.cumsum([0, *(p.groups() for p in parts)])
    apart = [
        replace(p.examples, group=p.examples.group + first)
        for p, first in zip(parts, before, strict=False)
    ]
    shared = [who for who in lead.answers if all(who in p.answers for p in parts)]
    answers = {who: _join([p.answers[who] for p in parts]) for who in shared}
    whole = Dataset(name, joined(apart), answers, lead.resamples, lead.seed)
    bounds = np.cumsum([0, *(len(p.examples) for p in parts)]).tolist()
    several = [
        whole.part(p.name, slice(start, stop))
        for p, (start, stop) in zip(parts, pairwise(bounds), strict=True)
    ]
    return whole, several


def _at(outputs: Outputs, index: Array | slice) -> Outputs:
    return {name: values[index] for name, values in outputs.items()}


def _join(parts: list[Mapping[str, Array]]) -> dict[str, Array]:
    return {name: np.concatenate([p[name] for p in parts]) for name in parts[0]}
