"""The overlay's own runtime and server: what Prometheus calls the revisions of a pair."""

from __future__ import annotations

import json
import os
from pathlib import Path

import httpx
import pytest
import standard_cluster as sc
import yaml
from standard_cluster import rc

from dwcp_ml.rollout.cluster import Cluster, connect
from dwcp_ml.rollout.standard import StandardAdapter

MODELS = Path(os.environ.get("DWCP_MODELS", sc.MANIFESTS.parent / "models"))
ROWS = {"instances": [[99.5, 1.5, 0.0015, 12, 1.2, 50]]}


def serve_image():
    if named := os.environ.get("DWCP_SERVE_IMAGE"):
        return named
    answer = httpx.get("http://localhost:5000/v2/dwcp-serve/tags/list")
    tags = answer.json().get("tags") or []
    if len(tags) != 1:
        pytest.skip(f"dwcp-serve has the tags {tags}; DWCP_SERVE_IMAGE says which image to use")
    return f"localhost:5000/dwcp-serve:{tags[0]}"


def series(prometheus, revision):
    query = f'dwcp_requests_total{{namespace="{sc.NAMESPACE}",revision="{revision}",code="200"}}'
    answer = httpx.get(f"{prometheus}/api/v1/query", params={"query": query})
    return answer.json()["data"]["result"]


def test_the_series_of_a_revision_carry_the_label_that_the_adapter_names(place, fresh):
    folder = MODELS / "node_reliability" / "v1.0"
    if not folder.is_dir():
        pytest.skip(f"there is no registry at {MODELS}; DWCP_MODELS names another")
    text = (sc.MANIFESTS / "overlays/standard/runtime.yaml").read_text()
    runtime = yaml.safe_load(text.replace("dwcp-serve:0.1.0", serve_image()))
    runtime["metadata"]["namespace"] = sc.NAMESPACE
    rc.apply(runtime)
    uri = place.store.put_folder(sc.folder(), "v1.0", folder)
    model = {"storageUri": uri, "runtime": runtime["metadata"]["name"]}
    rc.patch("isvc", fresh, {"spec": {"predictor": {"model": model}}})
    host = {"Host": sc.public(fresh)}
    url = f"{place.gateway}/v1/models/node_reliability:predict"

    def version():
        answer = httpx.post(url, headers=host, json=ROWS)
        return answer.headers if answer.status_code == 200 else None

    named = rc.until(version, 120, "an answer of the real server")["x-model-revision"]
    connect()
    adapter = StandardAdapter(Cluster(sc.NAMESPACE), fresh)

    def settled():
        view = adapter.view()
        return view if view.settled else None

    view = rc.until(settled, 60, "settled")
    assert adapter.hosts().labels == {view.rolled_out: named}
    found = rc.until(lambda: series(place.prometheus, named), 30, f"series of {named}")
    (replica_set,) = {one["metric"]["pod"].rsplit("-", 1)[0] for one in found}
    assert replica_set == named
    print(json.dumps(found[0]["metric"]))
