"""Dashboards and rules: their form, and what a real Prometheus answers them."""

from __future__ import annotations

import itertools
import json
import re
import shutil
import subprocess
import sys
import threading
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest
import yaml
from operator_story import ENDS
from scraped import FILLED_IN, RULES, free_port, program, prometheus

sys.path.append(str(Path(__file__).parents[1] / "serving"))
sys.path.append(str(Path(__file__).parents[1] / "monitoring"))
from running_server import running, until
from small_registry import REQUESTS, small_registry
from watched_fleet import MODEL, dwcp, fleet

MONITORING = RULES.parent
BOARDS = {file.stem: json.loads(file.read_text()) for file in MONITORING.glob("dashboards/*.json")}
EXPRESSIONS = [
    pytest.param(target["expr"], id=f"{name}: {panel['title']} {target['refId']}")
    for name, board in BOARDS.items()
    for panel in board["panels"]
    for target in panel["targets"]
]
STORY = Path(__file__).with_name("operator_story.py")
kubectl = pytest.mark.skipif(not shutil.which("kubectl"), reason="kubectl is not there")


def test_the_files_are_those_that_make_writes():
    done = subprocess.run([sys.executable, MONITORING / "make.py", "--check"])
    assert done.returncode == 0, "python manifests/monitoring/make.py"


@pytest.mark.parametrize("board", BOARDS.values(), ids=BOARDS)
def test_grafana_can_import_a_dashboard(board):
    assert board["schemaVersion"] >= 36, "older ones name a data source by its title"
    assert re.fullmatch(r"[a-z-]{1,40}", board["uid"])
    assert "id" not in board, "Grafana gives it"
    ids = [panel["id"] for panel in board["panels"]]
    assert len(ids) == len(set(ids))
    variables = {one["name"]: one for one in board["templating"]["list"]}
    assert variables["datasource"]["type"] == "datasource"
    assert variables["datasource"]["query"] == "prometheus"
    sources = [panel["datasource"] for panel in board["panels"]]
    sources += [target["datasource"] for panel in board["panels"] for target in panel["targets"]]
    sources += [one["datasource"] for one in variables.values() if one["type"] == "query"]
    assert all(s == {"type": "prometheus", "uid": "${datasource}"} for s in sources)
    for panel in board["panels"]:
        refs = [target["refId"] for target in panel["targets"]]
        assert len(refs) == len(set(refs)) > 0
        assert panel["title"]
        assert panel["description"]


@pytest.mark.parametrize("board", BOARDS.values(), ids=BOARDS)
def test_panels_lie_on_the_grid_and_not_on_each_other(board):
    taken = set()
    for panel in board["panels"]:
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= 24
        cells = set(
            itertools.product(range(at["x"], at["x"] + at["w"]), range(at["y"], at["y"] + at["h"]))
        )
        assert not cells & taken, panel["title"]
        taken |= cells


@pytest.mark.parametrize("board", BOARDS.values(), ids=BOARDS)
def test_an_expression_uses_only_variables_that_are_there(board):
    known = {f"${one['name']}" for one in board["templating"]["list"]}
    for panel in board["panels"]:
        for target in panel["targets"]:
            used = set(re.findall(r"\$\w+", target["expr"]))
            assert used <= known | {"$__rate_interval", "$__range"}
            assert used <= set(FILLED_IN)


def test_uids_differ():
    assert len({board["uid"] for board in BOARDS.values()}) == len(BOARDS) == 2


