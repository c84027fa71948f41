"""Train and validation examples of trials, read anew only where a trial's parameters differ."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from dwcp_ml.errors import ParamsError, TrainingError
from dwcp_ml.evaluation.dataset import numbered
from dwcp_ml.models.train import check_columns, read_split
from dwcp_ml.telemetry.split import parts

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from dwcp_ml.models.base import Examples, Model, ModelParams

Role = Literal["train", "validation"]  # no other part is ever opened here


class TuningData:
    """The two parts that tuning may see; ``splits`` needs to hold no other."""

    def __init__(self, model: Model, splits: Path) -> None:
        check_columns(model, read_split(splits))
        self._model, self._parts = model, parts(splits)
        self._kept: dict[Role, tuple[Mapping[str, Any], Examples]] = {}

    def examples(self, role: Role, section: ModelParams) -> Examples:
        """Examples of a part; those of the last call if no parameter that made them differs.

        Raises:
            TrainingError: there are none.
            MissingColumnError, UnreadableFileError: as of ``telemetry.blocks``.
        """
        if role in self._kept:
            read, kept = self._kept[role]
            if all(getattr(section, name) == value for name, value in read.items()):
                return kept
            del self._kept[role], kept  # not both in memory
        seen = _Seen(section)
        found = self._model.examples(self._parts[role], seen)
        if not len(found):
            raise TrainingError(f"{self._model.name} finds no example in the {role} part")
        made = numbered(found)
        self._kept[role] = (seen.read, made)
        return made

    def digest(self, section: ModelParams) -> str:
        """Of what is predicted on validation, at which times: equal digests, comparable trials."""
        found = self.examples("validation", section)
        digest = hashlib.sha256(np.ascontiguousarray(found.time_s).tobytes())
        for name in sorted(found.targets):
            values = np.ascontiguousarray(found.targets[name])
            digest.update(name.encode() + str(values.shape).encode() + values.tobytes())
        return digest.hexdigest()

    def check(self, section: ModelParams, digest: str) -> None:
        """ParamsError if these parameters are validated on other examples than the study's."""
        if self.digest(section) != digest:
            raise ParamsError(
                f"{self._model.name}: the space holds a key that changes which examples are "
                "validated on, so that trials cannot be compared; leave it out of the space"
            )


class _Seen:
    """Parameters that remember which of them were read."""

    def __init__(self, section: ModelParams) -> None:
        self._section = section
        self.read: dict[str, Any] = {}

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._section, name)
        if name in type(self._section).model_fields:
            self.read[name] = value
        else:  # a method may read any of them
            self.read |= self._section.model_dump()
        return value
