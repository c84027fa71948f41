"""The operator as a process of this machine, to be killed and doubled."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time

import rollout_cluster as rc


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


class Operator:
    """`dwcp rollout operator` for our namespace; ``kubeconfig`` leads it to another API server."""

    def __init__(self, folder, kubeconfig=None):
        self.log = folder / f"operator-{time.time_ns()}.log"
        words = ["rollout", "operator", "--namespace", rc.NAMESPACE]
        words += ["--lease-namespace", rc.NAMESPACE]
        words += ["--health", f"http://127.0.0.1:{free_port()}/healthz"]
        words += ["--metrics-port", str(free_port())]
        env = {**os.environ, **({"KUBECONFIG": str(kubeconfig)} if kubeconfig else {})}
        with self.log.open("w") as out:
            command = [sys.executable, "-m", "dwcp_ml.cli", *words]
            self.process = subprocess.Popen(command, stdout=out, stderr=out, env=env)

    def active(self):
        """Whether the Lease is ours."""
        lease = rc.get("lease", "dwcp-rollout-operator") or {}
        holder = lease.get("spec", {}).get("holderIdentity") or ""
        return holder.endswith(f"_{self.process.pid}")

    def kill(self):
        """kill -9: it gives nothing back."""
        self.process.kill()
        self.process.wait(30)

    def stop(self):
        """As Kubernetes ends a pod: asked first, so that it gives its Lease back."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.kill()
