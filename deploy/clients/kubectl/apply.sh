# apply in all its ways, diff, replace, edit, patch, label, annotate.
# shellcheck shell=bash

# configmap NAME KEY VALUE…: a ConfigMap of the story's namespace.
configmap() {
  printf 'apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: %s\n  labels:\n    set: "%s"\ndata:\n' "$1" "${set:-}"
  shift
  printf '  %s: "%s"\n' "$@"
}
applied() { cat >"$scratch/applied.yaml"; }

# --- Client side ----------------------------------------------------------------------------------------------------

configmap ours a 1 b 2 | applied
says "configmap/ours created" apply -f "$scratch/applied.yaml"
says "configmap/ours unchanged" apply -f "$scratch/applied.yaml"
tells '"b": "2"' '"name": "ours"' -- apply view-last-applied configmap ours -o json
configmap ours a 1 c 3 | applied
denies '-  b: "2"' '+  c: "3"' -- diff -f "$scratch/applied.yaml"
says "configmap/ours configured (server dry run)" apply -f "$scratch/applied.yaml" --dry-run=server
says "configmap/ours configured" apply -f "$scratch/applied.yaml"
says '{"a":"1","c":"3"}' get configmap ours -o jsonpath='{.data}'
says "" diff -f "$scratch/applied.yaml"
says "configmap/ours configured (dry run)" apply -f "$scratch/applied.yaml" --dry-run=client
says "kubectl-client-side-apply Update" get configmap ours -o jsonpath='{.metadata.managedFields[0].manager} {.metadata.managedFields[0].operation}'
{ configmap ours a 1 c 3 | sed '/^data/i unknown: x'; } | applied
denies 'The request is invalid: patch: Invalid value: "map[' 'strict decoding error: unknown field "unknown"' -- apply -f "$scratch/applied.yaml"
tells 'Warning: unknown field "unknown"' "configmap/ours configured" -- apply -f "$scratch/applied.yaml" --validate=warn
tells "configmap/ours" -- apply -f "$scratch/applied.yaml" --validate=ignore

# Three-way: what others added stays, what was applied before and no more goes.
cat <<YAML | applied
apiVersion: apps/v1
kind: Deployment
metadata: {name: merged, labels: {app: merged}}
spec:
  replicas: 1
  selector: {matchLabels: {app: merged}}
  template:
    metadata: {labels: {app: merged}}
    spec:
      containers:
      - {name: one, image: "registry.example/one:1", env: [{name: A, value: "1"}, {name: B, value: "2"}]}
      - {name: two, image: "registry.example/two:1"}
YAML
says "deployment.apps/merged created" apply -f "$scratch/applied.yaml"
says "deployment.apps/merged env updated" set env deployment/merged -c one C=3
sed -i 's/, {name: B, value: "2"}//; s/replicas: 1/replicas: 2/' "$scratch/applied.yaml"
says "deployment.apps/merged configured" apply -f "$scratch/applied.yaml"
says "A C" get deployment merged -o jsonpath='{.spec.template.spec.containers[0].env[*].name}'
sed -i '/name: two/d' "$scratch/applied.yaml"
says "deployment.apps/merged configured" apply -f "$scratch/applied.yaml"
says "one" get deployment merged -o jsonpath='{.spec.template.spec.containers[*].name}'
says "2" get deployment merged -o jsonpath='{.spec.replicas}'
sed -i 's/matchLabels: {app: merged}/matchLabels: {app: other}/; s/labels: {app: merged}}$/labels: {app: other}}/' "$scratch/applied.yaml"
denies 'The Deployment "merged" is invalid: spec.selector: Invalid value:' "field is immutable" -- apply -f "$scratch/applied.yaml"
tells "deployment.apps/merged configured" -- apply -f "$scratch/applied.yaml" --force
says "other" get deployment merged -o jsonpath='{.spec.selector.matchLabels.app}'
runs delete deployment merged

# --- Pruning --------------------------------------------------------------------------------------------------------

