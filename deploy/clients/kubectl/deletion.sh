# delete and its cascades, finalizers, waiting.
# shellcheck shell=bash

replicaset=$(value '{.items[0].metadata.name}' replicasets -l app=sleeper)
says 'deployment.apps "sleeper" deleted' delete deployment sleeper --cascade=orphan
says "replicaset.apps/$replicaset" get replicasets -l app=sleeper -o name
orphaned() { [ -z "$(value '{.metadata.ownerReferences}' replicaset "$replicaset")" ]; }
check "$(title "the ReplicaSet is nobody's")" within 20 orphaned
says "replicaset.apps \"$replicaset\" deleted" delete replicaset "$replicaset" --cascade=foreground
says "" get pods -l app=sleeper -o name
says 'configmap "pairs" deleted' delete configmap pairs
denies '(NotFound): configmaps "pairs" not found' -- delete configmap pairs
says "" delete configmap pairs --ignore-not-found
says 'configmap "files" deleted (server dry run)' delete configmap files --dry-run=server
tells 'deleted' -- delete configmaps -l set=pruned
says "No resources found" delete configmaps -l set=pruned
says "pod \"alone\" deleted" delete pod alone --now
tells 'pod "' "force deleted" "Warning: Immediate deletion does not wait" -- delete pods -l app=old --grace-period=0 --force
runs create configmap held
says "configmap/held patched" patch configmap held -p '{"metadata":{"finalizers":["example.com/hold"]}}'
says 'configmap "held" deleted' delete configmap held --wait=false
says "Terminating" get configmap held -o go-template='{{if .metadata.deletionTimestamp}}Terminating{{end}}'
denies "timed out waiting for the condition" -- wait configmap/held --for=delete --timeout=1s
says "configmap/held patched" patch configmap held --type=merge -p '{"metadata":{"finalizers":null}}'
runs wait configmap/held --for=delete --timeout=20s
if [ "$version" != 1.28 ]; then
  (sleep 1 && k create configmap late) >/dev/null 2>&1 &
  says "configmap/late condition met" wait configmap/late --for=create --timeout=20s
fi
says 'service "web" deleted' delete service web
says 'job.batch "once" deleted' delete job once
gone() { [ -z "$(k get pods -l job-name=once -o name)" ]; }
check "$(title "its pods go with it")" within 20 gone
tells "clusterrole.rbac.authorization.k8s.io \"reader-$ns\" deleted" -- delete clusterrole "reader-$ns" "paths-$ns" "sum-$ns"
runs delete "clusterrolebinding/reads-$ns" "priorityclass/urgent-$ns"
tells "namespace \"$ns\" deleted" -- delete namespace "$ns" --timeout=90s
denies "(NotFound): namespaces \"$ns\" not found" -- get namespace "$ns"
