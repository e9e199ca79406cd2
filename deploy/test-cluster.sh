#!/bin/bash
# The tests of `make test` that need a real cluster: kubectl against three real servers, then servers that fail under
# load, and bad requests.
# Everything lives in a temporary folder, on addresses of its own, beside any other cluster, and is removed at the end.
#
#   deploy/test-cluster.sh              all of it, about six minutes
#   deploy/test-cluster.sh --no-chaos   without failing servers and without bad requests
#   CLUSTER_PORT=… CLUSTER_NETWORK=127.0.x   other addresses than the usual 9643 and 127.0.67
#   TRIREME_BINARIES=DIR                do not build: test the programs in this folder
set -u
cd "$(dirname "$0")/.."

chaos=yes
test "${1:-}" = --no-chaos && chaos=no
port=${CLUSTER_PORT:-9643}
network=${CLUSTER_NETWORK:-127.0.67}
binaries=${TRIREME_BINARIES:-$(swift build -c release --show-bin-path)}
scratch=$(mktemp -d "${TMPDIR:-/tmp}/trireme-test.XXXXXX")
home=$scratch/cluster
. deploy/reporting.sh

clean_up() {
  test -x "$binaries/trireme" || return
  "$binaries/trireme" down --home "$home" >/dev/null 2>&1
  "$binaries/trireme" down --home "$scratch/chaos" >/dev/null 2>&1
  "$binaries/trireme" down --home "$scratch/fuzz" >/dev/null 2>&1
}
finish_at_exit

# --- Programs -------------------------------------------------------------------------------------------------------

[ -n "${TRIREME_BINARIES:-}" ] || build trireme trireme-chaos
trireme=$binaries/trireme

# A dispatcher named kubectl has the versions beside it; elsewhere kubectl is what it is.
dispatcher=$(readlink -f "$(command -v kubectl)") || { fail "kubectl is installed"; exit 1; }
kubectl_of() { local exact; exact=$(dirname "$dispatcher")/kubectl.$1; test -x "$exact" && echo "$exact"; }
kubectl=$(kubectl_of 1.32 || echo "$dispatcher")
export KUBECONFIG=$home/kubeconfig HOME=$scratch/user
mkdir -p "$HOME"
k() { "$kubectl" "$@"; }
g() { "$kubectl" --namespace guestbook "$@"; }

# The Python client arrives while the cluster is tested.
(python3 -m venv "$scratch/python" && "$scratch/python/bin/pip" install --quiet --disable-pip-version-check kubernetes) \
  >"$scratch/pip.log" 2>&1 &
pip=$!
background+=("$pip")

# --- The cluster ----------------------------------------------------------------------------------------------------

say "a cluster of three servers and five nodes in $home"
if ! "$trireme" up --home "$home" --port "$port" --network "$network" --nodes 5 >"$scratch/output" 2>&1; then
  fail "trireme up" "$scratch/output"
  keep_logs "$home" cluster
  exit 1
fi
pass "trireme up"
shows "a second trireme up says what runs" "running already" "$trireme" up --home "$home"
check "five nodes are Ready" k wait --for=condition=Ready nodes --all --timeout=60s
nodes() { [ "$(k get nodes --no-headers | grep -cw Ready)" = 5 ]; }
check "kubectl get nodes shows five" within 30 nodes
shows "trireme status names a leader" "leader" "$trireme" status --home "$home"
check "/readyz?verbose" k get --raw '/readyz?verbose'
check "/livez" k get --raw /livez
check "/metrics" k get --raw /metrics
check "kubectl version" k version
shows "kubectl api-resources" "deployments" k api-resources
shows "kubectl explain" "replicas" k explain deployment.spec
refuses "nobody is served without a certificate" "Unauthorized" -- \
  "$kubectl" --kubeconfig /dev/null --server "https://127.0.0.1:$port" --insecure-skip-tls-verify --token wrong get pods

# --- The examples ---------------------------------------------------------------------------------------------------