set=pruned
{ configmap kept a 1; echo ---; configmap pruned a 1; } | applied
tells "configmap/kept created" "configmap/pruned created" -- apply -f "$scratch/applied.yaml"
configmap kept a 1 | applied
tells "configmap/kept unchanged" "configmap/pruned pruned" -- \
  apply -f "$scratch/applied.yaml" --prune -l set=pruned --prune-allowlist=core/v1/ConfigMap
denies "NotFound" -- get configmap pruned
set=
export KUBECTL_APPLYSET=true
{ configmap in-set a 1; echo ---; configmap out-of-set a 1; } | applied
tells "configmap/in-set created" -- apply -f "$scratch/applied.yaml" --prune --applyset=configmaps/applyset
tells "applyset.kubernetes.io/contains-group-" "applyset.kubernetes.io/tooling: kubectl/v$version" \
  "applyset.kubernetes.io/id: applyset-" -- get configmap applyset -o yaml
configmap in-set a 1 | applied
tells "configmap/out-of-set pruned" -- apply -f "$scratch/applied.yaml" --prune --applyset=configmaps/applyset
unset KUBECTL_APPLYSET

# --- Server side ----------------------------------------------------------------------------------------------------

configmap theirs a 1 | applied
says "configmap/theirs serverside-applied" apply --server-side --field-manager=one -f "$scratch/applied.yaml"
says "one Apply v1 FieldsV1" get configmap theirs -o jsonpath='{range .metadata.managedFields[*]}{.manager} {.operation} {.apiVersion} {.fieldsType}{end}'
configmap theirs a 2 | applied
denies "Apply failed with 1 conflict: conflict with \"one\": .data.a" -- \
  apply --server-side --field-manager=two -f "$scratch/applied.yaml"
says "configmap/theirs serverside-applied" apply --server-side --field-manager=two --force-conflicts -f "$scratch/applied.yaml"
says "2" get configmap theirs -o jsonpath='{.data.a}'
says "configmap/theirs serverside-applied (server dry run)" apply --server-side --field-manager=two --dry-run=server \
  -f "$scratch/applied.yaml"
configmap theirs b 3 | applied
denies '+  b: "3"' -- diff --server-side --field-manager=two -f "$scratch/applied.yaml"
says "configmap/theirs serverside-applied" apply --server-side --field-manager=two -f "$scratch/applied.yaml"
says '{"b":"3"}' get configmap theirs -o jsonpath='{.data}'
# What was applied on the client's side becomes the server's, and fields that are applied no more go.
configmap moved a 1 b 2 | applied
runs apply -f "$scratch/applied.yaml"
configmap moved a 1 | applied
says "configmap/moved serverside-applied" apply --server-side -f "$scratch/applied.yaml"
says '{"a":"1"}' get configmap moved -o jsonpath='{.data}'
# Two, in the order of their times, which may be the same second.
for manager in kubectl kubectl-last-applied; do
  says "Apply" get configmap moved -o jsonpath='{.metadata.managedFields[?(@.manager=="'$manager'")].operation}'
done

# What others say was applied last; objects of which only the beginning of the name is given; raw requests.
configmap moved a 5 | applied
says "configmap/moved configured" apply set-last-applied -f "$scratch/applied.yaml"
tells 'a: "5"' -- apply view-last-applied -f "$scratch/applied.yaml"
tells "configmap/generated-" " created" -- \
  create -f - <<<'{"apiVersion":"v1","kind":"ConfigMap","metadata":{"generateName":"generated-"}}'
denies '+  name: brand-new' -- diff -f - < <(configmap brand-new a 1)
denies "NotFound" -- get configmap brand-new
echo '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"raw"},"data":{"a":"1"}}' >"$scratch/raw.json"
tells '"uid":"' -- create --raw "/api/v1/namespaces/$ns/configmaps" -f "$scratch/raw.json"
sed -i s/1\"}/2\"}/ "$scratch/raw.json"
tells '"a":"2"' -- replace --raw "/api/v1/namespaces/$ns/configmaps/raw" -f "$scratch/raw.json"
tells '"status":"Success","details":{"name":"raw","kind":"configmaps","uid":"' -- delete --raw "/api/v1/namespaces/$ns/configmaps/raw"

