#!/usr/bin/env python3
"""Build the container images, push them, and write down where each one is.

    tools/images.py build/images.json --registry localhost:5000
    tools/images.py build/local.json serve    # built, not pushed

A tag is the version and a digest of everything the image is made of, the commit of those files
included. What the registry already holds under its tag is neither built nor pushed again, so that
digests, and with them Kubeflow's cache, outlive commits that change no image.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

from dwcp_ml.files import write_json

ROOT = Path(__file__).resolve().parents[1]
SOURCES = (".dockerignore", "LICENSE", "pyproject.toml", "schemas", "src", "uv.lock")
TRAIN = ("pipeline", "data", "sklearn", "tensorflow", "operator", "spark")
SERVE = ("serve", "serve-samples")
DOCKERFILES = dict.fromkeys(TRAIN, "Dockerfile.train") | dict.fromkeys(SERVE, "Dockerfile.serve")
LABEL = "org.opencontainers.image"


def output(*command: str) -> str:
    """What a command printed; its complaints go to the terminal."""
    done = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    return done.stdout.strip()


def asked(*command: str) -> str:
    """What a command printed, nothing if it failed, which is an answer too."""
    done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)
    return done.stdout.strip() if done.returncode == 0 else ""


def content(dockerfile: str, revision: str, base: str) -> str:
    """Digest of the files an image is made of, of their revision and of the base image."""
    if not asked("docker", "image", "inspect", base):
        output("docker", "pull", "--quiet", base)
    base_id = output("docker", "image", "inspect", "--format", "{{.Id}}", base)
    digest = hashlib.sha256(f"{base_id} {revision}".encode())
    for source in (ROOT / dockerfile, *(ROOT / s for s in SOURCES)):
        for file in sorted(source.rglob("*")) if source.is_dir() else [source]:
            if file.is_file() and file.suffix != ".pyc":
                digest.update(f"\n{file.relative_to(ROOT)} ".encode())
                digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


def in_registry(name: str) -> str:
    """REPOSITORY@sha256:... of a tag that the registry has, else nothing."""
    plain_http = ["--insecure"] if name.startswith(("localhost", "127.")) else []
    found = asked("docker", "manifest", "inspect", *plain_http, "--verbose", name)
    return f"{name.rpartition(':')[0]}@{json.loads(found)['Descriptor']['digest']}" if found else ""


def image(target: str, registry: str, base: str) -> str:
    """Have an image where it is wanted; its name, by digest if there is a registry."""
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    dockerfile = DOCKERFILES[target]
    revision = asked("git", "log", "-1", "--format=%H", "--", dockerfile, *SOURCES)
    if revision and asked("git", "status", "--porcelain", "--", dockerfile, *SOURCES):
        revision += "-dirty"
    name = f"dwcp-{target}:{version}-{content(dockerfile, revision, base)[:12]}"
    name = f"{registry}/{name}" if registry else name
    if registry and (there := in_registry(name)):
        return there
    build = ["docker", "build", "--quiet", "--network", "host", "--file", dockerfile]
    build += ["--build-arg", f"BASE={base}", "--build-arg", f"REVISION={revision}"]
    build += ["--label", f"{LABEL}.version={version}", "--label", f"{LABEL}.revision={revision}"]
    names = ["--tag", name] if registry else ["--tag", name, "--tag", f"dwcp-{target}"]
    output(*build, "--target", target, *names, ".")
    if not registry:
        return name
    output("docker", "push", "--quiet", name)
    return in_registry(name)


def main() -> None:
    """Make the images one after another and write the file."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("out", type=Path, help="JSON file that receives {target: image}")
    parser.add_argument("targets", nargs="*", help=f"of {', '.join(DOCKERFILES)}; all if left out")
    parser.add_argument("--registry", default="", help="push here, and name images by digest")
    parser.add_argument("--base", default="python:3.11-slim-bookworm", help="image below them")
    given = parser.parse_intermixed_args()
    if unknown := set(given.targets) - set(DOCKERFILES):
        parser.error(f"no such target: {', '.join(sorted(unknown))}")
    os.environ["BUILDX_NO_DEFAULT_ATTESTATIONS"] = "1"  # a tag is one manifest, not a list
    images = {}
    try:
        for target in given.targets or DOCKERFILES:
            images[target] = image(target, given.registry, given.base)
            print(f"{target:12}{images[target]}", flush=True)
    except FileNotFoundError as error:
        sys.exit(f"error: '{error.filename}' is not installed")
    except subprocess.CalledProcessError as error:
        sys.exit(f"error: '{' '.join(error.cmd[:2])}' failed; its message is above")
    write_json(given.out, images)


if __name__ == "__main__":
    main()