@kubectl
def test_kustomize_makes_labelled_config_maps_and_the_rules():
    done = subprocess.run(["kubectl", "kustomize", MONITORING], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    made = list(yaml.safe_load_all(done.stdout))
    assert {one["metadata"]["namespace"] for one in made} == {"monitoring"}
    maps = [one for one in made if one["kind"] == "ConfigMap"]
    assert {one["metadata"]["labels"]["grafana_dashboard"] for one in maps} == {"1"}
    boards = [json.loads(text) for one in maps for text in one["data"].values()]
    assert sorted(b["uid"] for b in boards) == sorted(b["uid"] for b in BOARDS.values())
    (rule,) = [one for one in made if one["kind"] == "PrometheusRule"]
    assert rule["spec"] == yaml.safe_load(RULES.read_text())


@pytest.mark.skipif(not shutil.which("promtool"), reason="needs promtool of Debian's prometheus")
def test_promtool_takes_every_expression_of_the_dashboards(tmp_path):
    rules = []
    for number, expression in enumerate(EXPRESSIONS):
        (text,) = expression.values
        for name, value in FILLED_IN.items():
            text = text.replace(name, value)
        rules.append({"record": f"panel:{number}", "expr": text})
    file = tmp_path / "rules.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
    done = subprocess.run(["promtool", "check", "rules", file], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def watched(tmp_path_factory):
    """The server under requests, the operator after three rollouts, and Prometheus beside them."""
    if program() is None:
        pytest.skip("needs the program prometheus (Debian's package of that name, or PROMETHEUS)")
    folder = tmp_path_factory.mktemp("watched")
    port = free_port()
    story = subprocess.Popen(
        [sys.executable, STORY, str(port)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        with running(small_registry(folder / "models")) as server:
            with (
                drift_metrics(folder / "drift") as drift_port,
                prometheus(folder / "prometheus", server.port, port, drift_port) as asked,
            ):
                until(lambda: asked.up() == 3, 60)
                until(lambda: asked.ask(f"count(model_rollout_percent) == {len(ENDS)}"), 60)
                story.stdin.write("go on\n")
                story.stdin.flush()
                assert story.stdout.readline() == "ended\n"
                for _ in range(5):
                    requests(server)
                seen = "sum(dwcp_requests_total) == 35"
                until(lambda: asked.ask(seen), 60)
                requests(server)
                until(lambda: all(r["health"] == "ok" for r in asked.rules()), 60)
                yield SimpleNamespace(asked=asked, server=server)
    finally:
        story.kill()
        story.wait()


@contextmanager
def drift_metrics(folder):
    """The file of a real look at drift, as a web server would hand it to Prometheus."""
    parts = [fleet() / f"splits/{name}.parquet" for name in ("train", "test")]
    dwcp("drift", "--reference", parts[0], "--live", parts[1], "--window-h", 6,
         "--model", fleet() / "artifacts" / MODEL, "--out", folder)  # fmt: skip
    files = partial(Quiet, directory=str(folder))
    http = ThreadingHTTPServer(("127.0.0.1", 0), files)
    threading.Thread(target=http.serve_forever, daemon=True).start()
    yield http.server_port
    http.shutdown()
    http.server_close()


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


def requests(server):
    """Each model answers, each refuses, and one is asked for that is not there: seven requests."""
    for name, rows in REQUESTS.items():
        path = f"/v1/models/{name}:predict"
        assert server.post(path, json={"instances": rows}).status_code == 200
        assert server.post(path, json={"instances": "none"}).status_code == 400
    assert httpx.post(f"{server.url}/v1/models/absent:predict", json={}).status_code == 404


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_an_expression_returns_data(expression, watched):
    until(lambda: watched.asked.ask(expression), 30)


def test_the_table_names_what_is_served(watched):
    served = BOARDS["models"]["panels"][0]["targets"][0]["expr"]
    found = {one["metric"]["model"]: one["metric"] for one in watched.asked.ask(served)}
    assert set(found) == set(REQUESTS)
    for name, labels in found.items():
        metadata = watched.server.get(f"/v2/models/{name}").json()
        assert labels["version"] in metadata["versions"]
        assert re.fullmatch("[0-9a-f]{64}", labels["digest"].removeprefix("sha256:"))


def test_prometheus_holds_what_the_look_at_drift_said(watched):
    (asks,) = watched.asked.ask(f'dwcp_drift_retrain{{model="{MODEL}"}}')
    assert asks["value"][1] == "0"
    kinds = watched.asked.ask(f'count by (kind) (dwcp_drift_violated{{model="{MODEL}"}})')
    assert {one["metric"]["kind"] for one in kinds} >= {"input", "output", "performance"}


def test_every_rule_is_evaluated_without_an_error(watched):
    rules = watched.asked.rules()
    wrong = {rule["name"]: rule.get("lastError") for rule in rules if rule["health"] != "ok"}
    assert wrong == {}
    groups = yaml.safe_load(RULES.read_text())["groups"]
    assert len(rules) == sum(len(group["rules"]) for group in groups)


def test_the_alerts_are_about_the_rollouts_that_went_wrong(watched):
    def about(alert):
        (rule,) = [rule for rule in watched.asked.rules() if rule["name"] == alert]
        return {one["labels"].get("rollout") for one in rule["alerts"] if one["state"] == "firing"}

    assert until(lambda: about("RolloutHalted")) == {"series"}
    assert until(lambda: about("RolloutRolledBack")) == {"recurrent"}
    assert about("RolloutOperatorDown") == about("ModelGone") == set()
