"""The workflows' scripts with real git, kubectl, curl and jq; GitHub alone is stood in for."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import threading
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlparse

import pytest
import yaml

ROOT = Path(__file__).parents[2]
SCRIPTS = ROOT / ".github" / "scripts"
pytestmark = pytest.mark.skipif(not shutil.which("jq"), reason="jq is not there")


class GitHub:
    """What the scripts see, and what they left."""

    def __init__(self, folder: Path) -> None:
        self.state = folder / "github.json"
        self.write(issue=[], pr=[], run=[])
        programs = folder / "bin"
        programs.mkdir()
        (programs / "gh").symlink_to(Path(__file__).with_name("github_cli.py"))
        self.environment = os.environ | {
            "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
            "GH_STATE": str(self.state),
        }

    def write(self, **state):
        self.state.write_text(json.dumps(state))

    def read(self, kind):
        return json.loads(self.state.read_text())[kind]

    def run(self, script, *words, folder=ROOT, code=0, **environment):
        done = subprocess.run(
            [SCRIPTS / script, *map(str, words)],
            cwd=folder,
            env=self.environment | environment,
            capture_output=True,
            text=True,
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr


@pytest.fixture
def github(tmp_path):
    return GitHub(tmp_path)


def git(folder, *words):
    who = ["-c", "user.name=test", "-c", "user.email=t@example.org"]
    done = subprocess.run(["git", *who, *words], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture
def checkout(tmp_path):
    """A clone of a bare repository, and the bare one."""
    bare, clone = tmp_path / "bare", tmp_path / "clone"
    git(tmp_path, "init", "-q", "--bare", "-b", "main", str(bare))
    git(tmp_path, "clone", "-q", str(bare), str(clone))
    (clone / "pyproject.toml").write_text('[project]\nversion = "1.2.3"\n')
    (clone / "dvc.lock").write_text("old\n")
    (clone / ".gitignore").write_text("/reports/*\n!/reports/metrics/\n")
    git(clone, "add", "--all")
    git(clone, "commit", "-qm", "first")
    git(clone, "push", "-q", "origin", "main")
    return clone, bare


def test_a_second_failure_is_told_in_the_open_issue(github):
    github.run("alert.sh", "The weekly training failed", "run 1")
    github.run("alert.sh", "The weekly training failed", "run 2")
    github.run("alert.sh", "The weekly training did not run", "never")
    first, second = github.read("issue")
    assert first["texts"] == ["run 1", "run 2"]
    assert second["title"] == "The weekly training did not run"


@pytest.mark.parametrize(
    ("days", "issues"), [(0, 0), (7, 0), (9, 1), (None, 1)], ids=lambda v: str(v)
)
def test_a_run_that_is_missed_makes_an_issue(github, days, issues):
    now = datetime.now(UTC)
    runs = [] if days is None else [{"createdAt": f"{now - timedelta(days=days):%FT%TZ}"}]
    github.write(issue=[], run=runs)
    github.run("missed.sh", "retrain.yml", 8)
    assert len(github.read("issue")) == issues


@pytest.fixture
def retrained(tmp_path):
    folder = tmp_path / "retrained"
    for file, text in {
        "dvc.lock": "new\n",
        "reports/metrics/node_reliability.json": "{}",
        "build/proposal/cards/node_reliability.md": "# node_reliability v1.1\n",
        "build/proposal/proposal.md": "# APPROVED\n",
    }.items():
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_text(text)
    return folder


def test_a_pull_request_has_lock_metrics_and_cards_and_is_brought_up_to_date(
    github, checkout, retrained
):
    clone, bare = checkout
    github.run("propose.sh", retrained, "main", folder=clone)
    git(clone, "switch", "-q", "main")
    (retrained / "dvc.lock").write_text("newer\n")
    github.run("propose.sh", retrained, "main", folder=clone)
    (request,) = github.read("pr")
    assert len(request["texts"]) == 2
    changed = git(bare, "diff", "--name-only", "main", "retrain/main").splitlines()
    assert changed == [
        "dvc.lock",
        "reports/cards/node_reliability.md",
        "reports/metrics/node_reliability.json",
    ]
    assert git(bare, "show", "retrain/main:dvc.lock") == "newer"
    assert git(bare, "rev-list", "--count", "main..retrain/main") == "1"


def test_the_go_module_gets_its_tag_on_the_same_commit_once(github, checkout):
    clone, bare = checkout
    head = git(clone, "rev-parse", "HEAD")
    github.run("tag-go-module.sh", "v1.2.3", folder=clone)
    assert git(bare, "rev-parse", "clients/go/v1.2.3") == head
    assert "is there" in github.run("tag-go-module.sh", "v1.2.3", folder=clone)
    git(clone, "commit", "-q", "--allow-empty", "-m", "second")
    assert "never moves" in github.run("tag-go-module.sh", "v1.2.3", folder=clone, code=1)
    assert git(bare, "rev-parse", "clients/go/v1.2.3") == head


@pytest.mark.parametrize("version", ["v1.2.4", "1.2.3", "v1.2.3; true", "latest"])
def test_a_tag_that_is_not_the_projects_version_is_refused(github, checkout, version):
    clone, bare = checkout
    github.run("tag-go-module.sh", version, folder=clone, code=2)
    assert git(bare, "tag") == ""


class Issuer(BaseHTTPRequestHandler):
    """Answers as the runner's token service does."""

    def do_GET(self):
        asked = parse_qs(urlparse(self.path).query)
        known = self.headers["authorization"] == "bearer request-token"
        self.send_response(200 if known else 403)
        self.end_headers()
        if known:
            audience = asked["audience"][0]
            self.wfile.write(json.dumps({"value": f"token-for-{audience}"}).encode())

    def log_message(self, *words):
        pass


@pytest.fixture
def issuer():
    server = HTTPServer(("127.0.0.1", 0), Issuer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/token?api-version=2.0"
    server.shutdown()


@pytest.mark.skipif(not shutil.which("kubectl"), reason="kubectl is not there")
def test_the_workflows_identity_becomes_a_kubeconfig_that_nobody_else_can_read(
    github, issuer, tmp_path
):
    file = tmp_path / "build" / "kubeconfig"
    given = {
        "CLUSTER_SERVER": "https://k8s.example.org",
        "CLUSTER_AUDIENCE": "k8s & more",
        "ACTIONS_ID_TOKEN_REQUEST_URL": issuer,
    }
    wrong, right = ({"ACTIONS_ID_TOKEN_REQUEST_TOKEN": t} for t in ("wrong", "request-token"))
    assert "403" in github.run("kubeconfig.sh", file, code=22, **given, **wrong)
    said = github.run("kubeconfig.sh", file, **given, **right)
    assert said.count("token-for") == 1
    assert "::add-mask::token-for" in said
    made = yaml.safe_load(file.read_text())
    assert made["users"][0]["user"] == {"token": "token-for-k8s & more"}
    assert made["clusters"][0]["cluster"]["server"] == "https://k8s.example.org"
    assert made["current-context"] == "deploy"
    assert file.stat().st_mode & 0o077 == 0
