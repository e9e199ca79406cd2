# What a kubectl older than all that Kubernetes 1.32 supports can still do here; Debian 12 has version 1.20. It validates
# what it sends by /openapi/v2 and speaks JSON alone.
# shellcheck shell=bash

tells "Server Version" "v1.32." -- version --short
tells "apps/v1" "autoscaling/v2" -- api-versions
tells "deployments deploy apps/v1 true Deployment" -- api-resources
tells "KIND: Deployment" "replicas <integer>" -- explain deployment.spec
says "configmap/settings created" create configmap settings --from-literal=title=Guests
says "secret/opaque created" create secret generic opaque --from-literal=password=secret
says "deployment.apps/web created" create deployment web --image=registry.example/web:1.0 --replicas=2
says "service/web exposed" expose deployment web --port=80
says "horizontalpodautoscaler.autoscaling/web autoscaled" autoscale deployment web --max=5 --cpu-percent=70
says "role.rbac.authorization.k8s.io/reader created" create role reader --verb=get --resource=pods
tells 'deployment "web" successfully rolled out' -- rollout status deployment/web --timeout=60s
tells "web 2/2 2 2" -- get deployment web
tells "NAME READY STATUS RESTARTS AGE IP NODE" "1/1 Running 0" -- get pods -o wide
tells "deployment.apps/web" "service/web" "pod/web-" -- get all
tells "NewReplicaSet: web-" -- describe deployment web
says "deployment.apps/web image updated" set image deployment/web web=registry.example/web:2.0
tells "successfully rolled out" -- rollout status deployment/web --timeout=60s
tells "REVISION CHANGE-CAUSE" "2 <none>" -- rollout history deployment/web
says "deployment.apps/web rolled back" rollout undo deployment/web
says "deployment.apps/web scaled" scale deployment web --replicas=3
says "configmap/settings labeled" label configmap settings tier=front
says "configmap/settings annotated" annotate configmap settings note=kept
says "configmap/settings patched" patch configmap settings -p '{"data":{"size":"3"}}'
says '{"size":"3","title":"Guests"}' get configmap settings -o jsonpath='{.data}'
printf 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: applied}\ndata: {a: "1"}\n' >"$scratch/applied.yaml"
says "configmap/applied created" apply -f "$scratch/applied.yaml"
says "configmap/applied unchanged" apply -f "$scratch/applied.yaml"
sed -i 's/"1"/"2"/' "$scratch/applied.yaml"
denies '+  a: "2"' -- diff -f "$scratch/applied.yaml"
says "configmap/applied configured (server dry run)" apply -f "$scratch/applied.yaml" --dry-run=server
says "configmap/applied configured" apply -f "$scratch/applied.yaml"
says "configmap/applied serverside-applied" apply --server-side --force-conflicts -f "$scratch/applied.yaml"
sed -i '$a unknown: x' "$scratch/applied.yaml"
denies 'unknown field "unknown"' -- apply -f "$scratch/applied.yaml"
says "yes" auth can-i create deployments
denies "no" -- auth can-i create deployments --as=alice
says "node/$node cordoned" cordon "$node"
says "node/$node uncordoned" uncordon "$node"
says 'configmap "settings" deleted' delete configmap settings
denies '(NotFound): configmaps "settings" not found' -- delete configmap settings
says 'deployment.apps "web" deleted' delete deployment web
tells "namespace \"$ns\" deleted" -- delete namespace "$ns" --timeout=90s
