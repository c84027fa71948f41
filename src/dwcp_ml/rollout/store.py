"""Where a rollout's spec and state lie: a ModelRollout in the cluster, or two files."""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from dwcp_ml.errors import RolloutError
from dwcp_ml.rollout.cluster import MODEL_ROLLOUT
from dwcp_ml.rollout.reading import read_spec
from dwcp_ml.rollout.status import conditions, read_state, write_state

if TYPE_CHECKING:
    from dwcp_ml.rollout.actions import Event
    from dwcp_ml.rollout.cluster import Cluster, Object
    from dwcp_ml.rollout.spec import RolloutSpec
    from dwcp_ml.rollout.state import RolloutState


@dataclass(frozen=True)
class Record:
    """A rollout as it was read; ``body`` carries the resourceVersion that a write must meet."""

    spec: RolloutSpec
    state: RolloutState
    body: Object


class Store(Protocol):
    """Keeps one rollout."""

    def load(self) -> Record | None:
        """The rollout, None when it was deleted."""
        ...

    def save(self, record: Record, state: RolloutState) -> Record:
        """Write the state; RaceLostError if somebody wrote since ``load``."""
        ...

    def event(self, record: Record, event: Event) -> None:
        """Tell people."""
        ...


class ObjectStore:
    """A ModelRollout object; its state is the status subresource."""

    def __init__(self, cluster: Cluster, name: str) -> None:
        """Keep the rollout ``name`` of the cluster's namespace."""
        self._cluster, self.name = cluster, name

    def load(self) -> Record | None:
        """See ``Store.load``."""
        body = self._cluster.get(MODEL_ROLLOUT, self.name)
        if body is None:
            return None
        return Record(read_spec(body), read_state(body.get("status") or {}), body)

    def save(self, record: Record, state: RolloutState) -> Record:
        """See ``Store.save``."""
        status = write_state(state, record.spec)
        status["conditions"] = conditions(
            state, record.spec, (record.body.get("status") or {}).get("conditions") or []
        )
        status["observedGeneration"] = record.body["metadata"].get("generation")
        body = self._cluster.replace_status(MODEL_ROLLOUT, {**record.body, "status": status})
        return replace(record, state=state, body=body)

    def event(self, record: Record, event: Event) -> None:
        """See ``Store.event``."""
        self._cluster.event(record.body, event.kind, event.reason, event.message)


class FileStore:
    """A manifest file, and beside it the state: for a pipeline without the operator.

    Args:
        manifest: YAML of one ModelRollout.
        state: JSON file; made on the first save, read again when a run is taken up.
    """

    def __init__(self, manifest: Path, state: Path) -> None:
        """Keep the rollout of ``manifest`` in ``state``."""
        self._manifest, self._state = manifest, state

    def load(self) -> Record | None:
        """See ``Store.load``."""
        body = read_manifest(self._manifest)
        status = json.loads(self._state.read_text("utf-8")) if self._state.exists() else {}
        return Record(read_spec(body), read_state(status), body)

    def save(self, record: Record, state: RolloutState) -> Record:
        """See ``Store.save``; written whole or not at all."""
        text = json.dumps(write_state(state, record.spec), indent=2) + "\n"
        handle, name = tempfile.mkstemp(dir=self._state.parent, prefix=self._state.name)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(self._state)
        return replace(record, state=state)

    def event(self, record: Record, event: Event) -> None:
        """Nothing: the console shows the transitions."""


def read_manifest(path: Path) -> dict[str, Any]:
    """One ModelRollout from a YAML file.

    Raises:
        RolloutError: the file is missing, no YAML, or holds something else.
    """
    import yaml

    try:
        body = yaml.safe_load(path.read_text("utf-8"))
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise RolloutError(f"{path} cannot be read: {error}") from error
    if not isinstance(body, dict) or body.get("kind") != "ModelRollout":
        raise RolloutError(f"{path} holds no ModelRollout (kind: ModelRollout)")
    return body
