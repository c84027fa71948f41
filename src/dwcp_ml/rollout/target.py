"""Which model a service asks for, and which one a revision is made of."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from dwcp_ml.rollout.observation import ServiceView
from dwcp_ml.rollout.spec import Target


def merged(model: Mapping[str, Any], target: Target) -> dict[str, Any]:
    """``predictor.model`` with the target put in; everything else on it stays."""
    wanted = {**model, "storageUri": target.storage_uri}
    if target.runtime is not None:
        wanted["runtime"] = target.runtime
    return wanted


def is_target(model: Mapping[str, Any], target: Target) -> bool:
    """Whether putting the target in would change nothing."""
    return merged(model, target) == dict(model)


def target_digest(target: Target) -> str:
    """Short digest of what the target makes of a service; notes on it do not count."""
    text = json.dumps([target.storage_uri, target.runtime])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def made_of(view: ServiceView, revision: str | None, model: Mapping[str, Any]) -> bool:
    """False where the revision is known to hold another location than ``model``."""
    found = view.revisions.get(revision or "")
    if revision is None or found is None:
        return False
    return found.storage_uri is None or found.storage_uri == model.get("storageUri")


def is_ready(view: ServiceView, revision: str | None) -> bool:
    """Whether a revision is there and can serve, from zero pods too."""
    found = view.revisions.get(revision or "")
    return found is not None and found.ready


def failure(view: ServiceView, revision: str | None) -> str:
    """`` (why its pods do not come up)``, or nothing."""
    found = view.revisions.get(revision or "")
    return f" ({found.failure})" if found is not None and found.failure else ""


def because(view: ServiceView) -> str:
    """``: why the controllers have not acted yet``, or nothing."""
    return f": {view.unsettled_why}" if view.unsettled_why else ""
