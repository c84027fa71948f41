#!/usr/bin/env bash
# kubeconfig.sh FILE: a kubeconfig for the API server CLUSTER_SERVER, which trusts this workflow's OIDC token for
# the audience CLUSTER_AUDIENCE. CLUSTER_CA is its certificate authority in PEM; empty where the system knows it.
set -euo pipefail
export KUBECONFIG=$1
umask 077
mkdir -p "$(dirname "$KUBECONFIG")"
answer=$(curl --silent --show-error --fail --get --data-urlencode "audience=$CLUSTER_AUDIENCE" \
  --header "Authorization: bearer $ACTIONS_ID_TOKEN_REQUEST_TOKEN" "$ACTIONS_ID_TOKEN_REQUEST_URL")
token=$(jq --raw-output --exit-status .value <<<"$answer")
echo "::add-mask::$token"
kubectl config set-cluster deploy --server "$CLUSTER_SERVER" >/dev/null
if [ -n "${CLUSTER_CA:-}" ]; then
  kubectl config set-cluster deploy --certificate-authority <(echo "$CLUSTER_CA") --embed-certs >/dev/null
fi
kubectl config set-credentials github --token "$token" >/dev/null
kubectl config set-context deploy --cluster deploy --user github --namespace dwcp-models >/dev/null
kubectl config use-context deploy
