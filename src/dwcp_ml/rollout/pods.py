"""Why the pods of a revision do not come up, in words; KServe's own status does not tell."""

from __future__ import annotations

from typing import Any

WAITING_IS_FINE = frozenset({"PodInitializing", "ContainerCreating"})


def failure(pods: list[Any]) -> str | None:
    """The first reason that keeps a pod from serving, None where there is none."""
    for pod in pods:
        found = _of_pod(pod)
        if found:
            return f"pod {pod.metadata.name}: {found}"
    return None


def ready(pods: list[Any]) -> int:
    """Number of pods that are ready and not on their way out."""
    return sum(
        1
        for pod in pods
        if pod.metadata.deletion_timestamp is None
        and any(c.type == "Ready" and c.status == "True" for c in pod.status.conditions or [])
    )


def _of_pod(pod: Any) -> str | None:
    for entry in pod.status.conditions or []:
        if entry.type == "PodScheduled" and entry.status == "False":
            return f"not scheduled: {entry.message}"
    statuses = [*(pod.status.init_container_statuses or [])]
    own = pod.status.container_statuses or []
    for status in [*statuses, *own]:
        found = _of_container(status)
        if found:
            return f"container {status.name}: {found}"
    if any(one.state and one.state.running and not one.ready for one in own):
        # Which one is no news: Knative's proxy asks the model, and is the one that is not ready.
        return "its containers run, but the readiness probe does not pass"
    return None


def _of_container(status: Any) -> str | None:
    waiting = status.state.waiting if status.state else None
    if waiting and waiting.reason and waiting.reason not in WAITING_IS_FINE:
        return f"{waiting.reason} {_last_words(status) or waiting.message or ''}".strip()
    ended = status.state.terminated if status.state else None
    if ended and ended.exit_code:
        return f"ended with {ended.exit_code} {(ended.message or '')[-300:]}".strip()
    return None


def _last_words(status: Any) -> str:
    last = status.last_state.terminated if status.last_state else None
    return (last.message or "").strip()[-300:] if last else ""
