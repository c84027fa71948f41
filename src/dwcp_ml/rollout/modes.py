"""Which adapter drives a service; a mode that cannot be driven is refused by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dwcp_ml.errors import RolloutError
from dwcp_ml.rollout.cluster import INFERENCE_SERVICE
from dwcp_ml.rollout.knative import KnativeAdapter

if TYPE_CHECKING:
    from dwcp_ml.rollout.adapter import Adapter
    from dwcp_ml.rollout.cluster import Cluster
    from dwcp_ml.rollout.spec import RolloutSpec

# KServe renamed two of its modes; both names mean the same.
NAMES = {
    "Serverless": "Knative",
    "Knative": "Knative",
    "RawDeployment": "Standard",
    "Standard": "Standard",
}
ANNOTATION = "serving.kserve.io/deploymentMode"


def adapter_for(cluster: Cluster, spec: RolloutSpec) -> Adapter:
    """The adapter for the mode that the service is found in, else for ``spec.mode``.

    Raises:
        RolloutError: the mode is one that nothing here can split traffic in, or another one than
            the spec says.
        UnreachableError: the API server could not be asked.
    """
    found = _found(cluster, spec)
    if found is not None and spec.mode not in ("Auto", found):
        raise RolloutError(
            f"InferenceService {spec.inference_service} runs in mode {found}, "
            f"and spec.mode says {spec.mode}"
        )
    if (found or spec.mode) == "Standard":
        from dwcp_ml.rollout.standard import StandardAdapter

        return StandardAdapter(cluster, spec.inference_service, spec.template)
    return KnativeAdapter(cluster, spec.inference_service, spec.template)


def _found(cluster: Cluster, spec: RolloutSpec) -> str | None:
    service = cluster.get(INFERENCE_SERVICE, spec.inference_service)
    if service is None:
        return None
    notes = service["metadata"].get("annotations") or {}
    said = notes.get(ANNOTATION) or (service.get("status") or {}).get("deploymentMode")
    if said is None:
        return None
    if said not in NAMES:
        raise RolloutError(
            f"InferenceService {spec.inference_service} runs in mode {said}, whose traffic cannot "
            "be split; Knative and Standard can"
        )
    return NAMES[said]
