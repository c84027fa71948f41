"""The default denial denies, and what is needed passes."""

from __future__ import annotations

import pytest
from live_cluster import NAMESPACE, SERVICES, Probe, address, get, kubectl, until

pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("deployed")]


@pytest.fixture(scope="module", params=["default", "monitoring", NAMESPACE])
def probe(request, deployed):
    made = Probe(request.param)
    yield made
    made.remove()


@pytest.fixture(scope="module")
def model(deployed):
    chosen = f"serving.kserve.io/inferenceservice={SERVICES[0]}"
    return get("-n", NAMESPACE, "pods", "-l", chosen)["items"][0]["status"]["podIP"]


def test_only_prometheus_reaches_a_server_and_nobody_its_proxy(probe, model):
    server, proxy = f"http://{model}:8080", f"http://{model}:8012"
    if probe.namespace == "monitoring":
        assert until(lambda: probe.reaches(server), 10)
    else:
        assert not probe.reaches(server)
    assert not probe.reaches(proxy)


def test_a_pod_that_is_no_model_reaches_neither_the_store_nor_prometheus(probe):
    targets = [address("s3", "s3", 7070), address("monitoring", "prometheus", 9090)]
    passes = probe.namespace == "default"  # no policy holds there: the test can tell the two apart
    for target in targets:
        if probe.namespace != "monitoring":
            assert probe.reaches(target) == passes


def test_a_model_reaches_the_store_and_nothing_else():
    def connects(url):
        host, port = url.removeprefix("http://").split(":")
        script = f"import socket; socket.create_connection(('{host}', {port}), timeout=3)"
        pod = f"deployment/{SERVICES[0]}-predictor-00001-deployment"
        words = ["exec", pod, "-c", "kserve-container", "--", "/app/.venv/bin/python", "-c", script]
        return kubectl("-n", NAMESPACE, *words, check=False).returncode == 0

    assert connects(address("s3", "s3", 7070))
    assert not connects(address("monitoring", "prometheus", 9090))
    assert not connects(address("kourier-system", "kourier", 80))
