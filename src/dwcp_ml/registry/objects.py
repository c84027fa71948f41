"""Objects on S3: a client, and folders that come and go.

Endpoint, region and keys are AWS's own settings (environment, shared files, the pod's account).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dwcp_ml.errors import StorageError

if TYPE_CHECKING:
    from collections.abc import Iterable

SCHEME = "s3://"
# A Kubernetes Secret with the two keys of Kubeflow's own store, as a folder of files.
SECRET, KEYS = (
    "DWCP_S3_SECRET",
    {"accesskey": "AWS_ACCESS_KEY_ID", "secretkey": "AWS_SECRET_ACCESS_KEY"},
)
TAKEN = ("PreconditionFailed", "ConditionalRequestConflict", "412", "409")
ABSENT = ("NoSuchKey", "404", "NotFound")


class TakenError(StorageError):
    """An object is there already and was not to be overwritten."""


@dataclass(frozen=True)
class Place:
    """A bucket and a prefix in it, without slashes at its ends."""

    bucket: str
    prefix: str

    @classmethod
    def parse(cls, uri: str) -> Place:
        """The place of s3://BUCKET/PREFIX."""
        bucket, _, prefix = uri.removeprefix(SCHEME).partition("/")
        if not uri.startswith(SCHEME) or not bucket:
            raise StorageError(f"'{uri}' is no place on S3; write s3://BUCKET/PREFIX")
        return cls(bucket, prefix.strip("/"))

    def key(self, *parts: str) -> str:
        """The key of something below."""
        return "/".join(part for part in (self.prefix, *parts) if part)


def use_secret() -> None:
    """Take keys from the mounted secret into the environment, where every S3 client looks."""
    folder = Path(os.environ.get(SECRET, ""))
    for file, variable in KEYS.items():
        if os.environ.get(SECRET) and (folder / file).is_file():
            os.environ.setdefault(variable, (folder / file).read_text(encoding="utf-8").strip())


@dataclass(frozen=True)
class Objects:
    """Objects below one place."""

    place: Place

    def names(self, below: str = "") -> dict[str, tuple[str, int]]:
        """Relative key -> (entity tag, bytes) of all objects below."""
        base = self.place.key(below)
        prefix = f"{base}/" if base else ""
        start = len(f"{self.place.prefix}/") if self.place.prefix else 0
        pages = _client().get_paginator("list_objects_v2")
        with _told(self.place):
            return {
                item["Key"][start:]: (item["ETag"].strip('"'), item["Size"])
                for page in pages.paginate(Bucket=self.place.bucket, Prefix=prefix)
                for item in page.get("Contents", [])
                if not item["Key"].endswith("/")
            }

    def read(self, name: str) -> bytes | None:
        """Content of one object, None where there is none."""
        from botocore.exceptions import ClientError

        with _told(self.place):
            try:
                got = _client().get_object(Bucket=self.place.bucket, Key=self.place.key(name))
            except ClientError as error:
                if error.response["Error"]["Code"] in ABSENT:
                    return None
                raise
            content: bytes = got["Body"].read()
        return content

    def write(self, name: str, content: bytes, *, new: bool = False) -> None:
        """Put one object; with ``new`` only where there is none.

        Raises:
            TakenError: it was to be new and is there.
        """
        from botocore.exceptions import ClientError

        condition = {"IfNoneMatch": "*"} if new else {}
        key = self.place.key(name)
        with _told(self.place):
            try:
                _client().put_object(Bucket=self.place.bucket, Key=key, Body=content, **condition)
            except ClientError as error:
                if new and error.response["Error"]["Code"] in TAKEN:
                    raise TakenError(f"s3://{self.place.bucket}/{key} is there already") from error
                raise

    def download(self, names: Iterable[str], folder: Path) -> None:
        """Bring objects to ``folder`` under their relative keys."""
        client = _client()
        for name in names:
            target = folder / name
            if not target.resolve().is_relative_to(folder.resolve()):
                raise StorageError(f"the key '{name}' leads out of its folder")
            target.parent.mkdir(parents=True, exist_ok=True)
            with _told(self.place):
                client.download_file(self.place.bucket, self.place.key(name), str(target))


def objects(uri: str) -> Objects:
    """The objects below s3://BUCKET/PREFIX."""
    return Objects(Place.parse(uri))


def _client() -> Any:
    import boto3
    from botocore.config import Config

    use_secret()
    settings = Config(
        retries={"max_attempts": 4, "mode": "standard"}, connect_timeout=10, read_timeout=60
    )
    return boto3.client("s3", config=settings)


@contextmanager
def _told(place: Place) -> Iterator[None]:
    """Turn botocore's errors into one sentence."""
    from botocore.exceptions import BotoCoreError, ClientError

    where = f"{SCHEME}{place.bucket}/{place.prefix}"
    try:
        yield
    except ClientError as error:
        about = error.response["Error"]
        said = about.get("Message") or about["Code"]
        raise StorageError(f"{where}: S3 answers {about['Code']}: {said}") from error
    except BotoCoreError as error:
        raise StorageError(f"{where} cannot be reached: {error}") from error
