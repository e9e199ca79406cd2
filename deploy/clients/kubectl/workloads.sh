# set, scale and rollout of every kind that has them; wait; quotas and budgets at work.
# shellcheck shell=bash

tells 'deployment "web" successfully rolled out' -- rollout status deployment/web --timeout=60s
tells "web 3/3 3 3" -- get deployment web
says "deployment.apps/web image updated" set image deployment/web web=registry.example/web:2.0
tells "successfully rolled out" -- rollout status deployment/web --timeout=60s
tells "deployment.apps/web env updated" -- set env deployment/web MODE=fast --from=configmap/settings --prefix=S_
tells "MODE=fast" "# S_TITLE from configmap settings, key title" -- set env deployment/web --list
says "deployment.apps/web resource requirements updated" set resources deployment/web --requests=cpu=10m,memory=16Mi \
  --limits=memory=64Mi
says "deployment.apps/web serviceaccount updated" set serviceaccount deployment/web robot
says "rolebinding.rbac.authorization.k8s.io/reads subjects updated" set subject rolebinding reads --user=carol
says "robot carol" get rolebinding reads -o jsonpath='{.subjects[*].name}'
says "service/cluster selector updated" set selector service cluster app=web,tier=front
says '{"app":"web","tier":"front"}' get service cluster -o jsonpath='{.spec.selector}'
tells "successfully rolled out" -- rollout status deployment/web --timeout=60s
tells "deployment.apps/web" "REVISION CHANGE-CAUSE" " <none>" -- rollout history deployment/web
tells "revision #2" "Image: registry.example/side:1" -- rollout history deployment/web --revision=2
runs annotate deployment web kubernetes.io/change-cause=faster
tells " faster" -- rollout history deployment/web
says "deployment.apps/web paused" rollout pause deployment/web
denies 'deployments.apps "web" is already paused' -- rollout pause deployment/web
says "deployment.apps/web resumed" rollout resume deployment/web
says "deployment.apps/web restarted" rollout restart deployment/web
tells "successfully rolled out" -- rollout status deployment/web --timeout=60s
says "deployment.apps/web rolled back" rollout undo deployment/web --to-revision=3
tells "successfully rolled out" -- rollout status deployment/web --timeout=60s
says "registry.example/web:1.0" get deployment web -o jsonpath='{.spec.template.spec.containers[0].image}'
denies 'unable to find specified revision 99 in history' -- rollout undo deployment/web --to-revision=99

says "deployment.apps/web scaled" scale deployment web --replicas=2
says "deployment.apps/web scaled" scale deployment web --current-replicas=2 --replicas=4
denies "Expected replicas to be 2, was 4" -- scale deployment web --current-replicas=2 --replicas=3
denies 'spec.replicas: Invalid value: -1' -- patch deployment web -p '{"spec":{"replicas":-1}}'
says "deployment.apps/web condition met" wait deployment/web --for=condition=Available --timeout=60s
becomes 4 '{.status.readyReplicas}' deployment web
says "deployment.apps/web condition met" wait deployment/web --for=jsonpath='{.status.readyReplicas}'=4 --timeout=30s
denies "timed out waiting for the condition" -- wait deployment/web --for=condition=Nothing --timeout=1s
says "scale.autoscaling/web patched" patch deployment web --subresource=scale --type=merge -p '{"spec":{"replicas":3}}'

k apply -f - >"$scratch/output" 2>&1 <<YAML || fail "kubectl $version: the workloads are applied" "$scratch/output"
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: store}
spec:
  serviceName: headless
  replicas: 2
  selector: {matchLabels: {app: store}}
  template:
    metadata: {labels: {app: store}}
    spec: {terminationGracePeriodSeconds: 1, containers: [{name: store, image: "registry.example/store:1"}]}
  volumeClaimTemplates:
  - metadata: {name: data}
    spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: agent}
spec:
  selector: {matchLabels: {app: agent}}
  template:
    metadata: {labels: {app: agent}}
    spec:
      terminationGracePeriodSeconds: 1
      # (Other stories taint nodes for a moment.)
      tolerations: [{operator: Exists}]
      containers: [{name: agent, image: "registry.example/agent:1"}]
