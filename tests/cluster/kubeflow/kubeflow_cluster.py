"""kubectl on the cluster that KUBECONFIG names."""

import subprocess


def kubectl(*arguments: str) -> str:
    done = subprocess.run(["kubectl", *arguments], capture_output=True, text=True)
    return done.stdout.strip() if done.returncode == 0 else ""
