"""The daily job: its form, its rights, and its two commands as processes on real files."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import threading
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote

import pytest
import yaml
from kubernetes import client as kube
from prometheus_client.parser import text_string_to_metric_families

sys.path.append(str(Path(__file__).parents[1] / "monitoring"))
from watched_fleet import MODEL, fleet

ROOT = Path(__file__).parents[2]
DRIFT = ROOT / "manifests" / "drift"
pytestmark = pytest.mark.skipif(not shutil.which("kubectl"), reason="kubectl is not there")


@cache
def rendered():
    done = subprocess.run(["kubectl", "kustomize", DRIFT], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return list(yaml.safe_load_all(done.stdout))


def of_kind(kind):
    return [one for one in rendered() if one["kind"] == kind]


def pod(job):
    return job["spec"]["jobTemplate"]["spec"]["template"]["spec"]


def containers(job):
    return [*pod(job)["initContainers"], *pod(job)["containers"]]


def unknown_fields(value, kind, path):
    """Fields that the API's own model of a kind does not have."""
    if kind.startswith("list["):
        for place, item in enumerate(value):
            yield from unknown_fields(item, kind[5:-1], f"{path}[{place}]")
    elif hasattr(kube, kind):
        model = getattr(kube, kind)
        known = {model.attribute_map[a]: t for a, t in model.openapi_types.items()}
        for name, inner in value.items():
            if name in known:
                yield from unknown_fields(inner, known[name], f"{path}.{name}")
            else:
                yield f"{path}.{name}"


def test_the_api_knows_every_field():
    kinds = {"CronJob": "V1CronJob", "ServiceAccount": "V1ServiceAccount",
             "PersistentVolumeClaim": "V1PersistentVolumeClaim", "ConfigMap": "V1ConfigMap",
             "NetworkPolicy": "V1NetworkPolicy"}  # fmt: skip
    for one in rendered():
        assert list(unknown_fields(one, kinds[one["kind"]], one["kind"])) == []
        assert one["metadata"]["namespace"] == "dwcp-models"


def test_the_check_of_fields_sees_a_slip_of_the_pen():
    job = {"spec": {"concurrencyPolice": "Forbid", "jobTemplate": {"spec": {"backofLimit": 1}}}}
    assert list(unknown_fields(job, "V1CronJob", "job")) == [
        "job.spec.concurrencyPolice",
        "job.spec.jobTemplate.spec.backofLimit",
    ]


def test_every_model_has_a_job_at_a_time_of_its_own():
    names = yaml.safe_load((ROOT / "params.yaml").read_text())["models"]
    jobs = of_kind("CronJob")
    assert sorted(job["metadata"]["name"] for job in jobs) == sorted(
        f"drift-{name.replace('_', '-')}" for name in names
    )
    assert len({job["spec"]["schedule"] for job in jobs}) == len(names)
    for job in jobs:
        about = {e["value"] for c in containers(job) for e in c["env"] if e["name"] == "MODEL"}
        assert [job["metadata"]["name"]] == [f"drift-{a.replace('_', '-')}" for a in about]


@pytest.mark.parametrize("job", of_kind("CronJob") if shutil.which("kubectl") else [],
                         ids=lambda job: job["metadata"]["name"])  # fmt: skip
