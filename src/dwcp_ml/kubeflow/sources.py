"""Telemetry by URI: what it is now, as one digest, and bringing it here.

simulator:                   the simulator's own, from the parameters
/folder, file:///folder      a folder, for example of a mounted volume
s3://BUCKET/PREFIX           a folder on S3
dvc+REMOTE, dvc+s3://...     a DVC remote; the revision is the md5 that dvc.lock gives for data/raw
git+URL                      a DVC project in git; the revision is a tag, branch or commit
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from dwcp_ml.errors import DataSourceError, StorageError
from dwcp_ml.files import sha256, whole_folder
from dwcp_ml.registry.objects import SCHEME, objects, use_secret
from dwcp_ml.telemetry.dataset import MANIFEST

if TYPE_CHECKING:
    from collections.abc import Mapping

SIMULATOR, DVC, GIT, FILE = "simulator:", "dvc+", "git+", "file://"
RAW = "data/raw"  # of a DVC project, if the URI names no other with #path


def content_of(uri: str, revision: str, simulate: Mapping[str, Any]) -> str:
    """A digest that changes when the data behind the URI does.

    Args:
        uri: see above.
        revision: for DVC only.
        simulate: parameters of the simulator.

    Raises:
        DataSourceError: nothing is there, or not that revision of it.
    """
    if uri == SIMULATOR:
        _no_revision(uri, revision)
        return _digest(dict(simulate))
    if uri.startswith(GIT):
        with _dvc(uri, revision):
            return _project_md5(*_project(uri), _wanted(uri, revision))
    if uri.startswith(DVC):
        return f"md5:{_wanted(uri, revision).removesuffix('.dir')}"
    _no_revision(uri, revision)
    if uri.startswith(SCHEME):
        return _digest(_s3_names(uri))
    return f"sha256:{sha256(_folder(uri))}"


def bring(uri: str, revision: str, content: str, simulate: Mapping[str, Any], out: Path) -> None:
    """Write the raw telemetry folder ``out``.

    Args:
        uri: see above.
        revision: for DVC only.
        content: what ``content_of`` said, to notice data that changed in between.
        simulate: parameters of the simulator.
        out: receives the raw folder.

    Raises:
        DataSourceError: nothing is there, or not that revision of it, or it has changed.
    """
    if uri == SIMULATOR:
        _simulate(simulate, out)
        return
    with whole_folder(out) as draft:
        if uri.startswith(GIT):
            _from_project(uri, revision, draft)
        elif uri.startswith(DVC):
            _from_remote(uri, _wanted(uri, revision), draft)
        elif uri.startswith(SCHEME):
            objects(uri).download(_s3_names(uri), draft)
        else:
            shutil.copytree(_folder(uri), draft, dirs_exist_ok=True)
        if not (draft / MANIFEST).is_file():
            raise DataSourceError(f"{uri} holds no telemetry: {MANIFEST} is missing")
        if not uri.startswith((DVC, GIT)) and content_of(uri, revision, simulate) != content:
            raise DataSourceError(f"{uri} was changed while it was read; run again")


def _simulate(section: Mapping[str, Any], out: Path) -> None:
    from dwcp_ml.kubeflow.parameters import read_parameters
    from dwcp_ml.telemetry.simulator import simulate

    simulate(read_parameters(simulate=dict(section)).simulate, out)


def _folder(uri: str) -> Path:
    folder = Path(uri.removeprefix(FILE))
    if not uri or ":" in uri.removeprefix(FILE).partition("/")[0]:
        kinds = f"{SIMULATOR} /folder s3://BUCKET/PREFIX {DVC}REMOTE {GIT}URL"
        raise DataSourceError(f"'{uri}' is no data URI; known are: {kinds}")
    if not (folder / MANIFEST).is_file():
        raise DataSourceError(f"{uri} holds no telemetry: {MANIFEST} is missing")
    return folder


def _s3_names(uri: str) -> dict[str, tuple[str, int]]:
    try:
        names = objects(uri).names()
    except StorageError as error:
        raise DataSourceError(str(error)) from error
    if MANIFEST not in names:
        raise DataSourceError(f"{uri} holds no telemetry: {MANIFEST} is missing")
    return names


def _wanted(uri: str, revision: str) -> str:
    if not revision:
        raise DataSourceError(f"{uri} needs a revision")
    return revision


def _no_revision(uri: str, revision: str) -> None:
    if revision:
        raise DataSourceError(
            f"{uri} has no revisions, '{revision}' was asked for; use {DVC}REMOTE or {GIT}URL"
        )


def _digest(value: Any) -> str:
    return f"sha256:{hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()}"


def _project(uri: str) -> tuple[str, str]:
    """(git URL, path of the data in it)."""
    url, _, path = uri.removeprefix(GIT).partition("#")
    return url.removeprefix(FILE), path or RAW


def _project_md5(url: str, path: str, revision: str) -> str:
    from dvc.api import DVCFileSystem

    use_secret()
    about = DVCFileSystem(url, rev=revision).info(f"/{path}")
    found: str = about["dvc_info"]["md5"]
    return f"md5:{found.removesuffix('.dir')}"


def _from_project(uri: str, revision: str, out: Path) -> None:
    from dvc.api import DVCFileSystem

    url, path = _project(uri)
    with _dvc(uri, revision):
        use_secret()
        DVCFileSystem(url, rev=revision).get(f"/{path}/", f"{out}/", recursive=True)


def _from_remote(uri: str, revision: str, out: Path) -> None:
    """Let DVC pull the folder of that md5 from the remote, digests checked."""
    from dvc.repo import Repo

    use_secret()
    with TemporaryDirectory() as scratch, _dvc(uri, revision):
        root = Path(scratch)
        wanted = {"md5": f"{revision.removesuffix('.dir')}.dir", "hash": "md5", "path": "raw"}
        (root / "raw.dvc").write_text(json.dumps({"outs": [wanted]}))
        remote = uri.removeprefix(DVC).removeprefix(FILE)
        settings = {"core": {"remote": "source"}, "remote": {"source": {"url": remote}}}
        Repo.init(str(root), no_scm=True).close()
        with Repo(str(root), config=settings) as repo:
            repo.pull()
        shutil.copytree(root / "raw", out, dirs_exist_ok=True)


@contextmanager
def _dvc(uri: str, revision: str) -> Iterator[None]:
    """Turn the errors of DVC and of the version control below it into one sentence."""
    from dvc.exceptions import DvcException
    from scmrepo.exceptions import SCMError

    try:
        yield
    except (DvcException, SCMError, KeyError, OSError) as error:
        told = " ".join(str(error).split()) or type(error).__name__
        raise DataSourceError(f"revision '{revision}' of {uri} cannot be had: {told}") from error