check "apply guestbook.yaml" k apply -f deploy/examples/guestbook.yaml
check "apply nifty-rc.yaml" k apply -f deploy/examples/nifty-rc.yaml
shows "apply again changes nothing" "deployment.apps/web unchanged" k apply -f deploy/examples/guestbook.yaml
check "web rolls out" g rollout status deployment/web --timeout=90s
check "store rolls out" g rollout status deployment/store --timeout=90s
check "web is Available" g wait --for=condition=Available deployment/web --timeout=60s
nifty_ready() { [ "$(k get rc nifty-rc -o jsonpath='{.status.readyReplicas}')" = 4 ]; }
check "nifty-rc has 4 ready replicas" within 60 nifty_ready
nifty_endpoints() {
  [ "$(k get endpoints nifty -o jsonpath='{range .subsets[*].addresses[*]}{.ip}{"\n"}{end}' | grep -c .)" = 4 ] &&
    [ "$(k get endpoints nifty -o jsonpath='{.subsets[0].ports[0].port}')" = 9376 ]
}
check "Service nifty has 4 endpoints on port 9376" within 60 nifty_endpoints
slices() { k get endpointslices -l kubernetes.io/service-name=nifty -o jsonpath='{.items[0].ports[0].port}' | grep -q 9376; }
check "and an EndpointSlice" within 30 slices
shows "get deployments" "3/3" g get deployments
shows "get -o wide" "registry.example/guestbook:1.0" g get deployments -o wide
shows "get -o yaml" "app: guestbook" g get deployment web -o yaml
shows "get all" "replicaset.apps/web-" g get all

# --- What a user does -----------------------------------------------------------------------------------------------

g get pods --watch --no-headers >"$scratch/watch" 2>&1 &
watch=$!
background+=("$watch")
watching() { grep -q . "$scratch/watch"; }
check "get -w begins" within 30 watching
check "scale to 5" g scale deployment/web --replicas=5
check "scaled" g rollout status deployment/web --timeout=60s
five() { [ "$(g get deployment web -o jsonpath='{.status.readyReplicas}')" = 5 ]; }
check "5 are ready" within 60 five
seen() { [ "$(grep '^web-' "$scratch/watch" | grep -w Running | awk '{print $1}' | sort -u | wc -l)" -ge 5 ]; }
check "the watch saw all 5 run" within 30 seen
kill "$watch" 2>/dev/null
check "scale to 2" g scale deployment/web --replicas=2
pods() { [ "$(g get pods -l tier=web --no-headers | wc -l)" = "$1" ]; }
check "2 pods stay" within 60 pods 2

shows "describe deployment" "NewReplicaSet" g describe deployment web
pod=$(g get pods -l tier=web -o jsonpath='{.items[0].metadata.name}')
shows "describe pod shows its events" "Scheduled" g describe pod "$pod"
shows "describe node" "Allocated resources" k describe node node-1

check "set image" g set image deployment/web web=registry.example/guestbook:2.0
check "rollout status" g rollout status deployment/web --timeout=90s
shows "the new image" "guestbook:2.0" g get pods -l tier=web -o jsonpath='{.items[*].spec.containers[0].image}'
shows "rollout history" "2" g rollout history deployment/web
check "rollout undo" g rollout undo deployment/web
check "rollout status after undo" g rollout status deployment/web --timeout=90s
shows "the old image again" "guestbook:1.0" g get deployment web -o jsonpath='{.spec.template.spec.containers[0].image}'

pod=$(g get pods -l tier=web -o jsonpath='{.items[0].metadata.name}')
check "label" g label pod "$pod" checked=yes --overwrite
shows "select by label" "$pod" g get pods -l checked=yes
check "annotate" g annotate configmap settings note=kept
check "patch" g patch configmap settings --type merge -p '{"data":{"title":"Patched"}}'
check "server-side apply" g apply --server-side --field-manager tests -f - <<<'{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"applied"},"data":{"a":"1"}}'
check "dry run on the server" g create configmap never --dry-run=server
refuses "which leaves nothing behind" "NotFound" -- g get configmap never
check "diff of what is there" g diff -f - <<<'{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"applied","namespace":"guestbook"},"data":{"a":"1"}}'

# --- Errors as Kubernetes gives them --------------------------------------------------------------------------------

before=$(g get configmap,deployment,secret -o jsonpath='{range .items[*]}{.kind}/{.metadata.name}@{.metadata.generation}{"\n"}{end}')
deployment() {
  printf '{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"wrong"},"spec":{%s"selector":{"matchLabels":{"a":"b"}},"template":{"metadata":{"labels":{"a":"b"}},"spec":{"containers":[{"name":"c","image":"i"}]}}}}' "$1"
}
refuses "an unknown field" "(BadRequest)" 'strict decoding error: unknown field "spec.replicaz"' -- \
  g create -f - <<<"$(deployment '"replicaz":3,')"
refuses "a wrong type" "(BadRequest)" "cannot be handled as a Deployment" "replicas" -- \
  g create -f - <<<"$(deployment '"replicas":"three",')"