---
apiVersion: v1
kind: ReplicationController
metadata: {name: old}
spec:
  replicas: 1
  selector: {app: old}
  template:
    metadata: {labels: {app: old}}
    spec: {containers: [{name: old, image: "registry.example/old:1"}]}
YAML
for workload in statefulset/store daemonset/agent; do
  resource=${workload%/*} name=${workload#*/}
  tells "roll" -- rollout status "$workload" --timeout=80s
  says "$resource.apps/$name image updated" set image "$workload" "*=registry.example/$name:2"
  tells "roll" -- rollout status "$workload" --timeout=80s
  tells "$resource.apps/$name" "REVISION CHANGE-CAUSE" "1 <none>" "2 <none>" -- rollout history "$workload"
  tells "Image: registry.example/$name:1" -- rollout history "$workload" --revision=1
  says "$resource.apps/$name restarted" rollout restart "$workload"
  tells "roll" -- rollout status "$workload" --timeout=80s
  says "$resource.apps/$name rolled back" rollout undo "$workload" --to-revision=1
  tells "roll" -- rollout status "$workload" --timeout=80s
  says "registry.example/$name:1" get "$resource" "$name" -o jsonpath='{.spec.template.spec.containers[0].image}'
  tells "3 <none>" "4 <none>" -- rollout history "$workload"
  tells "(current template already matches revision 4)" -- rollout undo "$workload" --to-revision=4
done
says "partitioned roll out complete: 2 new pods have been updated..." rollout status statefulset/store --timeout=10s
says 'daemon set "agent" successfully rolled out' rollout status daemonset/agent --timeout=10s
tells "store 2/2" -- get statefulset store
tells "agent 5 5 5 5 5 <none>" -- get daemonset agent
tells "data-store-0 Bound pvc-" "RWO local-path" -- get pvc data-store-0
says "statefulset.apps/store scaled" scale statefulset store --replicas=1
becomes 1 '{.status.replicas}' statefulset store
says "replicationcontroller/old scaled" scale rc old --replicas=2
becomes 2 '{.status.readyReplicas}' rc old
says "cronjob.batch/nightly patched" patch cronjob nightly -p '{"spec":{"suspend":true}}'
tells "nightly 0 3 * * * <none> True" -- get cronjob nightly
denies "field is immutable" -- patch job once -p '{"spec":{"completionMode":"Indexed","completions":2}}'

# A quota that is used up.
runs create quota few --hard=secrets=0
denies 'secrets "more" is forbidden: exceeded quota: few, requested: secrets=1, used: secrets=' 'limited: secrets=0' -- \
  create secret generic more
runs delete quota few

# An autoscaler with what only autoscaling/v2 can say comes through v1 unharmed.
runs apply -f - <<YAML
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: busy}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: StatefulSet, name: store}
  maxReplicas: 9
  metrics:
  - {type: Pods, pods: {metric: {name: requests}, target: {type: AverageValue, averageValue: "50"}}}
  - {type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 60}}}
  behavior: {scaleDown: {stabilizationWindowSeconds: 60}}
YAML
before=$(value '{.spec}' hpa busy)
says '[{"type":"Pods","pods":{"metricName":"requests","targetAverageValue":"50"}}]' \
  get horizontalpodautoscalers.v1.autoscaling busy -o jsonpath='{.metadata.annotations.autoscaling\.alpha\.kubernetes\.io/metrics}'
k get horizontalpodautoscalers.v1.autoscaling busy -o json | sed 's/"maxReplicas": 9/"maxReplicas": 8/' >"$scratch/busy.json"
says "horizontalpodautoscaler.autoscaling/busy replaced" replace -f "$scratch/busy.json"
says "${before/:9/:8}" get hpa busy -o jsonpath='{.spec}'
says "" get hpa busy -o jsonpath='{.metadata.annotations.autoscaling\.alpha\.kubernetes\.io/metrics}'

# A claim is protected while it is there.
runs apply -f - <<YAML
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
YAML
says '["kubernetes.io/pvc-protection"]' get pvc data -o jsonpath='{.metadata.finalizers}'
tells "Finalizers: [kubernetes.io/pvc-protection]" "Status: Pending" -- describe pvc data
says 'persistentvolumeclaim "data" deleted' delete pvc data --timeout=30s
