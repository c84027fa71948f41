"""Against a real server, read back through its REST API and not through the client that wrote."""

import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest
import small

from dwcp_ml.kubeflow import steps
from dwcp_ml.telemetry.contract import validate

NAME = small.NAME


class Reader:
    """The REST API of a server, for the experiments of one test."""

    def __init__(self, url, prefix):
        self.url, self.environment = (
            url,
            {
                "MLFLOW_TRACKING_URI": url,
                "MLFLOW_EXPERIMENT_NAME": prefix,
            },
        )
        self.prefix = prefix

    def get(self, what, **query):
        answer = httpx.get(f"{self.url}/api/2.0/mlflow/{what}", params=query, timeout=120)
        answer.raise_for_status()
        return answer.json()

    def post(self, path, **body):
        answer = httpx.post(f"{self.url}/api/2.0/mlflow/{path}", json=body, timeout=120)
        answer.raise_for_status()
        return answer.json()

    def experiment(self, *names):
        name = "/".join((self.prefix, *names))
        return self.get("experiments/get-by-name", experiment_name=name)["experiment"]

    def runs(self, *names):
        found = self.experiment(*(names or (NAME,)))["experiment_id"]
        return self.post("runs/search", experiment_ids=[found]).get("runs", [])

    def run(self):
        (only,) = self.runs()
        return only

    def history(self, run, metric):
        query = {"run_id": run["info"]["run_id"], "metric_key": metric}
        return self.get("metrics/get-history", **query)["metrics"]

    def files(self, run, path=""):
        found = self.get("artifacts/list", run_id=run["info"]["run_id"], path=path)
        return {f["path"] for f in found.get("files", [])}

    def file(self, run, path):
        query = {"run_uuid": run["info"]["run_id"], "path": path}
        return httpx.get(f"{self.url}/get-artifact", params=query, timeout=120).content


@pytest.fixture
def store(server, request, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "120")  # a busy machine is no broken server
    return Reader(server, request.node.name)


def pairs(entries):
    return {e["key"]: e["value"] for e in entries}


def report(desk):
    return json.loads((desk / f"reports/{NAME}_report.json").read_text())


def test_a_training_arrives_with_parameters_figures_curves_files_and_lineage(store, dwcp, desk):
    assert f"{NAME}: sent, {store.url}/#/experiments/" in dwcp("track", **store.environment)
    assert pairs(store.experiment(NAME)["tags"])["mlflow.experimentKind"].startswith("custom_model")
    run = store.run()
    metadata = json.loads((desk / f"artifacts/{NAME}/metadata.json").read_text())
    assert run["info"]["status"] == "FINISHED"
    assert pairs(run["data"]["params"])["boosting_iterations"] == "12"
    assert set(pairs(run["data"]["params"])) == set(metadata["params"])

    metrics, judged = pairs(run["data"]["metrics"]), report(desk)
    kinds = {row["kind"] for row in judged["metrics"]}
    assert {"model", "baseline", "ceiling"} <= kinds
    for row in judged["metrics"]:
        by = dict.fromkeys((row["kind"], row["predictor"]))
        key = f"{row['dataset']}/{row['metric']}/{'.'.join(by)}"
        assert metrics.get(key) == (row["value"] if row["dataset"] in ("test", "fresh") else None)

    epochs = json.loads((desk / f"artifacts/{NAME}/history.json").read_text())["epochs"]
    curve = store.history(run, "training/val_loss")
    assert [(p["step"], p["value"]) for p in curve] == [(e["epoch"], e["val_loss"]) for e in epochs]
    assert epochs[0]["epoch"] == 10

    assert store.files(run) == {"model", "report", "report.html"}
    assert store.files(run, "model") == {"model/model.onnx", "model/metadata.json"}
    drawn = {f"report/figures/{f['name']}.csv" for f in judged["figures"]}
    assert store.files(run, "report/figures") == drawn
    tags = pairs(run["data"]["tags"])
    sent = hashlib.sha256(store.file(run, "model/model.onnx")).hexdigest()
    assert sent == tags["onnx_sha256"] == metadata["onnx_sha256"]
    assert b"<svg" in store.file(run, "report.html")
    assert tags["params_sha256"] == metadata["params_sha256"]
    assert "version" not in tags
    assert tags["gates_verdict"] == ("passed" if judged["success"] else "failed")

    inputs = {
        entry["tags"][0]["value"]: json.loads(entry["dataset"]["source"])["sha256"]
        for entry in run["inputs"]["dataset_inputs"]
    }
    files = metadata["data"]["sha256"]
    assert inputs == {"train": files["train.parquet"], "validation": files["validation.parquet"]}


def test_sent_again_it_is_the_same_run(store, dwcp):
    dwcp("track", NAME, **store.environment)
    first = store.run()
    assert f"{NAME}: was there" in dwcp("track", NAME, **store.environment)
    assert store.run() == first


def test_another_evaluation_brings_the_run_up_to_date_and_keeps_its_curves(store, dwcp, desk):
    dwcp("track", **store.environment)
    before = store.run()
    judged = report(desk)
    row = next(r for r in judged["metrics"] if r["dataset"] == "test" and r["kind"] == "model")
    row["value"] /= 2
    (desk / f"reports/{NAME}_report.json").write_text(json.dumps(judged))
    assert f"{NAME}: updated" in dwcp("track", **store.environment)
    after = store.run()
    assert after["info"]["run_id"] == before["info"]["run_id"]
    assert after["info"]["status"] == "FINISHED"
    assert pairs(after["data"]["metrics"])[f"test/{row['metric']}/model"] == row["value"]
    steps = [p["step"] for p in store.history(after, "training/loss")]
    assert len(steps) == len(set(steps))


