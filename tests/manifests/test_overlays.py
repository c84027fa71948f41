"""What every overlay renders to: versions, rights, limits, policies."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
import yaml

from dwcp_ml.rollout.policy import CONFIG_MAP, EVERY, merged
from dwcp_ml.rollout.reading import read_spec
from dwcp_ml.serve_commands import serve_command

sys.path.append(str(Path(__file__).parents[1] / "rollout"))
from simulated import SPEC as SIMULATED

ROOT = Path(__file__).parents[2]
MANIFESTS = ROOT / "manifests"
OVERLAYS = sorted(folder.name for folder in (MANIFESTS / "overlays").iterdir())
WHOLE = ["knative", "standard", "local"]
SERVICES = {"bandwidth-predictor", "compression-selector", "node-reliability", "consensus-latency"}
RULE = re.compile(r"'([a-z:-]+)'$")
pytestmark = pytest.mark.skipif(not shutil.which("kubectl"), reason="kubectl is not there")


@cache
def rendered(overlay):
    words = ["kubectl", "kustomize", str(MANIFESTS / "overlays" / overlay)]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return list(yaml.safe_load_all(done.stdout))


def of_kind(overlay, *kinds):
    return [document for document in rendered(overlay) if document["kind"] in kinds]


def pods(overlay):
    """Containers of every pod that the overlay describes."""
    for document in of_kind(overlay, "Deployment", "ServingRuntime", "ClusterStorageContainer"):
        spec = document["spec"]
        spec = spec.get("template", {}).get("spec", spec)
        for container in spec.get("containers", [spec.get("container")]):
            above = spec.get("securityContext", {}) if document["kind"] == "Deployment" else {}
            yield document["metadata"]["name"], {**above, **container["securityContext"]}, container


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_it_renders_without_settings_and_with_one_service_of_each_name(overlay):
    names = [d["metadata"]["name"] for d in of_kind(overlay, "InferenceService")]
    assert len(names) == len(set(names)) > 0
    assert set(names) <= SERVICES
    assert {d["metadata"]["name"] for d in of_kind(overlay, "ConfigMap")} <= {CONFIG_MAP}


@pytest.mark.parametrize("overlay", WHOLE)
@pytest.mark.parametrize("service", sorted(SERVICES))
def test_the_policy_makes_a_whole_rollout_of_every_service(overlay, service):
    (found,) = of_kind(overlay, "ConfigMap")
    parts = [yaml.safe_load(found["data"][key]) for key in (EVERY, f"{service}.yaml")]
    target = {"storageUri": "s3://b/models/m/v1.0/"}
    body = {"spec": merged(*parts) | {"inferenceService": service, "target": target}}
    spec = read_spec(body)
    assert spec.prober.model == service.replace("-", "_")
    assert len(spec.prober.requests) == 3
    assert [(g.kind, g.limit, g.quantile) for g in spec.gates] == [
        (g.kind, g.limit, g.quantile) for g in SIMULATED.gates
    ], "not the gates whose error rates the simulation shows"


def test_a_service_made_by_a_rollout_is_like_the_one_in_the_files():
    (found,) = of_kind("knative", "ConfigMap")
    made = yaml.safe_load(found["data"][EVERY])["template"]["predictor"]
    for service in of_kind("knative", "InferenceService"):
        predictor = service["spec"]["predictor"]
        model = {k: v for k, v in predictor["model"].items() if k != "storageUri"}
        assert made == predictor | {"model": model}


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_a_storage_uri_names_one_version_and_ends_with_a_slash(overlay):
    for service in of_kind(overlay, "InferenceService"):
        model = service["spec"]["predictor"]["model"]
        name = service["metadata"]["name"].replace("-", "_")
        assert re.fullmatch(rf"s3://[a-z]+/models/{name}/v\d+\.\d+/", model["storageUri"])


def test_every_model_of_the_parameters_has_a_service():
    models = yaml.safe_load((ROOT / "params.yaml").read_text())["models"]
    assert {name.replace("_", "-") for name in models} == SERVICES
    assert {d["metadata"]["name"] for d in of_kind("knative", "InferenceService")} == SERVICES


@pytest.mark.parametrize("overlay", WHOLE)
def test_a_service_uses_the_runtime_and_the_account_that_are_there(overlay):
    runtimes = {d["metadata"]["name"] for d in of_kind(overlay, "ServingRuntime")}
    assert all(re.fullmatch(r"dwcp-onnx-(standard-)?\d+-\d+-\d+", name) for name in runtimes)
    (container,) = of_kind(overlay, "ClusterStorageContainer")
    for service in of_kind(overlay, "InferenceService"):
        predictor = service["spec"]["predictor"]
        assert predictor["model"]["runtime"] in runtimes
        assert predictor["storageContainerName"] == container["metadata"]["name"]
        assert predictor["serviceAccountName"] == "dwcp-models"
        assert {"requests", "limits"} == set(predictor["model"]["resources"])
        prefix = container["spec"]["supportedUriFormats"][0]["prefix"]
        assert predictor["model"]["storageUri"].startswith(prefix)


def test_both_runtimes_run_one_server_and_the_deployments_its_release():
    images = {
        document["spec"]["containers"][0]["image"]
        for overlay in ("knative", "standard")
        for document in of_kind(overlay, "ServingRuntime")
    }
    (image,) = images
    (operator,) = of_kind("knative", "Deployment")
    operator_image = operator["spec"]["template"]["spec"]["containers"][0]["image"]
    for name in (image, operator_image):
        assert re.fullmatch(r"dwcp-(serve|operator):\d+\.\d+\.\d+", name)


def test_tag_routing_is_there_from_the_first_day():
    for service in of_kind("knative", "InferenceService"):
        assert service["metadata"]["annotations"]["serving.kserve.io/enable-tag-routing"] == "true"


@pytest.mark.parametrize("overlay", WHOLE)
def test_nothing_sets_a_percent_but_the_steps(overlay):
    for service in of_kind(overlay, "InferenceService"):
        assert "canaryTrafficPercent" not in service["spec"]["predictor"]


@pytest.mark.parametrize("percent", [0, 1, 5, 10, 25, 50, 100])
def test_a_step_holds_the_new_version_and_its_percent(percent):
    (service,) = of_kind(f"canary-{percent}", "InferenceService")
    predictor = service["spec"]["predictor"]
    assert predictor["canaryTrafficPercent"] == percent
    (way_back,) = of_kind(f"restore-{100 if percent else 0}", "InferenceService")
    assert way_back["spec"]["predictor"]["model"] != predictor["model"]
    assert way_back["spec"]["predictor"]["canaryTrafficPercent"] == (100 if percent else 0)


@pytest.mark.parametrize("overlay", WHOLE)
def test_rights_name_no_wildcard_and_no_secret(overlay):
    for role in of_kind(overlay, "Role", "ClusterRole"):
        for rule in role["rules"]:
            assert "*" not in [*rule["verbs"], *rule["resources"], *rule["apiGroups"]]
            assert "secrets" not in rule["resources"]
    bound = {binding["roleRef"]["kind"] for binding in of_kind(overlay, "RoleBinding")}
    assert bound == {"Role"}
    assert not of_kind(overlay, "ClusterRoleBinding")


@pytest.mark.parametrize("overlay", WHOLE)
def test_the_operator_changes_named_services_only_and_those_are_all(overlay):
    named = set()
    for role in of_kind(overlay, "Role"):
        for rule in role["rules"]:
            if {"patch", "update", "delete"} & set(rule["verbs"]) and rule["apiGroups"] != [
                "dwcp.io"
            ]:
                assert rule["resourceNames"], role["metadata"]["name"]
            if rule["resources"] == ["inferenceservices"]:
                named |= set(rule.get("resourceNames", []))
    assert named >= SERVICES
    assert {name.removesuffix("-canary") for name in named} == SERVICES


@pytest.mark.parametrize("overlay", WHOLE)
def test_every_pod_is_fit_for_pod_security_restricted(overlay):
    found = list(pods(overlay))
    assert len(found) == 3
    for name, context, container in found:
        assert context["runAsNonRoot"], name
        assert context["readOnlyRootFilesystem"], name
        assert context["allowPrivilegeEscalation"] is False, name
        assert context["capabilities"] == {"drop": ["ALL"]}, name
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert container.get("resources") or name.startswith("dwcp-onnx"), name


@pytest.mark.parametrize("overlay", WHOLE)
def test_both_namespaces_are_restricted_and_deny_by_default(overlay):
    namespaces = of_kind(overlay, "Namespace")
    level = "pod-security.kubernetes.io/enforce"
    assert {n["metadata"]["labels"][level] for n in namespaces} == {"restricted"}
    denials = [
        policy["metadata"]["namespace"]
        for policy in of_kind(overlay, "NetworkPolicy")
        if policy["spec"]["podSelector"] == {}
        and set(policy["spec"]["policyTypes"]) == {"Ingress", "Egress"}
        and not {"ingress", "egress"} & set(policy["spec"])
    ]
    assert sorted(denials) == sorted(n["metadata"]["name"] for n in namespaces)


@pytest.mark.parametrize("overlay", WHOLE)
def test_no_account_brings_a_token_into_its_pods(overlay):
    for account in of_kind(overlay, "ServiceAccount"):
        assert account["automountServiceAccountToken"] is False


@pytest.mark.parametrize("overlay", WHOLE)
def test_every_model_has_a_disruption_budget(overlay):
    budgets = of_kind(overlay, "PodDisruptionBudget")
    label = "serving.kserve.io/inferenceservice"
    canaries = {f"{name}-canary" for name in SERVICES} if overlay == "standard" else set()
    assert {b["spec"]["selector"]["matchLabels"][label] for b in budgets} == SERVICES | canaries


@pytest.mark.parametrize("overlay", WHOLE)
def test_every_policy_is_bound_to_guarded_namespaces_and_spares_the_operator(overlay):
    policies = {p["metadata"]["name"]: p for p in of_kind(overlay, "ValidatingAdmissionPolicy")}
    bindings = of_kind(overlay, "ValidatingAdmissionPolicyBinding")
    assert {binding["spec"]["policyName"] for binding in bindings} == set(policies)
    guarded = {"matchLabels": {"dwcp.io/rollout-guard": "enforce"}}
    assert all(b["spec"]["matchResources"]["namespaceSelector"] == guarded for b in bindings)
    (operator,) = of_kind(overlay, "Deployment")
    account = f"dwcp-system:{operator['spec']['template']['spec']['serviceAccountName']}"
    for policy in policies.values():
        assert policy["spec"]["failurePolicy"] == "Fail"
        for condition in policy["spec"].get("matchConditions", []):
            (user,) = RULE.findall(condition["expression"])
            assert user == f"system:serviceaccount:{account}"


def test_the_bucket_is_set_in_one_place(tmp_path):
    copied = shutil.copytree(MANIFESTS, tmp_path / "manifests")
    settings = copied / "settings" / "settings.yaml"
    settings.write_text(settings.read_text().replace("bucket: dwcp ", "bucket: other "))
    for overlay, of_samples in (("knative", 0), ("local", 1)):
        words = ["kubectl", "kustomize", str(copied / "overlays" / overlay)]
        text = subprocess.run(words, capture_output=True, text=True, check=True).stdout
        assert text.count("s3://other/") == len(SERVICES) + 1 + of_samples
        assert "s3://dwcp/" not in text


def test_a_server_keeps_samples_where_an_overlay_asks_for_it_and_has_options_that_it_knows():
    (plain,) = of_kind("knative", "ServingRuntime")
    assert plain["spec"]["containers"][0]["args"] == ["/mnt/models"]
    (runtime,) = of_kind("local", "ServingRuntime")
    (server,) = runtime["spec"]["containers"]
    (secret,) = server["envFrom"]
    keys = {d["metadata"]["name"]: d["stringData"] for d in of_kind("local", "Secret")}
    assert {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"} < set(keys[secret["secretRef"]["name"]])
    given = serve_command.make_context("serve", list(server["args"])).params
    assert (given["samples"], given["sample_every"]) == ("s3://dwcp/samples", 1)
