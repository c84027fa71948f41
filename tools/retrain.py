#!/usr/bin/env python3
"""What the weekly training does around `make run`; each command is a target of the Makefile.

tools/retrain.py changed                      are data, parameters or code other than in dvc.lock?
tools/retrain.py pull                         data from DVC_REMOTE, champions from REGISTRY_URI
tools/retrain.py proposal build/proposal      text of the pull request, and the model cards
tools/retrain.py register build/retrained     versions at REGISTRY_URI
tools/retrain.py rollout dwcp-models          a rollout of each
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

from dwcp_ml.errors import DwcpError, RegistryError
from dwcp_ml.files import write_json
from dwcp_ml.retraining import pending

MODELS = Path("models")
REGISTERED = Path("build/registered.json")


def dvc(*words: str) -> str:
    """What DVC printed; its complaints go to the terminal."""
    return subprocess.run(["dvc", *words], check=True, stdout=subprocess.PIPE, text=True).stdout


def names() -> tuple[str, ...]:
    """Models of params.yaml."""
    from dwcp_ml.models import read_params

    return tuple(read_params(Path("params.yaml")).models)


def changed(force: bool) -> bool:
    """Whether a training would do anything, told by the digests in dvc.lock; no data is needed."""
    found = pending(Path())
    print("\n".join(found) or "unchanged", "but forced" if force and not found else "")
    return force or bool(found)


def pull() -> None:
    """Bring data and champions; what is not configured is left as it is."""
    if remote := os.environ.get("DVC_REMOTE"):
        dvc("remote", "add", "--local", "--force", "--default", "store", remote)
        dvc("pull", "data/raw")
    if uri := os.environ.get("REGISTRY_URI"):
        from dwcp_ml.registry.remote import bring_version, champions

        for name, version in champions(uri, names()).items():
            brought = bring_version(uri, name, version, MODELS)
            print(f"champion {point_at(brought)}")


def point_at(brought: Path) -> Path:
    """Make `latest` beside a version name it; the registry on S3 has no links."""
    from dwcp_ml.registry.store import Version, move_latest

    version = Version.parse(brought.name)
    if version is None:
        raise RegistryError(f"{brought} is not named like a version")
    move_latest(brought.parent, version)
    return brought


def proposal(out: Path) -> None:
    """Write the verdict and the metrics beside those of HEAD, and each model's card."""
    report = Path("reports/master_training_report.md").read_text()
    difference = dvc("metrics", "diff", "--md", "HEAD").strip()
    if len(difference.splitlines()) <= 2:  # no more than a head
        difference = "No metric changed."
    (out / "cards").mkdir(parents=True, exist_ok=True)
    for name in names():
        card = (MODELS / name / "latest" / "card.md").read_text()
        (out / "cards" / f"{name}.md").write_text(card)
    head, rest = report.split("\n", 1)
    text = (
        f"{head}\n\nThe cards are in the files below.\n\n## Metrics, HEAD and now\n\n{difference}\n"
    )
    # GitHub takes 65,536 characters.
    (out / "proposal.md").write_text(f"{text}\n{rest}"[:65_000])


def register(folder: Path) -> None:
    """Give every model an immutable version at REGISTRY_URI, if every gate passed."""
    from dwcp_ml import session
    from dwcp_ml.evaluation.artifact import read_artifact
    from dwcp_ml.registry.remote import register_at, version_uri

    uri = os.environ["REGISTRY_URI"]
    made = register_at(
        uri,
        folder / "reports",
        folder / "artifacts",
        names(),
        created=session.now(),
        git_commit=session.git_commit(),
    )
    for entry in made:
        print(entry)
    REGISTERED.parent.mkdir(exist_ok=True)
    write_json(
        REGISTERED,
        {
            e.name: {
                "uri": version_uri(uri, e),
                "lineage": {"onnx": read_artifact(folder / "artifacts" / e.name).digest},
            }
            for e in made
        },
    )


def rollout(namespace: str) -> None:
    """Ask for a rollout of every registered version; the operator carries them out."""
    from dwcp_ml.kubeflow.deploy import roll_out

    for line in roll_out(json.loads(REGISTERED.read_text()), namespace, ""):
        print(line)


def main() -> None:
    """Do one of them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("changed").add_argument("--force", action="store_true")
    commands.add_parser("pull")
    commands.add_parser("proposal").add_argument("out", type=Path)
    commands.add_parser("register").add_argument("folder", type=Path)
    commands.add_parser("rollout").add_argument("namespace")
    given = vars(parser.parse_args())
    command = given.pop("command")
    try:
        if command == "changed":
            answer = f"changed={str(changed(**given)).lower()}\n"
            if output := os.environ.get("GITHUB_OUTPUT"):
                with Path(output).open("a") as file:
                    file.write(answer)
        else:
            globals()[command](**given)
    except DwcpError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except subprocess.CalledProcessError as error:
        sys.exit(f"error: '{' '.join(error.cmd[:2])}' failed; its message is above")


if __name__ == "__main__":
    main()
