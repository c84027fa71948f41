"""Data, a Kubeflow run, the registry, a rollout, live models: three versions, one of them bad."""

from __future__ import annotations

import json

import httpx
import numpy as np
import onnx
import pytest
import rollout_load
import yaml
from live_cluster import MANIFESTS, NAMESPACE, address, get, kubectl, until
from live_way import BUCKET, dwcp
from onnx import TensorProto, helper
from tiny import MODELS, tiny

from dwcp_ml.files import sha256

NAMES = {model.replace("_", "-"): model for model in MODELS}
ENDS = ("Succeeded", "RolledBack", "Halted")
pytestmark = pytest.mark.usefixtures("pipeline")


def status(service):
    body = json.loads(kubectl("-n", NAMESPACE, "get", "mr", service, "-o", "json").stdout)
    found = body.get("status") or {}
    same = found.get("observedGeneration") == body["metadata"]["generation"]
    return found if same else {}


def ended(service, seconds=600):
    def over():
        found = status(service)
        return found if found.get("phase") in ENDS else None

    return until(over, seconds)


def requests(service):
    shipped = MANIFESTS / "base" / "rollout-policy" / f"{service}.yaml"
    return yaml.safe_load(shipped.read_text())["prober"]["requests"]


class Load(rollout_load.Load):
    """50 requests a second to a service of `local`."""

    def __init__(self, service):
        super().__init__(address("kourier-system", "kourier", 80), service, 50)
        self.url = self.url.replace(f"/{service}/", f"/{NAMES[service]}/")
        self.headers = {"Host": f"{service}-predictor.{NAMESPACE}.example.com"}
        self.bodies = requests(service)

    def request(self, draw):
        """One of the policy's requests, its values moved by some percent, but for codes."""
        (given,) = draw.choice(self.bodies)["inputs"]
        moved = [v if v == int(v) else v * draw.lognormvariate(0, 0.1) for v in given["data"]]
        return {"inputs": [{**given, "data": moved}]}


def live_version(service):
    answer = httpx.post(
        address("kourier-system", "kourier", 80) + f"/v2/models/{NAMES[service]}/infer",
        headers={"Host": f"{service}-predictor.{NAMESPACE}.example.com"},
        json=requests(service)[0],
        timeout=10,
    )
    assert answer.status_code == 200, answer.text
    return answer.headers["x-model-version"], answer.headers["x-model-revision"]


def trained_longer():
    """Arguments for versions that are at least as good as the first: a champion may not lose."""
    more = {"compression_selector": {"epochs": 12}, "node_reliability": {"boosting_iterations": 60}}
    params = tiny()
    for model, change in more.items():
        yield from ("--set", f"{model}={json.dumps(params[model] | change)}")


def test_1_first_versions_go_from_data_to_live(pipeline):
    assert "SUCCEEDED" in pipeline()
    for service in NAMES:
        assert ended(service)["phase"] == "Succeeded", status(service)
        assert live_version(service)[0] == "v1.0"


def test_2_second_versions_replace_them_under_load_without_a_failed_request(pipeline):
    loads = {service: Load(service) for service in NAMES}
    for load in loads.values():
        load.__enter__()
    try:
        assert "SUCCEEDED" in pipeline(*trained_longer())
        for service in NAMES:
            assert ended(service)["phase"] == "Succeeded", status(service)
    finally:
        for load in loads.values():
            load.__exit__()
    for service, load in loads.items():
        assert live_version(service)[0] == "v1.1"
        assert load.failed() == []
        assert len(load.by_revision()) == 2
        print(service, len(load.answers), "requests,", dict(load.by_revision()))


def test_3_a_bad_third_version_rolls_itself_back(pipeline, store, tmp_path):
    """It loads, answers its own golden requests and is fast: only its scores are upside down."""
    service, model = "node-reliability", "node_reliability"
    upside_down(store, model, tmp_path)
    with Load(service) as load:
        dwcp("rollout", "start", service, "--to", "v1.2", "-n", NAMESPACE)
        found = ended(service)
    assert found["phase"] == "RolledBack", found
    assert "scores" in found["why"], found["why"]
    assert live_version(service)[0] == "v1.1"
    assert load.failed() == []
    met, total = load.share(f"{service}-predictor-00003")
    assert met <= 0.05 * total  # the first step's share
    print(f"{met} of {total} requests met the bad version")


def test_4_lineage_walks_from_the_live_pod_to_the_data(pipeline, store, tmp_path):
    for service, model in NAMES.items():
        version, revision = live_version(service)
        (pod,) = [
            p
            for p in get("-n", NAMESPACE, "pods", "-l", f"serving.knative.dev/revision={revision}")[
                "items"
            ]
            if p["status"]["phase"] == "Running" and "deletionTimestamp" not in p["metadata"]
        ]
        (loader,) = pod["spec"]["initContainers"]
        assert any(f"/{model}/{version}/" in word for word in loader["args"])
        rollout = get("-n", NAMESPACE, "mr", service)
        for file in ("model.onnx", "metadata.json", "card.md"):
            there = store.get_object(Bucket=BUCKET, Key=f"models/{model}/{version}/{file}")
            target = tmp_path / model / version / file
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(there["Body"].read())
        metadata = json.loads((tmp_path / model / version / "metadata.json").read_text())
        assert metadata["onnx_sha256"] == sha256(tmp_path / model / version / "model.onnx")
        lines = dwcp("models", "lineage", model, version, "--registry", tmp_path)
        asked = rollout["spec"]["target"]
        if asked["version"] == version:
            assert asked["lineage"]["onnx"] == metadata["onnx_sha256"]
            assert asked["lineage"]["data"] in lines
        assert metadata["onnx_sha256"] in lines


def upside_down(store, model, folder):
    """Register v1.2: v1.1 with 1 - score for a score, and everything about it consistent."""
    from dwcp_ml.export.session import open_session

    key = f"models/{model}/v1.1"
    read = {
        file: store.get_object(Bucket=BUCKET, Key=f"{key}/{file}")["Body"].read()
        for file in ("model.onnx", "metadata.json", "card.md")
    }
    graph = onnx.load_model_from_string(read["model.onnx"])
    for node in graph.graph.node:
        for names in (node.input, node.output):
            for i, name in enumerate(names):
                if name == "anomaly_score":
                    names[i] = "right_score"
    graph.graph.initializer.append(helper.make_tensor("one", TensorProto.FLOAT, [], [1.0]))
    graph.graph.node.append(helper.make_node("Sub", ["one", "right_score"], ["anomaly_score"]))
    path = folder / "model.onnx"
    path.write_bytes(graph.SerializeToString())
    metadata = json.loads(read["metadata.json"])
    metadata |= {"version": "v1.2", "onnx_sha256": sha256(path), "onnx_bytes": path.stat().st_size}
    session = open_session(path)
    outputs = [output.name for output in session.get_outputs()]
    for pair in metadata["golden"]:
        given = {k: np.asarray(v, np.float32) for k, v in pair["request"].items()}
        answers = session.run(outputs, given)
        pair["response"] = {k: v.tolist() for k, v in zip(outputs, answers, strict=True)}
    made = {"model.onnx": path.read_bytes(), "metadata.json": json.dumps(metadata).encode()}
    for file, content in {**read, **made}.items():
        store.put_object(Bucket=BUCKET, Key=f"models/{model}/v1.2/{file}", Body=content)