refuses "a negative count" 'is invalid' 'spec.replicas: Invalid value: -1: must be greater than or equal to 0' -- \
  g create -f - <<<"$(deployment '"replicas":-1,')"
refuses "a stale resourceVersion" "(Conflict)" "the object has been modified" -- \
  g replace -f - <<<'{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"settings","resourceVersion":"1"},"data":{}}'
refuses "an immutable field" 'The Deployment "web" is invalid' "spec.selector" "field is immutable" -- \
  g patch deployment web -p '{"spec":{"selector":{"matchLabels":{"app":"other"}}}}'
refuses "a bad name" 'ConfigMap "Bad_Name" is invalid: metadata.name: Invalid value: "Bad_Name"' \
  "a lowercase RFC 1123 subdomain must consist of" -- g create configmap Bad_Name
refuses "an object that exists" 'configmaps "settings" already exists' -- g create configmap settings
head -c 1200000 /dev/zero | tr '\0' x >"$scratch/large"
refuses "a ConfigMap too large" 'ConfigMap "large" is invalid' "Too long: may not be more than 1048576 bytes" -- \
  g create configmap large --from-file="$scratch/large"
head -c 4000000 /dev/zero | tr '\0' x >"$scratch/larger"
refuses "a body too large" "Request entity too large: limit is 3145728" -- \
  g create configmap larger --from-file="$scratch/larger"
refuses "a selector that does not parse" "(BadRequest)" "unable to parse requirement" -- \
  k get --raw '/api/v1/pods?labelSelector=a+in+b'
refuses "a field selector that is not served" "(BadRequest)" "field label not supported" -- \
  k get --raw '/api/v1/pods?fieldSelector=spec.colour%3Dred'
refuses "no permission" '(Forbidden): secrets is forbidden: User "system:serviceaccount:guestbook:web" cannot list resource "secrets" in API group "" in the namespace "guestbook"' -- \
  g get secrets --as=system:serviceaccount:guestbook:web
check "but what the Role allows" g get configmaps --as=system:serviceaccount:guestbook:web
shows "auth can-i" "no" bash -c "'$kubectl' auth can-i delete pods --as=system:serviceaccount:guestbook:web || true"
refuses "an object that is not there" '(NotFound): pods "nobody" not found' -- g get pod nobody
refuses "a kind that is not served" "the server doesn't have a resource type" -- k get unicorns
after=$(g get configmap,deployment,secret -o jsonpath='{range .items[*]}{.kind}/{.metadata.name}@{.metadata.generation}{"\n"}{end}')
check "nothing was changed by any of them" [ "$before" = "$after" ]

# --- The scheduler --------------------------------------------------------------------------------------------------

"$trireme" scheduler --kubeconfig "$home/kubeconfig" --scheduler-name side --secure-port "$port" \
  --bind-address "$network.90" >"$scratch/side-scheduler.log" 2>&1 &
side=$!
background+=("$side")
asks_for_side() {
  k run side --image=registry.example/side:1 --overrides='{"spec":{"schedulerName":"side"}}'
}
check "a pod that asks for a scheduler of its own" asks_for_side
check "which runs beside the servers" k wait --for=condition=Ready pod/side --timeout=60s
by_side() { [ "$(k get events --field-selector reason=Scheduled,involvedObject.name=side -o jsonpath='{.items[0].reportingComponent}')" = side ]; }
check "has been scheduled by it" within 30 by_side
watched() { curl -sk --max-time 10 "$@" "https://$network.90:$port/metrics"; }
counted_it() {
  watched --cert "$home/pki/admin.crt" --key "$home/pki/admin.key" |
    grep -q '^scheduler_schedule_attempts_total{profile="side",result="scheduled"} 1'
}
check "and counted, for whom the cluster lets see it" within 20 counted_it
shows "nobody else" 'cannot get path \"/metrics\"' watched
kill "$side"
side_ends() { ! kill -0 "$side" 2>/dev/null; }
check "and it ends when it is told to" within 20 side_ends
lets_go() { [ -z "$(k -n kube-system get lease kube-scheduler-side -o jsonpath='{.spec.holderIdentity}')" ]; }
check "letting go of its lease" within 20 lets_go

