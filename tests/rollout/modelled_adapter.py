"""What the Knative adapter sees of the modelled cluster, and what its patches do to it."""

from __future__ import annotations

import json

from controllers import Cluster

from dwcp_ml.rollout.actions import Change, Create, Deploy, Finish, SetPercent
from dwcp_ml.rollout.observation import RevisionView, ServiceView


def view_of(cluster: Cluster) -> ServiceView | None:
    """What the adapter says of the cluster."""
    isvc, ksvc = cluster.isvc, cluster.ksvc
    if isvc is None:
        return None
    traffic: dict[str, int] = {}
    for target in ksvc.traffic if ksvc else ():
        traffic[target.revision or ""] = traffic.get(target.revision or "", 0) + target.percent
    revisions = {
        r.name: RevisionView(
            r.name,
            r.ready,
            cluster.replicas(r.name),
            None if r.ready else "ImagePullBackOff",
            r.template.uri,
        )
        for r in cluster.revisions.values()
    }
    return ServiceView(
        resource_version=str(isvc.version),
        model=dict(isvc.model),
        fingerprint=json.dumps([sorted(isvc.extras.items()), cluster.runtime_content]),
        percent=isvc.percent,
        rolled_out=isvc.rolled_out,
        previous=isvc.previous,
        latest_created=ksvc.latest_created if ksvc else None,
        latest_ready=ksvc.latest_ready if ksvc else None,
        traffic=traffic,
        settled=_settled(cluster, traffic),
        unsettled_why="Knative's Ready is Unknown",
        revisions=revisions,
        stopped=isvc.stop,
        incarnation=str(ksvc.uid) if ksvc else "",
    )


def _settled(cluster: Cluster, traffic: dict[str, int]) -> bool:
    isvc, ksvc = cluster.isvc, cluster.ksvc
    if isvc is None or ksvc is None or isvc.failed:
        return False
    asked = next(target.percent for target in ksvc.targets if target.latest)
    passed_on = asked == (100 if isvc.percent is None else isvc.percent) or len(ksvc.targets) == 1
    same = ksvc.template.uri == isvc.model["storageUri"]
    mirrored = ksvc.observed == ksvc.generation and isvc.traffic == traffic
    return ksvc.conditions_ready and passed_on and same and mirrored


class RaceLostError(Exception):
    pass


def apply(cluster: Cluster, change: Change) -> None:
    """Make a change as the adapter does: one patch with a resourceVersion test."""
    if isinstance(change, Create):
        if cluster.isvc is not None:
            raise RaceLostError
        cluster.create(dict(change.model))
        return
    if cluster.isvc is None or str(cluster.isvc.version) != change.resource_version:
        raise RaceLostError
    if isinstance(change, Deploy):
        cluster.patch(dict(change.model), percent=0)
    elif isinstance(change, SetPercent):
        cluster.patch(percent=change.percent)
    else:
        assert isinstance(change, Finish)