# --- Replace, edit, patch -------------------------------------------------------------------------------------------

configmap ours a 9 | applied
says "configmap/ours replaced" replace -f "$scratch/applied.yaml"
says '{"a":"9"}' get configmap ours -o jsonpath='{.data}'
says 'configmap "ours" deleted
configmap/ours replaced' replace --force -f "$scratch/applied.yaml"
denies 'Error from server (NotFound): error when replacing' 'configmaps "nobody" not found' -- \
  replace -f - < <(configmap nobody a 1)
export KUBE_EDITOR='sed -i "s/a: .9./a: \"10\"/"'
says "configmap/ours edited" edit configmap ours
says "10" get configmap ours -o jsonpath='{.data.a}'
says "Edit cancelled, no changes made." edit configmap ours
export KUBE_EDITOR='sed -i "s/  replicas: 3/  replicas: 2/"'
says "deployment.apps/web edited" edit deployment web
says "2" get deployment web -o jsonpath='{.spec.replicas}'
unset KUBE_EDITOR

says "configmap/ours patched" patch configmap ours -p '{"data":{"b":"1"}}'
says "configmap/ours patched (no change)" patch configmap ours -p '{"data":{"b":"1"}}'
says "configmap/ours patched" patch configmap ours --type=merge -p '{"data":{"b":null,"c":"2"}}'
says "configmap/ours patched" patch configmap ours --type=json -p '[{"op":"test","path":"/data/c","value":"2"},{"op":"add","path":"/data/d","value":"3"},{"op":"remove","path":"/data/c"}]'
says '{"a":"10","d":"3"}' get configmap ours -o jsonpath='{.data}'
denies "the server rejected our request due to an error in our request" -- \
  patch configmap ours --type=json -p '[{"op":"remove","path":"/data/nothing"}]'
says "deployment.apps/web patched" patch deployment web -p '{"spec":{"template":{"spec":{"containers":[{"name":"side","image":"registry.example/side:1"}]}}}}'
says "side web" get deployment web -o jsonpath='{.spec.template.spec.containers[*].name}'
says "deployment.apps/web patched" patch deployment web -p '{"spec":{"template":{"spec":{"containers":[{"name":"side","$patch":"delete"}]}}}}'
says "web" get deployment web -o jsonpath='{.spec.template.spec.containers[*].name}'
says "scale.autoscaling/web patched" patch deployment web --subresource=scale --type=merge -p '{"spec":{"replicas":3}}'
says "horizontalpodautoscaler.autoscaling/web patched" patch hpa web --subresource=status --type=merge -p '{"status":{"desiredReplicas":3,"currentReplicas":3}}'

# --- Labels and annotations -----------------------------------------------------------------------------------------

says "configmap/ours labeled" label configmap ours tier=front
says "configmap/ours not labeled" label configmap ours tier=front
denies "'tier' already has a value (front), and --overwrite is false" -- label configmap ours tier=back
says "configmap/ours labeled" label configmap ours tier=back --overwrite
says "configmap/ours" get configmaps -l 'tier in (back),set' -o name
says "configmap/ours unlabeled" label configmap ours tier-
denies "Operation cannot be fulfilled on configmaps \"ours\": the object has been modified" -- \
  label configmap ours a=b --resource-version=1
says "configmap/ours annotated" annotate configmap ours note='a note'
says "a note" get configmap ours -o jsonpath='{.metadata.annotations.note}'
tells "note=a note" -- annotate configmap ours --list
says "configmap/ours annotated" annotate configmap ours note-
denies "a valid label must be an empty string or consist of alphanumeric characters" -- label configmap ours 'x=bad value'
