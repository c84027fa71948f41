"""Endpoints that are down, old, closed, or no endpoint at all: real servers, one sentence each."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from tiny import dwcp

from dwcp_ml import errors
from dwcp_ml.kubeflow.client import six_fields
from dwcp_ml.kubeflow.endpoint import connect, read_token

HEALTHZ = "/apis/v2beta1/healthz"


@pytest.fixture
def server():
    """Serve answers by path: (status, content type, body); yields (URL, answers, requests)."""
    answers, requests = {}, []

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self):
            requests.append((self.path, self.headers.get("Authorization")))
            status, kind, body = answers.get(
                self.path.partition("?")[0], (404, "application/json", '{"message": "Not Found"}')
            )
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.end_headers()
            self.wfile.write(body.encode())

        do_POST = do_GET  # noqa: N815 (the name is the library's)

        def log_message(self, *_):
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    threading.Thread(target=http.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{http.server_port}", answers, requests
    http.shutdown()
    http.server_close()


def json_answer(status, body="{}"):
    return (status, "application/json", body)


def test_token_is_sent(server, tmp_path):
    url, answers, requests = server
    answers[HEALTHZ] = json_answer(200)
    (tmp_path / "token").write_text("abc\n")
    connect(url, read_token(None, tmp_path / "token"))
    assert (HEALTHZ, "Bearer abc") in requests


@pytest.mark.parametrize(
    ("answer", "error", "says"),
    [
        (json_answer(401), errors.EndpointRefusedError, "wants credentials"),
        (json_answer(403), errors.EndpointRefusedError, "does not allow"),
        (json_answer(404), errors.EndpointTooOldError, "no version 2"),
        (json_answer(500, '{"message": "broken"}'), errors.EndpointError, "HTTP 500: broken"),
        ((200, "text/html", "<html>log in</html>"), errors.EndpointRefusedError, "login"),
    ],
)
def test_refusal_at_the_door_has_its_own_code(server, answer, error, says):
    url, answers, _ = server
    answers[HEALTHZ] = answer
    output = dwcp("pipeline", "status", "--endpoint", url, code=error.exit_code)
    last = output.strip().splitlines()[-1]
    assert last.startswith("error: ")
    assert says in last


def test_endpoint_that_is_down_is_told_at_once():
    code = errors.EndpointError.exit_code
    output = dwcp("pipeline", "submit", "--endpoint", "http://127.0.0.1:9", code=code)
    assert "http://127.0.0.1:9 cannot be reached" in output
    assert "Traceback" not in output


def test_field_that_the_endpoint_does_not_know_means_that_it_is_too_old(server):
    url, answers, _ = server
    answers[HEALTHZ] = json_answer(200)
    answers["/apis/v2beta1/experiments"] = json_answer(
        200, '{"experiment_id": "e", "experiments": []}'
    )
    answers["/apis/v2beta1/runs"] = json_answer(
        500, '{"message": "(line 1): unknown field \\"optional\\""}'
    )
    code = errors.EndpointTooOldError.exit_code
    output = dwcp("pipeline", "submit", "--endpoint", url, code=code)
    assert 'unknown field "optional"' in output


def test_neither_endpoint_nor_cluster(monkeypatch, tmp_path):
    output = dwcp(
        "pipeline", "status", code=errors.EndpointError.exit_code,
        KUBECONFIG=str(tmp_path / "none"), HOME=str(tmp_path),
    )  # fmt: skip
    assert "give --endpoint" in output


def test_token_file_that_is_not_there(tmp_path):
    with pytest.raises(errors.UnreadableFileError, match="token"):
        read_token(None, tmp_path / "none")


@pytest.mark.parametrize(
    ("cron", "fields"), [("0 2 * * 0", "0 0 2 * * 0"), ("30 0 2 * * 0", "30 0 2 * * 0")]
)
def test_usual_cron_gets_kubeflows_seconds(cron, fields):
    assert six_fields(cron) == fields


@pytest.mark.parametrize("cron", ["", "weekly", "* * *"])
def test_cron_of_another_length_is_refused(cron):
    with pytest.raises(errors.CompileError, match="0 2"):
        six_fields(cron)
