"""A V2 model server that misbehaves as its model folder says; the image of the rollout's tests.

/mnt/models/behaviour.json: {"value": 1.0, "error_percent": 0, "delay_ms": 0, "nan": false,
"constant": false, "crash": false, "ready": true}. Standard library only; metrics have the names
of `dwcp serve`.
"""

import json
import os
import random
import signal
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

BEHAVIOUR = json.loads(Path("/mnt/models/behaviour.json").read_text())
OWN = os.environ.get("DWCP_REVISION", "")
REVISION = OWN or os.environ.get("K_REVISION", "")
# A Knative revision is a label of the target; `dwcp serve` names any other one itself.
LABELS = 'model="m"' + (f',revision="{OWN}"' if OWN else "")
CODES = ("200", "400", "500")
BOUNDS = tuple(0.0001 * 1.5**i for i in range(24))  # up to a second
SCORES = (0.1, 0.2, 0.5, 0.8, 0.9, 1.0, 1.1, 1.2, 1.5, 2.0, 5.0)
LOCK = threading.Lock()
COUNT = dict.fromkeys(CODES, 0)
TIMES, VALUES = [0] * (len(BOUNDS) + 1), [0] * (len(SCORES) + 1)
REJECTED, SUM = [0], [0.0, 0.0]


def place(bounds, value):
    return next((i for i, bound in enumerate(bounds) if value <= bound), len(bounds))


def histogram(name, bounds, counts, total):
    lines, running = [f"# TYPE {name} histogram"], 0
    for bound, count in zip([*bounds, "+Inf"], counts, strict=True):
        running += count
        lines.append(f'{name}_bucket{{{LABELS},le="{bound}"}} {running}')
    return [*lines, f"{name}_count{{{LABELS}}} {running}", f"{name}_sum{{{LABELS}}} {total}"]


def metrics():
    with LOCK:
        lines = ["# TYPE dwcp_requests_total counter"]
        lines += [f'dwcp_requests_total{{{LABELS},code="{c}"}} {n}' for c, n in COUNT.items()]
        lines += ["# TYPE dwcp_rejected_inputs_total counter"]
        lines += [f'dwcp_rejected_inputs_total{{{LABELS},reason="tensor"}} {REJECTED[0]}']
        lines += histogram("dwcp_request_seconds", BOUNDS, TIMES, SUM[0])
        lines += histogram("dwcp_model_score", SCORES, VALUES, SUM[1])
    return "\n".join(lines) + "\n"


def answer(request):
    rows = request["inputs"][0]["shape"][0]
    draw = BEHAVIOUR.get("value", 1.0)
    spread = 0.0 if BEHAVIOUR.get("constant") else 1.0
    data = request["inputs"][0]["data"]
    values = [draw + spread * (float(data[i]) - 0.5) for i in range(rows)]
    if BEHAVIOUR.get("nan"):
        values = [float("nan")] * rows
    return values


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # or the body waits 40 ms for the acknowledged headers

    def log_message(self, *words):
        pass

    def do_GET(self):
        if self.path == "/metrics":
            return self.send(200, metrics().encode(), "text/plain; version=0.0.4")
        return self.send(200 if BEHAVIOUR.get("ready", True) else 503, b"{}")

    def do_POST(self):
        began = time.perf_counter()
        body = self.rfile.read(int(self.headers["content-length"]))
        time.sleep(BEHAVIOUR.get("delay_ms", 0) / 1000)
        status, values = 200, []
        try:
            values = answer(json.loads(body))
        except (ValueError, KeyError, TypeError, IndexError):
            status = 400
        unlucky = random.random() * 100 < BEHAVIOUR.get("error_percent", 0)  # noqa: S311 a fault, no secret
        if status == 200 and unlucky:
            status = 500
        output = {"name": "y", "shape": [len(values)], "datatype": "FP32", "data": values}
        text = {"model_name": "m", "outputs": [output]} if status == 200 else {"error": "no"}
        with LOCK:
            COUNT[str(status)] += 1
            taken = time.perf_counter() - began
            TIMES[place(BOUNDS, taken)] += 1
            SUM[0] += taken
            REJECTED[0] += status == 400
            for value in values if status == 200 else []:
                VALUES[place(SCORES, value)] += 1
                SUM[1] += value
        self.send(status, json.dumps(text).encode())

    def send(self, status, body, kind="application/json"):
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.send_header("x-model-revision", REVISION)
        self.end_headers()
        self.wfile.write(body)


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


if BEHAVIOUR.get("crash"):
    sys.exit("told to crash")
# The first process of a container ignores what it does not handle, and would last its grace period.
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
Server(("", 8080), Handler).serve_forever()
