#!/usr/bin/env bash
# tag-go-module.sh vX.Y.Z: a module in a folder needs a tag of its own, clients/go/vX.Y.Z, on the same commit.
set -euo pipefail
version=$1 tag=clients/go/$1
[[ $version =~ ^v[0-9]+\.[0-9]+\.[0-9]+$ ]] || { echo "not a version: $version" >&2; exit 2; }
grep --quiet --fixed-strings --line-regexp "version = \"${version#v}\"" pyproject.toml ||
  { echo "pyproject.toml has another version than $version" >&2; exit 2; }
there=$(git ls-remote origin "refs/tags/$tag" | cut -f 1)
if [ -n "$there" ]; then
  [ "$there" = "$(git rev-parse HEAD)" ] && { echo "$tag is there"; exit 0; }
  echo "$tag is there, on another commit: a tag never moves" >&2
  exit 1
fi
git tag "$tag"
git push --quiet origin "refs/tags/$tag"
echo "$tag"