def test_stages_send_by_themselves_and_the_version_leads_to_the_run(store, dwcp):
    said = dwcp("report", DVC_EXP_NAME="brave-hen", **store.environment)
    assert f"{NAME}: sent" in said
    assert store.run()["info"]["run_name"] == "brave-hen"
    assert f"{NAME}: updated" in dwcp("register", **store.environment)
    run = store.run()
    assert pairs(run["data"]["tags"])["version"] == "v1.0"
    assert store.file(run, "card.md").startswith(b"# ")
    lineage = dwcp("models", "lineage", NAME, **store.environment)
    assert f"MLflow run: {store.url}/#/experiments/" in lineage
    assert run["info"]["run_id"] in lineage
    assert "MLflow" not in dwcp("models", "lineage", NAME)


def test_steps_of_a_pipeline_send_by_themselves(store, finished, desk, tmp_path, monkeypatch):
    for name, value in store.environment.items():
        monkeypatch.setenv(name, value)
    validate(finished / "data/raw", desk / "reports")
    steps.report(
        str(desk / "reports" / "data_quality.json"),
        {NAME: str(desk)},
        *(str(tmp_path / name) for name in ("bundle", "page.html", "summary.md")),
    )
    assert "version" not in pairs(store.run()["data"]["tags"])
    made = steps.register(str(tmp_path / "bundle"), str(tmp_path / "registry"), "md5-of-the-data")
    tags = pairs(store.run()["data"]["tags"])
    assert (tags["version"], tags["model"]) == (made[NAME]["version"], NAME)


def test_what_a_killed_process_left_is_replaced(store, dwcp):
    dwcp("track", **store.environment)
    left = store.run()["info"]["run_id"]
    store.post("runs/update", run_id=left, status="RUNNING")
    assert f"{NAME}: sent" in dwcp("track", **store.environment)
    assert store.run()["info"]["run_id"] != left
    assert store.run()["info"]["status"] == "FINISHED"


def test_half_sent_is_marked_failed_and_replaced(store, dwcp):
    with refusing(store.url, "/artifacts/report/") as url:
        broken = store.environment | {"MLFLOW_TRACKING_URI": url}
        said = dwcp("track", code=35, **broken)
        assert "refused" in said
        assert store.run()["info"]["status"] == "FAILED"
    failed = store.run()["info"]["run_id"]
    dwcp("track", **store.environment)
    assert store.run()["info"]["status"] == "FINISHED"
    assert store.run()["info"]["run_id"] != failed


def test_a_deleted_experiment_is_named(store, dwcp):
    dwcp("track", **store.environment)
    store.post("experiments/delete", experiment_id=store.experiment(NAME)["experiment_id"])
    said = dwcp("track", code=35, **store.environment)
    assert f"experiment '{store.prefix}/{NAME}' was deleted" in said


def test_trials_of_a_study_are_runs_below_it_and_sent_once(store, tmp_path):
    import optuna
    from optuna.trial import TrialState, create_trial

    from dwcp_ml.tracking.after import after_study
    from dwcp_ml.tuning.study import COMPARES, ERROR, VALUES

    study = optuna.create_study(study_name="night", direction="maximize")
    space = {"stop_early_on": "val_loss"}
    study.set_user_attr(COMPARES, {"model": NAME, "metric": "recall", "space": space})

    def add(state, value, **more):
        values = {"units": [64, 32]}
        given = {"user_attrs": {VALUES: values} | more, "intermediate_values": {1: -3.0, 2: -2.5}}
        study.add_trial(create_trial(state=state, value=value, **given))

    add(TrialState.COMPLETE, 0.9)
    add(TrialState.PRUNED, None)
    assert "study sent" in "".join(after_study(study, NAME, store.environment))
    add(TrialState.COMPLETE, 0.95)
    add(TrialState.FAIL, None, **{ERROR: "TrainingError: not finite"})
    for _ in range(2):
        list(after_study(study, NAME, store.environment))

    runs = {r["info"]["run_name"]: r for r in store.runs(NAME, "tuning")}
    assert len(store.runs(NAME, "tuning")) == 5
    assert pairs(runs["night"]["data"]["metrics"])["best/recall"] == 0.95
    states = [pairs(runs[f"trial {i}"]["data"]["tags"])["state"] for i in range(4)]
    assert states == ["COMPLETE", "PRUNED", "COMPLETE", "FAIL"]
    first = runs["trial 0"]
    assert pairs(first["data"]["tags"])["mlflow.parentRunId"] == runs["night"]["info"]["run_id"]
    assert pairs(first["data"]["params"]) == {"units": "[64, 32]"}
    curve = [(p["step"], p["value"]) for p in store.history(first, "training/val_loss")]
    assert curve == [(1, 3.0), (2, 2.5)]


class refusing:  # noqa: N801  reads as a word in a with statement
    """A way to the server on which requests to some path are refused."""

    def __init__(self, url, path):
        class Way(BaseHTTPRequestHandler):
            def forward(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                if self.command == "PUT" and path in self.path:
                    self.answer(403, b"no space for you")
                    return
                kept = {k: v for k, v in self.headers.items() if k.lower() == "content-type"}
                got = httpx.request(self.command, url + self.path, content=body, headers=kept,
                                    timeout=120)  # fmt: skip
                self.answer(got.status_code, got.content)

            do_GET = do_POST = do_PUT = do_PATCH = forward  # noqa: N815

            def answer(self, code, body):
                self.send_response(code)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.way = ThreadingHTTPServer(("127.0.0.1", 0), Way)

    def __enter__(self):
        threading.Thread(target=self.way.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{self.way.server_port}"

    def __exit__(self, *_):
        self.way.shutdown()
        self.way.server_close()
