"""One evaluation under way: the session, the rivals and the parts they answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dwcp_ml import models
from dwcp_ml.evaluation.artifact import Artifact, read_artifact
from dwcp_ml.evaluation.champion import Champion, find_champion
from dwcp_ml.evaluation.dataset import CEILING, CHAMPION, MODEL, Dataset, numbered
from dwcp_ml.evaluation.figures import training_figure
from dwcp_ml.evaluation.gates import Gate, judge, nothing, rule_gates
from dwcp_ml.evaluation.limits import champion_gate, limit_gates

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from onnxruntime import InferenceSession

    from dwcp_ml.evaluation.sources import Sources
    from dwcp_ml.models.base import Figure, GateRule, Metric, Model, ModelParams, Outputs, Predictor
    from dwcp_ml.params import Params
    from dwcp_ml.telemetry.dataset import Part


@dataclass(frozen=True)
class Run:
    """What one evaluation holds on to; ``baselines`` are tuned already."""

    model: Model
    section: ModelParams
    params: Params
    artifact: Artifact
    session: InferenceSession
    champion: Champion | None
    champion_note: str | None
    sources: Sources
    baselines: Mapping[str, Predictor]

    @property
    def rules(self) -> tuple[GateRule, ...]:
        """The model's own gates."""
        return self.model.gates(self.section, simulated=self.sources.simulated)

    @property
    def metrics(self) -> dict[str, Metric]:
        """The model's metrics by name."""
        return {metric.name: metric for metric in self.model.metrics}

    def dataset(self, name: str, part: Part) -> Dataset:
        """Examples of a part and what everyone answers to them."""
        from dwcp_ml.export.session import score

        examples = numbered(self.model.examples(part, self.section))
        answers: dict[str, Outputs] = {MODEL: score(self.session, examples.features)}
        if self.champion is not None:
            answers[CHAMPION] = score(self.champion.session, examples.features)
        answers |= {who: predict(examples) for who, predict in self.baselines.items()}
        best = self.model.ceiling(examples)
        if best is not None:
            answers[CEILING] = best
        return Dataset(name, examples, answers, self.params.evaluate.resamples, self.params.seed)

    def gates(self, datasets: Sequence[Dataset], p99_ms: float) -> list[Gate]:
        """The model's rules on every dataset, then the gates of all models."""
        limits = self.params.evaluate
        found = [
            gate
            for rule in self.rules
            for dataset in datasets
            for gate in rule_gates(rule, dataset, self.metrics, limits.confidence)
        ]
        if self.sources.fresh_wanted and not self.sources.fresh:
            problem = nothing("the fresh folder holds no seed; run 'dwcp fresh' again")
            found.append(
                judge("fresh_seeds", self.model.primary_metric, "fresh:all", problem, 0, "min")
            )
        if self.champion is not None:
            found.append(
                champion_gate(datasets[0], self.metrics[self.model.primary_metric], limits)
            )
        return found + limit_gates(self.artifact, p99_ms, limits)

    def figures(self, test: Dataset) -> list[Figure]:
        """The model's plots on the test part that have points, and its loss while training."""
        rivals = {who: test.answers[who] for who in self.baselines}
        offered = self.model.figures(test.examples, test.answers[MODEL], rivals)
        drawn = [f for f in offered if any(len(x) for x, _ in f.series.values())]
        training = training_figure(self.artifact.epochs)
        return [*drawn, training] if training else drawn


def start(name: str, folder: Path, sources: Sources, params: Params, champion: Path | None) -> Run:
    """Open the model and tune its baselines on the training and validation parts.

    Raises:
        UnreadableFileError: the model's folder is incomplete, or a part is.
    """
    model, section = models.get(name), models.section(params, name)
    artifact = read_artifact(folder)
    session = artifact.session()
    rival, note = find_champion(champion, session)
    tuned: Mapping[str, Predictor] = {}
    if sources.train is not None and sources.validation is not None:
        train = model.examples(sources.train, section)
        tuned = model.baselines(train, model.examples(sources.validation, section), section)
    return Run(model, section, params, artifact, session, rival, note, sources, tuned)
