# get in every form, describe of every kind, events, watching.
# shellcheck shell=bash

tells "NAME READY UP-TO-DATE AVAILABLE AGE CONTAINERS IMAGES SELECTOR" "web registry.example/web:1.0 app=web" -- \
  get deployments -o wide
tells "kind: Deployment" "apiVersion: apps/v1" -- get deployment web -o yaml
tells '"kind": "Deployment"' -- get deployment web -o json
says "deployment.apps/web" get deployment web -o name
says "web:3" get deployment web -o jsonpath='{.metadata.name}:{.spec.replicas}'
says '[
    "web"
]' get deployment web -o jsonpath-as-json='{.metadata.name}'
says "NAME   WANTED
web    3" get deployment web -o custom-columns=NAME:.metadata.name,WANTED:.spec.replicas
says "web" get deployment web -o go-template='{{.metadata.name}}'
tells "LABELS" "app=web" -- get deployment web --show-labels
tells "APP" "web" -- get deployment web -L app
says "deployment.apps/web" get deployments --field-selector=metadata.name=web -o name
denies 'Error from server (BadRequest): Unable to find "/v1, Resource=pods"' 'field label not supported: spec.colour' -- get pods --field-selector=spec.colour=red
says "configmap/files
configmap/settings" get configmaps settings files -o name --sort-by=.metadata.name
tells "deployment.apps/web" "service/web" "replicaset.apps/web-" "pod/web-" "statefulset.apps/store" "daemonset.apps/agent" \
  "cronjob.batch/nightly" "job.batch/once" "horizontalpodautoscaler.autoscaling/web" "replicationcontroller/old" -- get all
says "$(k get pods -o name)" get pods --chunk-size=2 -o name
pod=$(k get pods -l app=web -o jsonpath='{.items[0].metadata.name}')
tells "NAME READY STATUS RESTARTS AGE IP NODE NOMINATED NODE READINESS GATES" "$pod 1/1 Running 0" -- get pods -o wide
tells "pod/$pod" -- get pods -o name --field-selector=status.phase=Running,spec.restartPolicy=Always
tells "web 3 3" -- get deployment web --subresource=scale
tells "NAME" -- get deployment web --subresource=status
says "" get pods -l app=nobody -o name
says "No resources found in $ns namespace." get pods -l app=nobody
denies '(NotFound): pods "nobody" not found' -- get pod nobody
says "" get pod nobody --ignore-not-found
denies "(NotFound): " -- get --raw "/api/v1/namespaces/$ns/pods/nobody"
says "configmap/settings" get -f - -o name <<<'{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"settings"}}'
tells "$ns" -- get pods -A
tells "$node Ready" -- get nodes
tells '"items":[]' -- get --raw "/api/v1/namespaces/$ns/pods?labelSelector=app%3Dnobody"

# A watch sees what happens, in order.
: >"$scratch/watched"
timeout 60 "$kubectl" -n "$ns" get configmaps --watch --output-watch-events --no-headers >"$scratch/watched" 2>/dev/null &
watch=$!
watching() { grep -q settings "$scratch/watched"; }
within 20 watching
k create configmap watched --from-literal=a=1 >/dev/null
k patch configmap watched -p '{"data":{"b":"2"}}' >/dev/null
k delete configmap watched >/dev/null
saw() { [ "$(awk '$2 == "watched" { print $1 ":" $3 }' "$scratch/watched" | tr '\n' ' ')" = "ADDED:1 MODIFIED:2 DELETED:2 " ]; }
if within 30 saw; then pass "$(title "get configmaps --watch --output-watch-events")"; else
  fail "$(title "get configmaps --watch --output-watch-events")" "$scratch/watched"
fi
kill "$watch"
wait "$watch"
: >"$scratch/watched"
timeout 60 "$kubectl" -n "$ns" get configmap settings --watch -o jsonpath='{.data.size}{"\n"}' >"$scratch/watched" 2>/dev/null &
watch=$!
watching() { grep -q 3 "$scratch/watched"; }
within 20 watching
k patch configmap settings -p '{"data":{"size":"4"}}' >/dev/null
saw() { [ "$(tr '\n' ' ' <"$scratch/watched")" = "3 4 " ]; }
if within 30 saw; then pass "$(title "get configmap settings --watch")"; else
  fail "$(title "get configmap settings --watch")" "$scratch/watched"
fi
kill "$watch"
wait "$watch"

# --- Describe -------------------------------------------------------------------------------------------------------

tells "Name: web" "StrategyType: RollingUpdate" "NewReplicaSet: web-" "ScalingReplicaSet" -- describe deployment web
tells "Name: $pod" "Status: Running" "QoS Class: BestEffort" "Scheduled" "Successfully assigned $ns/$pod to node-" -- \
  describe pod "$pod"
tells "Name: $node" "Allocated resources:" "Non-terminated Pods:" "cpu" -- describe node $node
tells "Type: NodePort" "Endpoints: 10." -- describe service web
tells "Type: kubernetes.io/tls" "tls.crt:" -- describe secret tls
tells "Metrics:" "resource cpu on pods (as a percentage of request): <unknown> / 70%" "Min replicas: 2" -- describe hpa web
tells "Min available: 1" "Allowed disruptions:" -- describe pdb web
tells "cluster:80" "nginx" -- describe ingress front
tells "Update Strategy: RollingUpdate" "Replicas: 1 desired | 1 total" \
  "create Pod store-0 in StatefulSet store successful" "delete Pod store-1 in StatefulSet store successful" -- \
  describe statefulset store
tells "Desired Number of Nodes Scheduled: 5" "SuccessfulCreate" "Created pod: agent-" -- describe daemonset agent
tells "Completion Mode: NonIndexed" -- describe job once
tells "Schedule: 0 3 * * *" "Suspend: True" -- describe cronjob nightly
tells "Resource Used Hard" "services" -- describe quota limits
# Those of other parts come and go.
kinds=$("$kubectl" api-resources --verbs=list -o name | grep -vE "\.(com|dev)$" | paste -sd ,)
# Namespaces and definitions of other parts may go between their listing and their description: then once more.
described() { k describe "$kinds" 2>&1 >"$scratch/described"; }
check "$(title "describe $kinds")" within 90 described
for text in "Name: web" "Name: cluster-admin" "Name: $node" "Name: catch-all" "Name: etcd-0"; do
  check "$(title "describe of every kind: $text")" grep -qE -- "${text/ / +}" "$scratch/described"
done
tells "deployment.apps/web" "clusterrole.rbac.authorization.k8s.io/cluster-admin" "node/$node" \
  "flowschema.flowcontrol.apiserver.k8s.io/catch-all" "componentstatus/etcd-0" -- get "$kinds" -A -o wide

# --- Events ---------------------------------------------------------------------------------------------------------

tells "LAST SEEN TYPE REASON OBJECT MESSAGE" "Normal ScalingReplicaSet Deployment/web Scaled up replica set web-" -- \
  events --for deployment/web
tells "SuccessfulCreate" -- events --types=Normal
tells "deployment-controller" -- get events --field-selector=involvedObject.kind=Deployment,reason=ScalingReplicaSet -o wide
tells '"reportingController":"deployment-controller"' '"note":"Scaled up replica set web-' '"regarding":{"kind":"Deployment"' -- \
  get --raw "/apis/events.k8s.io/v1/namespaces/$ns/events?fieldSelector=regarding.name%3Dweb"
