"""labeled_incidents.json: what was wrong with which node, and when."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from dwcp_ml.errors import (
    MissingColumnError,
    OutOfRangeError,
    TimeZoneError,
    UnreadableFileError,
    nearest,
)

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from numpy.typing import NDArray

    from dwcp_ml.telemetry.schema import Schema


@dataclass(frozen=True)
class Incident:
    """One incident; it holds from ``start`` to just before ``end``, both ISO 8601 with a zone."""

    incident_id: str
    node_id: str
    type: str
    severity: str
    start: str
    end: str

    @property
    def start_us(self) -> int:
        """Microseconds since 1970."""
        return round(datetime.fromisoformat(self.start).timestamp() * 1e6)

    @property
    def end_us(self) -> int:
        """Microseconds since 1970."""
        return round(datetime.fromisoformat(self.end).timestamp() * 1e6)


def read_incidents(path: Path, schema: Schema) -> list[Incident]:
    """Read and check a list of incidents.

    Raises:
        UnreadableFileError: missing, or not a JSON list of objects.
        MissingColumnError: an incident lacks a key.
        OutOfRangeError: an unknown type or severity, an end before its start, an id used twice.
        TimeZoneError: a time without a zone, or no time at all.
    """
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UnreadableFileError(f"cannot read {path}: {error.strerror}") from error
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise UnreadableFileError(f"{path} is not JSON: {error}") from error
    if not isinstance(raw, list):
        raise UnreadableFileError(f"{path} must hold a list of incidents")
    seen: set[str] = set()
    incidents = []
    for number, item in enumerate(raw):
        incident = _incident(item, schema, f"{path}: incident {number}")
        if incident.incident_id in seen:
            raise OutOfRangeError(f"{path}: incident_id '{incident.incident_id}' occurs twice")
        seen.add(incident.incident_id)
        incidents.append(incident)
    return incidents


def as_json(incidents: Iterable[Incident]) -> list[dict[str, str]]:
    """What labeled_incidents.json holds."""
    return [asdict(incident) for incident in incidents]


def during(incidents: Iterable[Incident], time_us: NDArray[np.int64]) -> NDArray[np.bool_]:
    """(rows,) whether any of the incidents holds at these times of its node."""
    held = np.zeros(len(time_us), bool)
    for incident in incidents:
        held |= (time_us >= incident.start_us) & (time_us < incident.end_us)
    return held


def _incident(item: Any, schema: Schema, where: str) -> Incident:
    rules = schema.incident
    if not isinstance(item, dict):
        raise UnreadableFileError(f"{where} is not an object with keys")
    for key in rules.required:
        if item.get(key) in (None, ""):
            raise MissingColumnError(f"{where} lacks '{key}'{nearest(key, item)}")
    for key, words in (("type", rules.type), ("severity", rules.severity)):
        if item[key] not in words:
            raise OutOfRangeError(
                f"{where}: {key} '{item[key]}' is none of {', '.join(words)}"
                f"{nearest(str(item[key]), words)}"
            )
    for key in ("start", "end"):
        _zoned(item[key], f"{where}: {key}")
    incident = Incident(**{key: str(item[key]) for key in rules.required})
    if incident.end_us <= incident.start_us:
        raise OutOfRangeError(f"{where}: end {incident.end} is not after start {incident.start}")
    return incident


def _zoned(value: Any, where: str) -> None:
    try:
        moment = datetime.fromisoformat(str(value))
    except ValueError as error:
        raise TimeZoneError(f"{where} {value!r} is not ISO 8601 with a time zone") from error
    if moment.tzinfo is None:
        raise TimeZoneError(f"{where} {value!r} has no time zone; write 2025-01-31T12:00:00Z")
