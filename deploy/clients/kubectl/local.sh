# What kubectl does by itself, and through proxy and plugins.
# shellcheck shell=bash

mkdir -p "$scratch/kustomize"
cat >"$scratch/kustomize/kustomization.yaml" <<YAML
namePrefix: k-
commonLabels: {from: kustomize}
configMapGenerator: [{name: generated, literals: [a=1]}]
YAML
tells "name: k-generated-" "from: kustomize" -- kustomize "$scratch/kustomize"
tells "configmap/k-generated-" "created" -- apply -k "$scratch/kustomize"
tells "unchanged" -- apply -k "$scratch/kustomize"
tells "deleted" -- delete -k "$scratch/kustomize"

tells "current-context:" "certificate-authority-data: DATA+OMITTED" -- config view
tells "CURRENT NAME CLUSTER AUTHINFO NAMESPACE" -- config get-contexts
cp "$KUBECONFIG" "$scratch/config"
says "Context \"other\" created." --kubeconfig "$scratch/config" config set-context other --cluster=trireme --user=admin
says 'Switched to context "other".' --kubeconfig "$scratch/config" config use-context other
says "other" --kubeconfig "$scratch/config" config current-context
tells "trireme" -- --kubeconfig "$scratch/config" config get-clusters

"$kubectl" proxy --port=0 >"$scratch/proxy" 2>&1 &
proxy=$!
background+=("$proxy")
within 10 grep -q "Starting to serve on" "$scratch/proxy"
address=$(grep -oE '127.0.0.1:[0-9]+' "$scratch/proxy")
shows "kubectl $version proxy passes requests on" '"gitVersion"' curl -sS "http://$address/version"
shows "kubectl $version proxy: a watch" '"type":"ADDED"' bash -c \
  "curl -sS --max-time 2 'http://$address/api/v1/namespaces/$ns/configmaps?watch=true' || true"
kill "$proxy"
mkdir -p "$scratch/plugins"
printf '#!/bin/sh\necho "Ahoy, $1"\n' >"$scratch/plugins/kubectl-ahoy"
chmod +x "$scratch/plugins/kubectl-ahoy"
shows "kubectl $version plugin list" kubectl-ahoy env PATH="$scratch/plugins:$PATH" "$kubectl" plugin list
shows "kubectl $version ahoy" "Ahoy, crew" env PATH="$scratch/plugins:$PATH" "$kubectl" ahoy crew
shows "kubectl $version completion bash" __complete "$kubectl" completion bash
completes() { "$kubectl" __complete "$@" 2>/dev/null; }
shows "kubectl $version completes kinds" deployments completes get deploy
shows "kubectl $version completes names" settings completes -n "$ns" get configmap set