k apply -f - >/dev/null <<'YAML'
apiVersion: scheduling.k8s.io/v1
kind: PriorityClass
metadata: {name: urgent}
value: 1000
YAML
# Pods that fill a node each: the sixth finds none, unless it is more important.
fills() { # name, priority class
  printf '{"apiVersion":"v1","kind":"Pod","metadata":{"name":"%s"},"spec":{"priorityClassName":"%s","terminationGracePeriodSeconds":1,"containers":[{"name":"c","image":"i","ports":[{"containerPort":80,"hostPort":8080}]}]}}' "$1" "$2"
}
for number in 1 2 3 4 5; do fills "port-$number" "" | k create -f - >/dev/null; done
check "five pods have a host port each" k wait --for=condition=Ready pod/port-{1,2,3,4,5} --timeout=60s
check "a more important one comes" k create -f - <<<"$(fills urgent urgent)"
check "and gets the place of one of them" k wait --for=condition=Ready pod/urgent --timeout=60s
preempted() { [ "$(k get events --field-selector reason=Preempted --no-headers | grep -c 'Preempted by pod')" = 1 ]; }
check "of one alone" within 30 preempted
check "an equal one comes" k create -f - <<<"$(fills equal "")"
waits_in_words() {
  k get pod equal -o jsonpath='{.status.conditions[?(@.type=="PodScheduled")].message}' |
    grep -qF "0/5 nodes are available: 5 node(s) didn't have free ports for the requested pod ports. preemption: 0/5 nodes are available: 5 No preemption victims found for incoming pod."
}
check "and waits, in Kubernetes' words" within 30 waits_in_words
check "they go" k delete pod side urgent equal --ignore-not-found --timeout=60s
k delete pod port-{1,2,3,4,5} --ignore-not-found --timeout=60s >/dev/null

# --- Other clients --------------------------------------------------------------------------------------------------

for version in 1.28 1.33; do
  other=$(kubectl_of "$version") || { say "- kubectl $version does not lie beside $dispatcher: not tested"; continue; }
  shows "kubectl $version: get" "web" "$other" -n guestbook get deployments
  check "kubectl $version: create" "$other" -n guestbook create configmap "by-${version/./-}" --from-literal=a=b
  shows "kubectl $version: apply" "unchanged" "$other" apply -f deploy/examples/guestbook.yaml
  shows "kubectl $version: describe" "Replicas" "$other" -n guestbook describe deployment store
  check "kubectl $version: delete" "$other" -n guestbook delete configmap "by-${version/./-}"
done

cat >"$scratch/client.py" <<'PYTHON'
import threading
from kubernetes import client, config, watch
config.load_kube_config()
core = client.CoreV1Api()
names = [pod.metadata.name for pod in core.list_namespaced_pod("guestbook").items]
assert any(name.startswith("web-") for name in names), names
assert len(core.list_node().items) == 5
page = core.list_pod_for_all_namespaces(limit=2)
assert len(page.items) == 2 and page.metadata._continue
start = core.list_namespaced_config_map("guestbook").metadata.resource_version
def write():
    body = client.V1ConfigMap(metadata=client.V1ObjectMeta(name="python"), data={"a": "1"})
    core.create_namespaced_config_map("guestbook", body)
    core.patch_namespaced_config_map("python", "guestbook", {"data": {"a": "2"}})
    core.delete_namespaced_config_map("python", "guestbook")
threading.Timer(0.2, write).start()
seen = []
for event in watch.Watch().stream(
        core.list_namespaced_config_map, "guestbook", resource_version=start, timeout_seconds=30):
    if event["object"].metadata.name != "python":
        continue
    seen.append(event["type"])
    if event["type"] == "DELETED":
        break
assert seen == ["ADDED", "MODIFIED", "DELETED"], seen
print("ok")
PYTHON
if wait "$pip"; then
  check "the Python client lists and watches" timeout 60 "$scratch/python/bin/python" "$scratch/client.py"
else
  say "- the Python client could not be installed: not tested ($(tail -n 1 "$scratch/pip.log"))"
fi

# --- The elected server dies in the middle of a rollout ----------------------------------------------------------------

