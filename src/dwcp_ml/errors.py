"""Every failure a person can cause, each with its own exit code and one clear sentence."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


class DwcpError(Exception):
    """Base of all expected failures; the command line prints its text and exits with its code."""

    exit_code = 1


class GateFailedError(DwcpError):
    """A quality gate did not pass or could not be evaluated; nothing was registered."""

    exit_code = 3


class ParamsError(DwcpError):
    """params.yaml, columns.yaml or an option holds an unknown key or an impossible value."""

    exit_code = 4


class MissingColumnError(DwcpError):
    """A column that is needed is not there, or its type cannot be read as the schema's."""

    exit_code = 5


class OutOfRangeError(DwcpError):
    """Values lie outside the schema's range, most often because of a wrong unit."""

    exit_code = 6


class RowOrderError(DwcpError):
    """Rows are unsorted or duplicated within one (node_id, peer_id) series."""

    exit_code = 7


class GapError(DwcpError):
    """A series misses steps or does not keep the constant step."""

    exit_code = 8


class TimeZoneError(DwcpError):
    """Timestamps carry no time zone and none was declared, or zones are mixed."""

    exit_code = 9


class UnreadableFileError(DwcpError):
    """A file is missing, empty, truncated or not of the format its name says."""

    exit_code = 10


class ContractError(DwcpError):
    """The data contract failed: an expectation failed, raised, was dropped, or none was run."""

    exit_code = 11


class EmptySplitError(DwcpError):
    """A part of the split would hold no complete window of any series."""

    exit_code = 12


class TrainingError(DwcpError):
    """Training ended without a usable model: not finite, not converging, or no examples."""

    exit_code = 13


class ExportError(DwcpError):
    """The ONNX graph is invalid or does not answer as the native model does."""

    exit_code = 14


class RegistryError(DwcpError):
    """The model registry is damaged, or a version does not exist or does not match its digest."""

    exit_code = 15


class MissingValuesError(DwcpError):
    """A required column misses more values than the contract allows."""

    exit_code = 16


class StorageError(DwcpError):
    """A folder cannot be written, or the disk is full; nothing half-written was left."""

    exit_code = 17


class ClusterError(DwcpError):
    """No credentials for a cluster, or it lacks a resource kind that is needed."""

    exit_code = 25


class RolloutError(DwcpError):
    """A rollout cannot be read, or this service's mode cannot be driven."""

    exit_code = 26


class RolledBackError(DwcpError):
    """The rollout ended without promoting its target."""

    exit_code = 27


class DataSourceError(DwcpError):
    """No telemetry at a data URI, an unknown revision of it, or a kind of URI that is not known."""

    exit_code = 18


class EndpointError(DwcpError):
    """The Kubeflow endpoint cannot be reached, or answers with an error of its own."""

    exit_code = 19


class EndpointTooOldError(DwcpError):
    """The Kubeflow endpoint does not speak version 2 of the pipelines API."""

    exit_code = 20


class EndpointRefusedError(DwcpError):
    """The Kubeflow endpoint wants other credentials or does not allow what was asked."""

    exit_code = 21


class PipelineRunError(DwcpError):
    """A pipeline run failed, was stopped, or left an output unwritten."""

    exit_code = 22


class PipelineDeadlineError(DwcpError):
    """A pipeline run was still under way at its deadline and was stopped."""

    exit_code = 23


class CompileError(DwcpError):
    """A pipeline cannot be compiled, or the file that is kept of it is out of date."""

    exit_code = 24


class SigstoreError(DwcpError):
    """Sigstore, which signs by identity, cannot be reached, or has no identity to sign for."""

    exit_code = 28


class BacktestError(DwcpError):
    """A table of measurements that cannot be backtested: nothing to split, predict or find."""

    exit_code = 29


class OutOfMemoryError(DwcpError):
    """There is less memory than the work needs; nothing half-written was left."""

    exit_code = 30


class DriftError(DwcpError):
    """Reference and live values cannot be compared: too few, or nothing in common."""

    exit_code = 31


class RetrainingError(DwcpError):
    """A stage of a retraining failed, a gate included; nothing was registered."""

    exit_code = 33


class StudyError(DwcpError):
    """A study of parameters that cannot be reached, belongs to other work, or found nothing."""

    exit_code = 34


class TrackingError(DwcpError):
    """The tracking server cannot be reached, refuses, or MLFLOW_TRACKING_URI is no URI of one."""

    exit_code = 35


class ScaleError(DwcpError):
    """Spark cannot start, its master cannot be reached, or a job on it failed."""

    exit_code = 37


class WorkersError(DwcpError):
    """A worker of a training over several died, did not answer, or has other data than the rest."""

    exit_code = 38


def nearest(word: str, known: Iterable[str]) -> str:
    """Return ``; did you mean 'x'?`` for the nearest known word, or an empty string."""
    match = get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f"; did you mean '{match[0]}'?" if match else ""
