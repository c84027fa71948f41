"""Train again, but only when there is a reason and something that could come out differently."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from dwcp_ml.errors import RetrainingError, StorageError, UnreadableFileError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Cause = Literal["drift", "schedule", "force"]
LOCK = Path(".dvc/tmp/dwcp-retrain.lock")
UP_TO_DATE = "Data and pipelines are up to date."


def changes(status: Mapping[str, Any], made: set[str]) -> list[str]:
    """What differs from the last run, one line for each: data, parameters or code.

    A file that a stage makes and that merely is not here says nothing: in a fresh checkout all of
    them are missing.

    Args:
        status: of ``dvc status --json``.
        made: paths that stages write.
    """
    found: dict[str, None] = {}
    for entries in status.values():
        for entry in entries:
            if not isinstance(entry, dict):
                continue  # "always changed", "frozen"
            for path, state in entry.get("changed deps", {}).items():
                if isinstance(state, dict):
                    found |= dict.fromkeys(
                        f"parameter {name}: {how}" for name, how in state.items()
                    )
                elif path not in made:
                    found[f"{path}: {state}"] = None
            for path, state in entry.get("changed outs", {}).items():
                if state == "modified" and path.startswith("data/"):
                    found[f"{path}: {state}"] = None
    return list(found)


def pending(root: Path) -> list[str]:
    """What differs from dvc.lock, a line each; a checkout without one was never trained."""
    import yaml

    if not (root / "dvc.yaml").is_file():
        raise UnreadableFileError(f"{root}: no dvc.yaml; run this in a checkout of the project")
    lock = root / "dvc.lock"
    if not lock.is_file():
        return ["dvc.lock: nothing was trained yet"]
    # Sees data that was versioned elsewhere too; the status below can only name what is here.
    dry = _dvc(root, "repro", "--dry", "--allow-missing")
    if dry.returncode == 0 and UP_TO_DATE in dry.stdout:
        return []
    stages = yaml.safe_load(lock.read_text(encoding="utf-8")).get("stages", {})
    made = {out["path"] for stage in stages.values() for out in stage.get("outs", ())}
    answer = _dvc(root, "status", "--json")
    if answer.returncode:  # whatever is broken must fail in the training, not here, unseen
        return [f"dvc cannot read the project: {_last(answer.stderr)}"]
    return changes(json.loads(answer.stdout or "{}"), made) or ["dvc.lock: data that is not here"]


def due(cause: Cause, drift: Path) -> tuple[bool, str]:
    """Whether the cause holds, and the sentence why.

    Raises:
        UnreadableFileError: there is no drift report to go by.
    """
    if cause != "drift":
        return True, f"asked for by {cause}"
    try:
        report = json.loads(drift.read_text(encoding="utf-8"))
        wanted, rule = bool(report["retrain"]), report["rule"]
    except (OSError, ValueError, KeyError, TypeError):
        raise UnreadableFileError(f"{drift}: no drift report; run 'dwcp drift' first") from None
    words = "met" if wanted else "not met"
    return wanted, f"the drift rule ({rule['k']} of {rule['n']} windows) is {words} in {drift}"


def retrain(root: Path, cause: Cause, drift: Path, *, dry_run: bool) -> tuple[bool, list[str]]:
    """Run ``dvc repro`` if it is due and something changed; one run at a time.

    Args:
        root: a checkout.
        cause: "force" trains again even if nothing changed.
        drift: report that "drift" goes by.
        dry_run: say what would be done.

    Returns:
        Whether it ran (or would), and the sentences why.

    Raises:
        StorageError: another retraining is under way.
        RetrainingError: a stage failed; its own sentence was printed.
    """
    wanted, why = due(cause, drift)
    if not wanted:
        return False, [why]
    with _alone(root):
        changed = pending(root)
        if not changed and cause != "force":
            return False, [why, "data, parameters and code are those of the last run"]
        if not dry_run:
            _run(root, force=cause == "force" and not changed)
        return True, [why, *changed]


def _run(root: Path, *, force: bool) -> None:
    command = ["repro", *(["--force"] if force else [])]
    code = subprocess.run(  # what stages print is for the reader of this command
        [sys.executable, "-m", "dvc", *command], cwd=root, check=False
    ).returncode
    if code:
        raise RetrainingError(f"dvc {' '.join(command)} failed with exit code {code}")


@contextmanager
def _alone(root: Path) -> Iterator[None]:
    path = root / LOCK
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise StorageError(
                f"another retraining (process {lock.read().strip()}) is under way in {root}; wait "
                "until it has ended"
            ) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


def _dvc(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "dvc", *arguments],
        cwd=root, capture_output=True, text=True, check=False,
    )  # fmt: skip


def _last(text: str) -> str:
    return (text.strip().splitlines() or ["it said nothing"])[-1]