check "150 pods" g create deployment wave --image=registry.example/wave:1 --replicas=150
rolled() { [ "$(g get deployment wave -o jsonpath='{.status.updatedReplicas} {.status.readyReplicas} {.status.replicas}')" = "150 150 150" ]; }
check "all are ready" within 90 rolled
# most_pods: writes down the largest number of pods there were at once, those on their way out left aside.
most_pods() {
  local most=0 now
  while :; do
    now=$(g get pods -l app=wave -o jsonpath='{range .items[*]}{.metadata.deletionTimestamp}{"\n"}{end}' 2>/dev/null | grep -c '^$')
    if [ "$now" -gt "$most" ]; then most=$now && echo "$most" >"$scratch/most"; fi
  done
}
most_pods &
counting=$!
background+=("$counting")
check "they are counted" within 30 test -s "$scratch/most"
check "another image" g set image deployment/wave wave=registry.example/wave:2
under_way() { [ "$(g get deployment wave -o jsonpath='{.status.updatedReplicas}')" -ge 20 ]; }
check "the rollout begins" within 60 under_way
elected() { k -n kube-system get lease kube-controller-manager -o jsonpath='{.spec.holderIdentity}'; }
first=$(elected)
check "kill -9 of the server whose controllers are elected" kill -9 "$(cat "$home/${first%%_*}/pid")"
check "the rollout goes on to its end" within 120 rolled
moved() { [[ $(elected) != "" && $(elected) != "$first" ]]; }
check "by another" within 30 moved
wave() { [ "$(g get pods -l app=wave --no-headers | grep -cv Terminating)" = 150 ]; }
check "150 pods are there" within 60 wave
kill "$counting" 2>/dev/null
check "never more at once than a surge of a quarter ($(cat "$scratch/most"))" [ "$(cat "$scratch/most")" -le 188 ]
check "the server is started again" "$trireme" up --home "$home"
check "delete them" g delete deployment wave --timeout=60s

# --- Going away -----------------------------------------------------------------------------------------------------

check "apply brings 3 back" g apply -f deploy/examples/guestbook.yaml
check "3 are ready" g rollout status deployment/web --timeout=60s
pod=$(g get pods -l tier=web -o jsonpath='{.items[0].metadata.name}')
check "delete a pod" g delete pod "$pod" --wait=true --timeout=60s
check "its ReplicaSet replaces it" within 60 pods 3
check "delete the ReplicationController" k delete rc nifty-rc --timeout=60s
gone() { [ -z "$(k get pods --no-headers 2>/dev/null)" ]; }
check "its pods go" within 60 gone
check "delete the namespace" k delete namespace guestbook --timeout=90s
refuses "it is gone" "NotFound" -- k get namespace guestbook
[ "$failed" -gt 0 ] && keep_logs "$home" cluster
check "trireme down" "$trireme" down --home "$home"
check "nothing of it is left" [ ! -e "$home" ]

# --- Servers that fail ------------------------------------------------------------------------------------------------

# plays TITLE WORDS…: a run of trireme-chaos finds no anomaly; 3 when it is not possible here.
plays() {
  local title=$1 code
  shift
  "$binaries/trireme-chaos" run "$@" --seed "${CHAOS_SEED:-1}" --home "$scratch/chaos" --trireme "$trireme" --port "$port" \
    2>&1 | tee "$scratch/output" | sed 's/^/          /'
  code=${PIPESTATUS[0]}
  if [ "$code" -eq 3 ]; then return 3; fi
  if [ "$code" -eq 0 ]; then
    pass "$title: no anomaly"
  else
    keep_logs "$scratch/chaos" chaos
    fail "$title" "$scratch/output"
  fi
}

if [ $chaos = yes ]; then
  say "servers on machines of their own, and a fault of each kind"
  plays "every kind of fault" selection --minutes 4 --faults 12
  if [ $? -eq 3 ]; then
    say "- machines cannot be made here (root can): leaders are killed instead"
    plays "leader-kill" leader-kill --kills 3 --minutes 0.4 --network "$network"
  fi
fi

# --- Bad requests ---------------------------------------------------------------------------------------------------

# Servers in a network of their own, which only root can make. The bounds leave room for a busy machine: a request that
# hangs, hangs for longer, and a leak of a minute is larger than what history and the log may take. What is read back is
# FuzzTests' business, where nobody else writes.
if [ $chaos = yes ] && [ "$(id -u)" = 0 ] && unshare --net ip link set lo up 2>/dev/null; then
  say "a minute of bad requests"
  if "$binaries/trireme-chaos" fuzz --minutes 1 --cases 6000 --seed "${FUZZ_SEED:-5}" --no-read-back \
    --patience 60 --growth 400 --home "$scratch/fuzz" \
    --trireme "$trireme" --port "$port" --network "$network" 2>&1 | tee "$scratch/output" | sed 's/^/          /' &&
    [ "${PIPESTATUS[0]}" -eq 0 ]; then
    pass "bad requests: no crash, no 500, no growth, one state"
  else
    keep_logs "$scratch/fuzz" fuzz
    fail "bad requests"
  fi
fi
