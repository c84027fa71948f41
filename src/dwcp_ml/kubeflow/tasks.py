"""The tasks of a run, and why one of them failed.

The API names every task twice, as a task and as its driver, and the containers "executor"; what a
step said is in its container's log alone.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from kfp import Client

MACHINERY = re.compile(r"root|executor|.*-driver|exit-handler-\d+(\.onExit)?|.*\(\d+\)")
SENTENCE = re.compile(r"^error: (.+)$", re.MULTILINE)
RAISED = re.compile(r"^\w+(?:\.\w+)*(?:Error|Exception): .+$", re.MULTILINE)
KILLED = re.compile(r"exit status 137|signal: killed|OOMKilled")
# They stand in a container's pod name, not in its node's: of a task, and of one tried again.
ONCE, AGAIN = "system-container-impl", "retry-system-container-impl"
LONGEST = 1000


@dataclass(frozen=True)
class Task:
    """One task of the pipeline; ``pods`` are the nodes below it."""

    name: str
    state: str
    pods: tuple[str, ...]


def tasks_of(run: Any) -> list[Task]:
    """The pipeline's own tasks, in the order they started."""
    details = (run.run_details and run.run_details.task_details) or []
    named = (task for task in details if task.display_name)
    own = [t for t in named if not (MACHINERY.fullmatch(t.display_name) or _is_workflow(t))]
    own.sort(key=lambda task: (str(task.start_time or "~"), task.display_name))
    return [
        Task(
            task.display_name,
            task.state or "SKIPPED",
            tuple(child.pod_name for child in task.child_tasks or [] if child.pod_name),
        )
        for task in own
    ]


def _is_workflow(task: Any) -> bool:
    """Whether it is the run itself, whose nodes carry its name."""
    return any((c.pod_name or "").startswith(task.display_name) for c in task.child_tasks or [])


def cached_tasks(run: Any) -> int:
    """How many containers did not run because their outputs were in the cache."""
    details = (run.run_details and run.run_details.task_details) or []
    return sum(t.display_name == "executor" and t.state == "SKIPPED" for t in details)


def failure_reason(client: Client, run: Any, tasks: Sequence[Task]) -> str:
    """Every failed task with what its container's log says last."""
    found = [
        f"{task.name}: {why}"
        for task in tasks
        if task.state == "FAILED"
        for why in dict.fromkeys(_said(client, run, task))
    ]
    return "; ".join(found) or "no task says why; see the run's page"


def tries(run: Any) -> list[str]:
    """Nodes of the containers of every task that was tried again in vain.

    The API does not say which task they belong to; few tasks are tried again, one after another.
    """
    details = (run.run_details and run.run_details.task_details) or []
    failed = (t for t in details if t.display_name == "executor" and t.state == "FAILED")
    return [child.pod_name for t in failed for child in t.child_tasks or [] if child.pod_name]


def _said(client: Client, run: Any, task: Task) -> Iterator[str]:
    places = [(pod, ONCE) for pod in task.pods] + [(pod, AGAIN) for pod in task.pods]
    logs = [log for place in places if (log := _log(client, run.run_id, *place))]
    if not logs:
        logs = [log for pod in tries(run) if (log := _log(client, run.run_id, pod, AGAIN))]
    if not logs:
        yield "failed before its container started, or its log is gone"
    for log in logs[-1:]:
        yield told(log)


def told(log: str) -> str:
    """The sentence in a container's log that says why it failed."""
    if sentences := SENTENCE.findall(log):
        return str(sentences[-1])[:LONGEST]
    if KILLED.search(log):
        return "was killed, most likely because it ran out of memory"
    if raised := RAISED.findall(log):
        return str(raised[-1])[:LONGEST]
    return "failed without a word; see its log"


def _log(client: Client, run: str, node: str, kind: str) -> str:
    """A container's log through the API server, which has kept it; empty where it has none."""
    from kfp_server_api import ApiException

    workflow, _, number = node.rpartition("-")
    api = client._healthz_api.api_client
    try:
        answer = api.call_api(
            f"/apis/v1alpha1/runs/{run}/nodes/{workflow}-{kind}-{number}/log",
            "GET",
            auth_settings=["Bearer"],
            _preload_content=False,
            _return_http_data_only=True,
            _request_timeout=20,
        )
    except ApiException:
        return ""
    content: bytes = answer.data
    return content.decode(errors="replace")
