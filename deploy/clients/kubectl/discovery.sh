# What a server says of itself: version, groups, resources, documentation.
# shellcheck shell=bash

tells "Client Version: v$version." "Server Version: v1.32." -- version
tells '"gitVersion": "v1.32.' '"minor": "32"' -- version -o json
says "admissionregistration.k8s.io/v1
apiextensions.k8s.io/v1
apiregistration.k8s.io/v1
apps/v1
authentication.k8s.io/v1
authorization.k8s.io/v1
autoscaling/v1
autoscaling/v2
batch/v1
certificates.k8s.io/v1
coordination.k8s.io/v1
discovery.k8s.io/v1
events.k8s.io/v1
flowcontrol.apiserver.k8s.io/v1
networking.k8s.io/v1
node.k8s.io/v1
policy/v1
rbac.authorization.k8s.io/v1
scheduling.k8s.io/v1
storage.k8s.io/v1
v1" api-versions
tells "NAME SHORTNAMES APIVERSION NAMESPACED KIND" "bindings v1 true Binding" "componentstatuses cs v1 false ComponentStatus" \
  "customresourcedefinitions crd,crds apiextensions.k8s.io/v1 false CustomResourceDefinition" \
  "horizontalpodautoscalers hpa autoscaling/v2 true HorizontalPodAutoscaler" \
  "selfsubjectreviews authentication.k8s.io/v1 false SelfSubjectReview" -- api-resources
says "controllerrevisions.apps
daemonsets.apps
deployments.apps
replicasets.apps
statefulsets.apps" api-resources --api-group=apps -o name
tells "deployments deploy apps/v1 true Deployment create,delete,deletecollection,get,list,patch,update,watch all" -- \
  api-resources -o wide --api-group=apps
tells "pods po v1 true Pod" "horizontalpodautoscalers hpa autoscaling/v2 true" "jobs batch/v1 true Job" -- \
  api-resources --categories=all

# Every kind has its documentation, and every field of it. (Those of other parts come and go.)
resources=$(k api-resources --no-headers -o name | grep -vE "\.(com|dev)$")
explained() {
  local resource
  for resource in $resources; do
    # Its dots would be taken for a path; the other Event is asked for by its version below.
    [ "$resource" != events.events.k8s.io ] || continue
    k explain "$resource" "$@" >"$scratch/explained" 2>&1 || { echo "$resource:"; cat "$scratch/explained"; return 1; }
    grep -q "^KIND:" "$scratch/explained" && grep -q "^FIELDS:" "$scratch/explained" || { echo "$resource: no fields"; return 1; }
    if grep -q "no description>" "$scratch/explained"; then echo "$resource: fields without a description"; return 1; fi
  done
}
[ "$version" != 1.32 ] || check "$(title "explain EVERY KIND")" explained
check "$(title "explain --recursive EVERY KIND")" explained --recursive
tells "GROUP: events.k8s.io" "regarding <ObjectReference>" -- explain events --api-version=events.k8s.io/v1
tells "KIND: Pod" "FIELD: imagePullPolicy <string>" "When to pull the image." -- explain pod.spec.containers.imagePullPolicy
tells "GROUP: apps" "KIND: Deployment" "FIELD: maxSurge <IntOrString>" -- \
  explain deployment.spec.strategy.rollingUpdate.maxSurge
# Version 1.28 did not print them.
[ "$version" = 1.28 ] || tells "ENUM:" " IfNotPresent" -- explain pod.spec.containers.imagePullPolicy
tells "VERSION: v1" "targetCPUUtilizationPercentage <integer>" -- explain hpa.spec --api-version=autoscaling/v1
tells "KIND: Pod" "containers <[]Object> -required-" -- explain pod.spec --output=plaintext-openapiv2
denies 'field "nothing" does not exist' -- explain pod.spec.nothing
denies "the server doesn't have a resource type \"unicorns\"" -- explain unicorns

tells "Kubernetes control plane is running at https://" -- cluster-info
runs cluster-info dump --namespaces "$ns" --output-directory "$scratch/dump"
check "$(title "cluster-info dump writes its files")" test -s "$scratch/dump/nodes.json" -a -s "$scratch/dump/$ns/pods.json"
tells "ok" -- get --raw /readyz
tells "[+]" -- get --raw '/livez?verbose'
tells "apiserver_request_total" -- get --raw /metrics
tells '"jwks_uri"' -- get --raw /.well-known/openid-configuration
tells "scheduler Healthy ok" "controller-manager Healthy ok" "etcd-0 Healthy ok" \
  "Warning: v1 ComponentStatus is deprecated in v1.19+" -- get componentstatuses
tells "etcd-0 Healthy ok" -- get cs etcd-0
