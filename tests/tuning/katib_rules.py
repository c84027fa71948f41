"""What Katib's v1beta1 API and its admission webhook ask of an Experiment, as far as we use it.

From kubeflow/katib: pkg/apis/controller/experiments/v1beta1/experiment_types.go,
pkg/apis/controller/common/v1beta1/common_types.go and pkg/webhook/v1beta1/experiment/validator.
"""

import json
import re

SPEC = {
    "parameters": "*",
    "objective": {"type", "goal", "objectiveMetricName", "additionalMetricNames",
                  "metricStrategies"},
    "algorithm": {"algorithmName", "algorithmSettings"},
    "earlyStopping": {"algorithmName", "algorithmSettings"},
    "trialTemplate": {"retain", "trialSpec", "configMap", "trialParameters", "primaryPodLabels",
                      "primaryContainerName", "successCondition", "failureCondition"},
    "parallelTrialCount": int, "maxTrialCount": int, "maxFailedTrialCount": int,
    "metricsCollectorSpec": {"source", "collector"},
    "resumePolicy": str,
}  # fmt: skip
# pkg/metricscollector/v1beta1/common: the default filter, of old releases and of newer ones
FILTERS = (
    r"([\w|-]+)\s*=\s*((-?\d+)(\.\d+)?)",
    r"([\w|-]+)\s*=\s*([+-]?\d*(\.\d+)?([Ee][+-]?\d+)?)",
)
REFERENCE = re.compile(r"\$\{trialParameters\.(.+?)\}")


def wrong(manifest: dict) -> list[str]:
    """What Katib would refuse or drop."""
    found = []
    if (manifest["apiVersion"], manifest["kind"]) != ("kubeflow.org/v1beta1", "Experiment"):
        found.append("kind")
    if not re.fullmatch(r"[a-z]([-a-z0-9]*[a-z0-9])?", manifest["metadata"]["name"]):
        found.append("name")
    spec = manifest["spec"]
    for key, value in spec.items():
        known = SPEC.get(key)
        if known is None or (isinstance(known, set) and set(value) - known):
            found.append(f"unknown field {key}: {value}")
        if isinstance(known, type) and not isinstance(value, known):
            found.append(f"{key} is no {known}")
    if spec["objective"].get("type") not in ("minimize", "maximize"):
        found.append("objective.type")
    if not spec["objective"].get("objectiveMetricName"):
        found.append("objectiveMetricName")
    if not 0 < spec["parallelTrialCount"] <= spec["maxTrialCount"]:
        found.append("parallelTrialCount")
    if not 0 <= spec["maxFailedTrialCount"] <= spec["maxTrialCount"]:
        found.append("maxFailedTrialCount")
    if spec["metricsCollectorSpec"]["collector"]["kind"] != "StdOut":
        found.append("collector")
    for parameter in spec["parameters"]:
        found += _wrong_parameter(parameter)
    return found + _wrong_template(spec["trialTemplate"], {p["name"] for p in spec["parameters"]})


def _wrong_parameter(parameter: dict) -> list[str]:
    name, kind, space = (parameter[k] for k in ("name", "parameterType", "feasibleSpace"))
    if set(parameter) != {"name", "parameterType", "feasibleSpace"}:
        return [f"{name}: fields"]
    if not all(isinstance(v, str) for v in space.values() if not isinstance(v, list)):
        return [f"{name}: a bound is no string"]
    if kind in ("int", "double"):
        good = {"min", "max"} <= set(space) <= {"min", "max", "step", "distribution"}
        good = good and space["distribution"] in ("uniform", "logUniform")
        number = {"int": int, "double": float}[kind]
        return [] if good and number(space["min"]) < number(space["max"]) else [f"{name}: range"]
    good = kind in ("categorical", "discrete") and set(space) == {"list"} and space["list"]
    return [] if good and all(isinstance(v, str) for v in space["list"]) else [f"{name}: list"]


def _wrong_template(template: dict, names: set[str]) -> list[str]:
    needed = ("primaryContainerName", "successCondition", "failureCondition")
    found = [f"{name} is missing" for name in needed if not template.get(name)]
    text = json.dumps(template["trialSpec"])
    given = [p["name"] for p in template["trialParameters"]]
    references = [p["reference"] for p in template["trialParameters"]]
    if len(given) != len(set(given)) or set(references) != names:
        found.append("trialParameters do not match the parameters")
    if set(REFERENCE.findall(text)) != set(given):
        found.append("the template does not use exactly the trialParameters")
    if {"name", "namespace"} & set(template["trialSpec"].get("metadata", {})):
        found.append("the template names its job")
    containers = template["trialSpec"]["spec"]["template"]["spec"]["containers"]
    if template["primaryContainerName"] not in [c["name"] for c in containers]:
        found.append("no container of that name")
    if not all(c.get("command") for c in containers):  # the collector wraps the command
        found.append("a container without a command")
    return found


def unknown_fields(value: dict, kind: str, where: str = "") -> list[str]:
    """Fields of a Kubernetes object that the API of the client package does not have."""
    from kubernetes import client

    model = getattr(client, kind)
    types = {model.attribute_map[name]: t for name, t in model.openapi_types.items()}
    found = []
    for key, inner in value.items():
        if key not in types:
            found.append(f"{where}.{key}")
            continue
        inside = re.sub(r"^list\[(.*)\]$", r"\1", types[key])
        if hasattr(client, inside):
            for part in inner if isinstance(inner, list) else [inner]:
                found += unknown_fields(part, inside, f"{where}.{key}")
    return found


def shell_line(manifest: dict, values: dict[str, str]) -> str:
    """What the collector's webhook makes of the command: joined, without quotes, for `sh -c`."""
    text = json.dumps(manifest["spec"]["trialTemplate"]["trialSpec"])
    for name, value in values.items():
        text = text.replace(f"${{trialParameters.{name}}}", value)
    return " ".join(json.loads(text)["spec"]["template"]["spec"]["containers"][0]["command"])


def collected(log: str, metric: str, pattern: str) -> list[str]:
    """The metric's values in a log, as the collector finds them."""
    lines = [line for line in log.splitlines() if metric in line]
    found = [match for line in lines for match in re.findall(pattern, line)]
    return [match[1].strip() for match in found if match[0].strip() == metric]