def test_a_job_runs_alone_ends_in_time_and_is_fit_for_pod_security_restricted(job):
    assert job["spec"]["concurrencyPolicy"] == "Forbid"
    assert job["spec"]["startingDeadlineSeconds"] > 10
    assert job["spec"]["jobTemplate"]["spec"]["activeDeadlineSeconds"] <= 3600
    above = pod(job)["securityContext"]
    assert above["runAsNonRoot"]
    assert above["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod(job)["automountServiceAccountToken"] is False
    assert pod(job)["restartPolicy"] == "Never"
    for container in containers(job):
        context = container["securityContext"]
        assert context["readOnlyRootFilesystem"]
        assert context["allowPrivilegeEscalation"] is False
        assert context["capabilities"] == {"drop": ["ALL"]}
        assert {"requests", "limits"} == set(container["resources"])
        mounted = {m["name"] for m in container["volumeMounts"]}
        assert mounted <= {volume["name"] for volume in pod(job)["volumes"]}


def test_every_variable_of_a_command_is_set_and_every_setting_is_used():
    (settings,) = of_kind("ConfigMap")
    outside = {"KF_PIPELINES_ENDPOINT", "AWS_REGION"}  # read from the environment
    used = {
        name
        for job in of_kind("CronJob")
        for container in containers(job)
        for word in container["args"]
        for name in re.findall(r"\$\((\w+)\)", word)
    }
    assert used == {*settings["data"], "MODEL"} - outside


def test_the_claim_and_the_account_of_the_job_are_there_and_the_bucket_is_that_of_the_settings():
    (account,), (claim,) = of_kind("ServiceAccount"), of_kind("PersistentVolumeClaim")
    (settings,) = of_kind("ConfigMap")
    bucket = yaml.safe_load((ROOT / "manifests/settings/settings.yaml").read_text())
    assert settings["data"]["MODELS"] == f"s3://{bucket['data']['bucket']}/models"
    for job in of_kind("CronJob"):
        assert pod(job)["serviceAccountName"] == account["metadata"]["name"]
        volumes = {v["name"]: v for v in pod(job)["volumes"]}
        reports = volumes["reports"]["persistentVolumeClaim"]["claimName"]
        assert reports == claim["metadata"]["name"]
        assert "telemetry" not in volumes


def with_component(folder, name, bucket="dwcp"):
    """What the job becomes with one of its components, and another bucket."""
    copied = shutil.copytree(ROOT / "manifests", folder / "manifests")
    settings = copied / "settings/settings.yaml"
    settings.write_text(settings.read_text().replace("bucket: dwcp ", f"bucket: {bucket} "))
    mine = folder / "mine"
    mine.mkdir()
    (mine / "kustomization.yaml").write_text(
        f"resources: [../manifests/drift]\ncomponents: [../manifests/drift/{name}]\n"
    )
    done = subprocess.run(["kubectl", "kustomize", mine], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = list(yaml.safe_load_all(done.stdout))
    (settings,) = [one["data"] for one in found if one["kind"] == "ConfigMap"]
    return settings, [one for one in found if one["kind"] == "CronJob"]


def test_with_samples_it_reads_what_the_servers_keep_of_its_model(tmp_path):
    settings, jobs = with_component(tmp_path, "samples", bucket="other")
    assert settings["LIVE"] == "s3://other/samples"
    assert settings["REFERENCE"] == "s3://other/telemetry/reference"
    for job in jobs:
        assert "--live=$(LIVE)/$(MODEL)" in containers(job)[0]["args"]
        assert "--live=$(LIVE)" not in containers(job)[0]["args"]


def test_with_a_claim_it_reads_telemetry_of_the_claim_and_cannot_write_it(tmp_path):
    settings, jobs = with_component(tmp_path, "claim")
    for job in jobs:
        (mount,) = [m for m in containers(job)[0]["volumeMounts"] if m["name"] == "telemetry"]
        assert mount["readOnly"]
        for place in (settings["REFERENCE"], settings["LIVE"]):
            assert place.startswith(mount["mountPath"])
        (volume,) = [v for v in pod(job)["volumes"] if v["name"] == "telemetry"]
        assert volume["persistentVolumeClaim"] == {"claimName": "dwcp-telemetry", "readOnly": True}


class Endpoint(BaseHTTPRequestHandler):
    """A push gateway and a Kubeflow endpoint with one schedule, as far as the job asks them."""

    SCHEDULE = "dwcp-train-and-deploy"

    def do_PUT(self):
        self.server.pushed[unquote(self.path)] = self._body()
        self._answer({})

    def do_POST(self):
        made = {**json.loads(self._body()), "run_id": f"run-{len(self.server.runs)}"}
        if self.path.endswith("/runs"):
            self.server.runs.append(
                made | {"state": "RUNNING", "created_at": "2025-01-01T00:00:00Z"}
            )
        self._answer(made | {"experiment_id": "group"})

    def do_GET(self):
        path = self.path.partition("?")[0]
        spec = {"pipelineInfo": {"name": "train"}, "root": {}, "schemaVersion": "2.1.0",
                "sdkVersion": "kfp", "deploymentSpec": {}}  # fmt: skip
        job = {
            "recurring_run_id": "weekly", "display_name": self.SCHEDULE, "pipeline_spec": spec,
            "runtime_config": {"parameters": {"data_uri": "s3://dwcp/raw"}},
            "service_account": "pipeline-runner", "created_at": "2025-01-01T00:00:00Z",
        }  # fmt: skip
        known = {"recurringruns": {"recurringRuns": [job]}, "runs": {"runs": self.server.runs},
                 "experiments": {"experiments": [{"experiment_id": "group",
                                                  "display_name": "dwcp"}]}}  # fmt: skip
        self._answer(known.get(path.rpartition("/")[2], {"experiment_id": "group"}))

    def _body(self):
        return self.rfile.read(int(self.headers["Content-Length"])).decode()

    def _answer(self, body):
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    def log_message(self, *_):
        pass


@pytest.fixture
def endpoint():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Endpoint)
    server.pushed, server.runs = {}, []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def trained():
    return fleet()


def run(container, settings, code=0):
    """A container's command on this machine; what it says."""
    env = {**settings, **{e["name"]: e["value"] for e in container["env"]}}
    words = [
        re.sub(r"\$\((\w+)\)", lambda m: env[m[1]], word)
        for word in [*container["command"], *container["args"]]
    ]
    assert words[0] == "dwcp"
    done = subprocess.run(
        [sys.executable, "-m", "dwcp_ml.cli", *words[1:]],
        env=os.environ | env,
        capture_output=True,
        text=True,
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_the_job_compares_pushes_and_starts_one_training(trained, endpoint, tmp_path):
    (job,) = [j for j in of_kind("CronJob") if MODEL.replace("_", "-") in j["metadata"]["name"]]
    compare, retrain = containers(job)
    url = f"http://127.0.0.1:{endpoint.server_port}"
    (given,) = of_kind("ConfigMap")
    settings = given["data"] | {
        "REFERENCE": str(trained / "splits/train.parquet"),
        "LIVE": str(trained / "splits/test.parquet"),
        "MODELS": str(trained / "artifacts"),
        "REPORTS": str(tmp_path),
        "PUSH_GATEWAY": url,
        "KF_PIPELINES_ENDPOINT": url,
    }
    compare = compare | {"args": [*compare["args"], "--window-h=6"]}  # the fleet has six days

    assert "nothing to do" in run(compare, settings)
    ((path, text),) = endpoint.pushed.items()
    assert path == f"/metrics/job/dwcp-drift/model/{MODEL}"
    families = {f.name: f for f in text_string_to_metric_families(text)}
    assert families["dwcp_drift_retrain"].samples[0].value == 0
    assert "is not met" in run(retrain, settings)
    assert endpoint.runs == []

    report = tmp_path / MODEL / "drift.json"
    report.write_text(json.dumps(json.loads(report.read_text()) | {"retrain": True}))
    assert "run run-0" in run(retrain, settings)
    assert "run run-0 is under way" in run(retrain, settings)
    (made,) = endpoint.runs
    assert made["display_name"].startswith(f"{Endpoint.SCHEDULE} out of turn 20")
    assert made["runtime_config"]["parameters"] == {"data_uri": "s3://dwcp/raw"}
    assert made["pipeline_spec"]["pipelineInfo"]["name"] == "train"
    assert made["service_account"] == "pipeline-runner"

    made["state"] = "SUCCEEDED"
    assert "run run-1" in run(retrain, settings)
    endpoint.runs[-1] |= {"state": "FAILED", "created_at": "2999-01-01T00:00:00Z"}
    assert "began within the last 72 hours" in run(retrain, settings)
    assert len(endpoint.runs) == 2
    assert "has no schedule" in run(retrain, settings | {"SCHEDULE": "dwcp-trian"}, code=22)


def test_what_cannot_be_compared_fails_the_job_and_says_why(trained, tmp_path):
    (job,) = [j for j in of_kind("CronJob") if MODEL.replace("_", "-") in j["metadata"]["name"]]
    (given,) = of_kind("ConfigMap")
    settings = given["data"] | {
        "REFERENCE": str(trained / "splits/train.parquet"),
        "LIVE": str(tmp_path / "absent"),
        "MODELS": str(trained / "artifacts"),
        "REPORTS": str(tmp_path),
        "PUSH_GATEWAY": "http://127.0.0.1:9",
    }
    compare, _ = containers(job)
    assert "absent" in run(compare, settings, code=10)
    assert not (tmp_path / MODEL).exists()
    settings["LIVE"] = str(trained / "splits/test.parquet")
    compare = compare | {"args": [*compare["args"], "--window-h=6"]}
    assert "did not take the metrics" in run(compare, settings, code=19)
    assert (tmp_path / MODEL / "drift.html").is_file()
