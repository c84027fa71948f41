"""A run of what a schedule runs, out of turn: the weekly training, because drift asks for it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from dwcp_ml.errors import PipelineRunError, nearest
from dwcp_ml.kubeflow.client import EXPERIMENT, FINAL, quietly

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kfp import Client

PAGE = 100
OUT_OF_TURN = "out of turn"  # in the names of runs that this starts


def start_scheduled(
    client: Client,
    schedule: str,
    *,
    at: datetime,
    rest: timedelta,
    experiment: str = EXPERIMENT,
    namespace: str | None = None,
) -> tuple[str | None, str]:
    """Run the schedule's pipeline now, with its arguments, account and cache; one at a time.

    Args:
        client: of the endpoint.
        schedule: name of a recurring run.
        at: now.
        rest: nothing is started so soon after the schedule's last run: a drift lasts until a new
            version serves and its data are the reference, and is no reason for one run a day.
        experiment: that the schedule belongs to.
        namespace: of the user, on an endpoint with several.

    Returns:
        The id of the run, None where none was started, and the sentence why.

    Raises:
        PipelineRunError: there is no such schedule.
    """
    with quietly(client):
        group = client.create_experiment(experiment, namespace=namespace).experiment_id
        known = client.list_recurring_runs(experiment_id=group, page_size=PAGE).recurring_runs
        job = _named(known or [], schedule, experiment)
        title = f"{schedule} {OUT_OF_TURN}"
        newest = client.list_runs(
            experiment_id=group, page_size=PAGE, sort_by="created_at desc", namespace=namespace
        ).runs
        own = [
            run
            for run in newest or []
            if run.recurring_run_id == job.recurring_run_id or run.display_name.startswith(title)
        ]
        for run in own:
            if run.state not in FINAL:
                return None, f"run {run.run_id} is under way"
            if at - run.created_at < rest:
                hours = rest.total_seconds() / 3600
                return None, f"run {run.run_id} began within the last {hours:g} hours"
        made = _run(client, group, f"{title} {at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}", job)
    return made, f"as '{schedule}' does"


def _named(known: Sequence[Any], schedule: str, experiment: str) -> Any:
    found = [job for job in known if job.display_name == schedule]
    if not found:
        names = [str(job.display_name) for job in known]
        raise PipelineRunError(
            f"the experiment '{experiment}' has no schedule '{schedule}'"
            f"{nearest(schedule, names)}; 'dwcp pipeline schedule' makes one"
        )
    return max(found, key=lambda job: job.created_at)


def _run(client: Client, group: str, name: str, job: Any) -> str:
    """A run with the specification and the settings of a schedule."""
    settings, reference = job.runtime_config, job.pipeline_version_reference
    with TemporaryDirectory() as scratch:
        where: dict[str, Any] = {}
        if job.pipeline_spec:
            file = Path(scratch, "pipeline.yaml")
            file.write_text(_documents(job.pipeline_spec), encoding="utf-8")
            where["pipeline_package_path"] = str(file)
        elif reference is not None:
            where["pipeline_id"] = reference.pipeline_id
            where["version_id"] = reference.pipeline_version_id
        made = client.run_pipeline(
            group,
            name,
            params=dict((settings and settings.parameters) or {}),
            pipeline_root=settings and settings.pipeline_root,
            service_account=job.service_account,
            **where,
        )
    return str(made.run_id)


def _documents(told: Any) -> str:
    """A specification as the file that the client reads; JSON is YAML."""
    parts = (
        [told["pipeline_spec"], told.get("platform_spec")] if "pipeline_spec" in told else [told]
    )
    return "\n---\n".join(json.dumps(part) for part in parts if part)
