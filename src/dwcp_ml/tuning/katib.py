"""The same study for Katib: an Experiment whose trials run `dwcp tune MODEL --set ...` once each.

Katib suggests the values and counts the trials; what a trial does, the space and the metric are
those of `dwcp tune`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dwcp_ml.tuning.objective import direction
from dwcp_ml.tuning.space import as_text

if TYPE_CHECKING:
    from dwcp_ml.models.base import Model
    from dwcp_ml.tuning.space import Space, Vary

CONTAINER, CLAIM, CONFIG = "training", "dwcp-splits", "dwcp-params"
SUCCESS = 'status.conditions.#(type=="Complete")#|#(status=="True")#'
FAILURE = 'status.conditions.#(type=="Failed")#|#(status=="True")#'


@dataclass(frozen=True)
class Pod:
    """Of a trial: the image, Kubernetes quantities (request, limit), seconds until it is ended."""

    image: str
    cpu: tuple[str, str]
    memory: tuple[str, str]
    deadline_s: int


def experiment(
    model: Model, space: Space, pod: Pod, *, seed: int, trials: int = 40, parallel: int = 2
) -> dict[str, Any]:
    """The manifest of one model's study.

    Pods find params.yaml in ConfigMap ``dwcp-params`` and the splits on the claim ``dwcp-splits``.
    """
    name = model.name.replace("_", "-")
    return {
        "apiVersion": "kubeflow.org/v1beta1",
        "kind": "Experiment",
        "metadata": {"name": f"tune-{name}"},
        "spec": {
            "objective": {
                "type": direction(model),
                "objectiveMetricName": model.primary_metric,
            },
            "algorithm": {
                "algorithmName": "tpe",
                "algorithmSettings": [{"name": "random_state", "value": str(seed)}],
            },
            "parallelTrialCount": parallel,
            "maxTrialCount": trials,
            "maxFailedTrialCount": trials // 4,
            "metricsCollectorSpec": {"collector": {"kind": "StdOut"}},
            "parameters": [_parameter(key, vary) for key, vary in space.vary.items()],
            "trialTemplate": _template(model, space, pod),
        },
    }


def _parameter(key: str, vary: Vary) -> dict[str, Any]:
    if vary.choices:
        choices = [as_text(c) for c in vary.choices]
        return {
            "name": key,
            "parameterType": "categorical",
            "feasibleSpace": {"list": choices},
        }
    span: dict[str, str] = {"min": str(vary.low), "max": str(vary.high)}
    if vary.step:
        span["step"] = str(vary.step)
    span["distribution"] = "logUniform" if vary.log else "uniform"
    kind = "int" if vary.whole else "double"
    return {"name": key, "parameterType": kind, "feasibleSpace": span}


def _template(model: Model, space: Space, pod: Pod) -> dict[str, Any]:
    return {
        "primaryContainerName": CONTAINER,
        "successCondition": SUCCESS,
        "failureCondition": FAILURE,
        "trialParameters": [
            {"name": key, "description": f"{key} of {model.name}", "reference": key}
            for key in space.vary
        ],
        "trialSpec": {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "spec": {
                "backoffLimit": 0,
                "activeDeadlineSeconds": pod.deadline_s,
                "template": {
                    "metadata": {"annotations": {"sidecar.istio.io/inject": "false"}},
                    "spec": _pod_spec(model, space, pod),
                },
            },
        },
    }


def command(model: Model, space: Space) -> list[str]:
    """What a trial's container runs; Katib puts the values in and hands it to a shell."""
    options = [f"--set={key}=${{trialParameters.{key}}}" for key in space.vary]
    files = ["--params=/config/params.yaml", "--splits=/splits"]
    return ["dwcp", "tune", model.name, *files, *options]


def _pod_spec(model: Model, space: Space, pod: Pod) -> dict[str, Any]:
    return {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "containers": [
            {
                "name": CONTAINER,
                "image": pod.image,
                "command": command(model, space),
                "resources": {
                    "requests": {"cpu": pod.cpu[0], "memory": pod.memory[0]},
                    "limits": {"cpu": pod.cpu[1], "memory": pod.memory[1]},
                },
                "securityContext": {
                    "allowPrivilegeEscalation": False,
                    "capabilities": {"drop": ["ALL"]},
                },
                "volumeMounts": [
                    {"name": "config", "mountPath": "/config", "readOnly": True},
                    {"name": "splits", "mountPath": "/splits", "readOnly": True},
                ],
            }
        ],
        "volumes": [
            {"name": "config", "configMap": {"name": CONFIG}},
            {"name": "splits", "persistentVolumeClaim": {"claimName": CLAIM, "readOnly": True}},
        ],
    }
