#!/usr/bin/env bash
# A kind cluster with KServe 0.20 in Knative mode and the Gateway API; its kubeconfig is build/kind.kubeconfig.
set -euo pipefail
kserve=1fb781055dd1567164358233e1125142ca6ef1fe # v0.20.0
gateway=v1.4.0
mkdir -p build
export KUBECONFIG=$PWD/build/kind.kubeconfig
kind create cluster --name dwcp --wait 5m
curl --silent --show-error --fail --location --output build/kserve.sh \
  "https://raw.githubusercontent.com/kserve/kserve/$kserve/install/v0.20.0/kserve-knative-mode-full-install-with-manifests.sh"
bash build/kserve.sh
kubectl get crd httproutes.gateway.networking.k8s.io >/dev/null 2>&1 || kubectl apply --server-side --filename \
  "https://github.com/kubernetes-sigs/gateway-api/releases/download/$gateway/standard-install.yaml"
