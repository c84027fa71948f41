"""The end: what was accepted is answered."""

from __future__ import annotations

import signal
import threading

import grpc
import httpx
import numpy as np
import pytest
from running_server import running, until
from small_registry import LINEAR, LINEAR_ROW, SERIES

from dwcp_ml.serving.kserve_protobuf import SERVICE, pb

ROWS = {"instances": [LINEAR_ROW]}
PREDICT = f"/v1/models/{LINEAR}:predict"


def test_sigterm_under_load_loses_no_accepted_request(registry):
    with running(registry, "--drain-s", "1") as server:
        lost, answered = [], []
        clients = [
            threading.Thread(target=_rest_client, args=(server, answered, lost)) for _ in range(4)
        ]
        clients.append(threading.Thread(target=_grpc_client, args=(server, answered, lost)))
        clients.append(threading.Thread(target=_big_client, args=(server, answered, lost)))
        for client in clients:
            client.start()
        until(lambda: len(answered) > 200)
        assert server.terminate() == 0
        for client in clients:
            client.join(20)
        assert not lost
        assert server.logged("draining")
        assert server.logged("stopped")


def _rest_client(server, answered, lost):
    """Keeps a connection, as real clients do, until no new one is accepted."""
    _posting(server, answered, lost, lambda client: client.post(server.url + PREDICT, json=ROWS))


def _big_client(server, answered, lost):
    rows = {"instances": np.ones((100, 900, 1)).tolist()}
    path = f"/v1/models/{SERIES}:predict"
    _posting(server, answered, lost, lambda client: client.post(server.url + path, json=rows))


def _posting(server, answered, lost, post):
    with httpx.Client(timeout=20) as client:
        while True:
            try:
                answer = post(client)
            except httpx.ConnectError:
                return  # never accepted
            except httpx.TransportError as error:
                lost.append(error)
                return
            (answered if answer.status_code == 200 else lost).append(answer.status_code)


def _grpc_client(server, answered, lost):
    request = pb.ModelInferRequest(model_name=LINEAR)
    request.inputs.add(name="features", datatype="FP32", shape=[1, 3])
    request.raw_input_contents.append(np.array(LINEAR_ROW, np.float32).tobytes())
    content = request.SerializeToString()
    with grpc.insecure_channel(server.grpc, options=[("grpc.enable_retries", 0)]) as channel:
        call = channel.unary_unary(f"/{SERVICE}/ModelInfer")
        while True:
            try:
                call(content, timeout=20)
                answered.append(200)
            except grpc.RpcError as error:
                if error.code() is not grpc.StatusCode.UNAVAILABLE:
                    lost.append(error)
                return


def test_while_draining_readiness_says_no_and_answers_ask_to_close(registry):
    with running(registry, "--drain-s", "2") as server:
        server.process.send_signal(signal.SIGTERM)
        until(lambda: server.logged("draining"))
        assert server.get("/v2/health/ready").status_code == 503
        answer = server.post(PREDICT, json=ROWS)
        assert answer.status_code == 200
        assert answer.headers["connection"] == "close"
        assert server.process.wait(20) == 0


def test_a_second_signal_ends_at_once(registry):
    with running(registry, "--drain-s", "60") as server:
        server.process.send_signal(signal.SIGTERM)
        until(lambda: server.logged("draining"))
        assert server.terminate() == 0


@pytest.mark.parametrize("option", ["--port", "--grpc-port"])
def test_a_taken_port_is_one_sentence(registry, option):
    import subprocess
    import sys

    from running_server import START

    with running(registry) as server:
        taken = {"--port": server.port, "--grpc-port": server.grpc_port}[option]
        ports = {"--port": 0, "--grpc-port": 0} | {option: taken}
        words = [word for pair in ports.items() for word in map(str, pair)]
        ended = subprocess.run(
            [sys.executable, "-c", START, str(registry), *words], capture_output=True, text=True
        )
    assert ended.returncode != 0
    assert "cannot listen on" in ended.stderr.splitlines()[-1]
