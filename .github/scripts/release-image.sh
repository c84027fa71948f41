#!/usr/bin/env bash
# release-image.sh TARGET vX.Y.Z: build and push REGISTRY/dwcp-TARGET:X.Y.Z with SBOM and provenance, sign its digest
# with the identity of this workflow, and check the signature.
set -euo pipefail
target=$1 version=${2#v}
name=$REGISTRY/dwcp-$target
case $target in serve*) file=Dockerfile.serve ;; *) file=Dockerfile.train ;; esac
mkdir -p build
docker buildx build --file "$file" --target "$target" --push --tag "$name:$version" \
  --sbom=true --provenance=mode=max --metadata-file "build/$target.json" \
  --build-arg "REVISION=$GITHUB_SHA" \
  --label "org.opencontainers.image.version=$version" --label "org.opencontainers.image.revision=$GITHUB_SHA" .
signed=$name@$(jq --raw-output --exit-status '."containerimage.digest"' "build/$target.json")
cosign sign --yes "$signed"
cosign verify "$signed" --certificate-oidc-issuer https://token.actions.githubusercontent.com \
  --certificate-identity "$GITHUB_SERVER_URL/$GITHUB_WORKFLOW_REF" >/dev/null
echo "$signed" | tee -a "${GITHUB_STEP_SUMMARY:-/dev/null}"
