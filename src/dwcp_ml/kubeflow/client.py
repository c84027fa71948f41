"""Runs on a Kubeflow endpoint: submitting, scheduling, waiting, and telling how they went."""

from __future__ import annotations

import io
import time
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from dwcp_ml.errors import CompileError, EndpointError, PipelineDeadlineError, PipelineRunError
from dwcp_ml.kubeflow.endpoint import speaking_to
from dwcp_ml.kubeflow.tasks import Task, failure_reason, tasks_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from kfp import Client

EXPERIMENT = "dwcp"
SUCCEEDED = "SUCCEEDED"
FINAL = (SUCCEEDED, "FAILED", "CANCELED", "SKIPPED")
RETRIES = 5  # of a question while waiting
CRON_FIELDS = 5  # minute, hour, day of month, month, day of week


@dataclass(frozen=True)
class Run:
    """A run as the endpoint tells it."""

    id: str
    name: str
    state: str
    reason: str | None
    tasks: tuple[Task, ...]

    @property
    def ended(self) -> bool:
        """Whether its state is final."""
        return self.state in FINAL


def submit(
    client: Client,
    compiled: str,
    arguments: Mapping[str, Any],
    *,
    name: str,
    experiment: str = EXPERIMENT,
    namespace: str | None = None,
    service_account: str | None = None,
) -> str:
    """Start a run; its id.

    Args:
        client: of the endpoint.
        compiled: the pipeline as YAML.
        arguments: of the pipeline, where they differ from its defaults.
        name: of the run.
        experiment: that it belongs to.
        namespace: of the user, on an endpoint with several.
        service_account: of the tasks' pods.
    """
    with quietly(client), TemporaryDirectory() as scratch:
        made = client.create_run_from_pipeline_package(
            _file(scratch, compiled),
            arguments=dict(arguments),
            run_name=name,
            experiment_name=experiment,
            namespace=namespace,
            service_account=service_account,
        )
    return str(made.run_id)


def schedule(
    client: Client,
    compiled: str,
    arguments: Mapping[str, Any],
    *,
    cron: str,
    name: str,
    experiment: str = EXPERIMENT,
    namespace: str | None = None,
    service_account: str | None = None,
) -> str:
    """Start a run whenever ``cron`` says so; the id of the schedule.

    A schedule of the same name in the experiment is replaced; a run that it has under way goes on.
    One run at a time; what was missed while the endpoint was down is not made up for.
    """
    fields = six_fields(cron)
    with quietly(client), TemporaryDirectory() as scratch:
        group = client.create_experiment(experiment, namespace=namespace).experiment_id
        known = client.list_recurring_runs(experiment_id=group, page_size=100).recurring_runs or []
        made = client.create_recurring_run(
            experiment_id=group,
            job_name=name,
            pipeline_package_path=_file(scratch, compiled),
            params=dict(arguments),
            cron_expression=fields,
            max_concurrency=1,
            no_catchup=True,
            service_account=service_account,
        )
        for old in (job for job in known if job.display_name == name):
            _retire(client, group, old.recurring_run_id)
    return str(made.recurring_run_id)


def _retire(client: Client, group: str, schedule: str) -> None:
    """Stop a schedule; delete it unless a run is under way, which Kubeflow would delete with it."""
    client.disable_recurring_run(schedule)
    newest = client.list_runs(experiment_id=group, page_size=100, sort_by="created_at desc").runs
    own = [run for run in newest or [] if run.recurring_run_id == schedule]
    if all(run.state in FINAL for run in own):
        client.delete_recurring_run(schedule)


def six_fields(cron: str) -> str:
    """The usual five fields as Kubeflow's six, which start with seconds.

    Raises:
        CompileError: there are neither five nor six.
    """
    fields = cron.split()
    if len(fields) not in (CRON_FIELDS, CRON_FIELDS + 1):
        raise CompileError(
            f"'{cron}' is no cron expression; write minute, hour, day, month, weekday: 0 2 * * 0"
        )
    return " ".join(fields if len(fields) > CRON_FIELDS else ["0", *fields])


def status(client: Client, run: str) -> Run:
    """How a run stands, with the reason of the first task that failed."""
    with speaking_to(_host(client)):
        found = client.get_run(run)
        tasks = tasks_of(found)
        state = found.state or "PENDING"
        failed = state in FINAL and state != SUCCEEDED
        reason = failure_reason(client, found, tasks) if failed else None
    return Run(run, found.display_name, state, reason, tuple(tasks))


def latest_run(client: Client, experiment: str = EXPERIMENT, namespace: str | None = None) -> str:
    """The newest run of an experiment.

    Raises:
        PipelineRunError: there is none.
    """
    with quietly(client):
        group = client.create_experiment(experiment, namespace=namespace).experiment_id
        found = client.list_runs(
            experiment_id=group, page_size=1, sort_by="created_at desc", namespace=namespace
        ).runs
    if not found:
        raise PipelineRunError(f"the experiment '{experiment}' has no run yet")
    return str(found[0].run_id)


def wait(
    client: Client,
    run: str,
    *,
    deadline_s: float,
    tick: Callable[[Run], None] = lambda _run: None,
    pause_s: float = 5,
) -> Run:
    """Wait until a run has ended; stop one that has not by the deadline.

    An image that cannot be pulled leaves a task waiting for ever, so waiting needs an end.

    Raises:
        PipelineRunError: it did not succeed.
        PipelineDeadlineError: it was stopped.
    """
    end = time.monotonic() + deadline_s
    now = status(client, run)
    while not now.ended:
        tick(now)
        if time.monotonic() > end:
            with speaking_to(_host(client)):
                client.terminate_run(run)
            waiting = ", ".join(task.name for task in now.tasks if task.state == "RUNNING")
            raise PipelineDeadlineError(
                f"run {run} was stopped after {deadline_s / 60:g} min; under way: {waiting or '-'}"
            )
        time.sleep(pause_s)
        now = _patiently(client, run, pause_s)
    tick(now)
    if now.state != SUCCEEDED:
        raise PipelineRunError(f"run {run} {now.state}: {now.reason}")
    return now


def _patiently(client: Client, run: str, pause_s: float) -> Run:
    """``status``, asked again where the endpoint is away for a moment."""
    for _ in range(RETRIES):
        try:
            return status(client, run)
        except EndpointError:
            time.sleep(pause_s)
    return status(client, run)


def _file(folder: str, compiled: str) -> str:
    path = Path(folder, "pipeline.yaml")
    path.write_text(compiled, encoding="utf-8")
    return str(path)


@contextmanager
def quietly(client: Client) -> Iterator[None]:
    """Without the links that the client prints, which lead nowhere from outside a notebook."""
    with speaking_to(_host(client)), redirect_stdout(io.StringIO()):
        yield


def _host(client: Client) -> str:
    return str(client._existing_config.host)
