# Every generator of `create`, `run`, `expose` and `autoscale`, and what they make.
# shellcheck shell=bash

says "configmap/settings created" create configmap settings --from-literal=title=Guests --from-literal=size=3
printf 'A=1\nB=2\n' >"$scratch/pairs"
says "configmap/pairs created" create configmap pairs --from-env-file="$scratch/pairs"
head -c 64 /dev/urandom >"$scratch/binary"
says "configmap/files created" create configmap files --from-file=text="$scratch/pairs" --from-file="$scratch/binary"
tells "NAME DATA AGE" "pairs 2 " -- get configmap pairs
check "$(title "a file that is no text comes back as it was")" \
  bash -c "'$kubectl' -n '$ns' get configmap files -o jsonpath='{.binaryData.binary}' | base64 -d | cmp - '$scratch/binary'"
denies 'configmaps "settings" already exists' -- create configmap settings

says "secret/opaque created" create secret generic opaque --from-literal=password=secret
says "c2VjcmV0" get secret opaque -o jsonpath='{.data.password}'
says "secret/registry created" create secret docker-registry registry --docker-server=registry.example --docker-username=u \
  --docker-password=p
says "kubernetes.io/dockerconfigjson" get secret registry -o jsonpath='{.type}'
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=web -days 1 -keyout "$scratch/tls.key" \
  -out "$scratch/tls.crt"
says "secret/tls created" create secret tls tls --cert="$scratch/tls.crt" --key="$scratch/tls.key"
says "kubernetes.io/tls" get secret tls -o jsonpath='{.type}'

says "serviceaccount/robot created" create serviceaccount robot
says "deployment.apps/web created" create deployment web --image=registry.example/web:1.0 --replicas=3 --port=8080
says "deployment.apps/sleeper created" create deployment sleeper --image=registry.example/sleep:1 -- sleep 1d
says '["sleep","1d"]' get deployment sleeper -o jsonpath='{.spec.template.spec.containers[0].command}'
says "cronjob.batch/nightly created" create cronjob nightly --image=registry.example/job:1 --schedule='0 3 * * *' -- run
says "job.batch/once created" create job once --image=registry.example/job:1 -- run
says "job.batch/early created" create job early --from=cronjob/nightly
says "CronJob/nightly" get job early -o jsonpath='{.metadata.ownerReferences[0].kind}/{.metadata.ownerReferences[0].name}'
says "manual" get job early -o jsonpath='{.metadata.annotations.cronjob\.kubernetes\.io/instantiate}'

says "service/cluster created" create service clusterip cluster --tcp=80:8080
says "service/headless created" create service clusterip headless --clusterip=None
says "None" get service headless -o jsonpath='{.spec.clusterIP}'
says "service/node created" create service nodeport node --tcp=80:8080
says "service/balanced created" create service loadbalancer balanced --tcp=443:8443
says "service/outside created" create service externalname outside --external-name=example.com
tells "outside ExternalName <none> example.com <none>" "balanced LoadBalancer" "<pending> 443:3" "node NodePort" -- get services
says "ingress.networking.k8s.io/front created" create ingress front --class=nginx \
  --rule="guests.example/path*=cluster:80,tls=tls"
tells "front nginx guests.example 80, 443" -- get ingress front
says "resourcequota/limits created" create quota limits --hard=pods=40,services=20,count/deployments.apps=10
says "poddisruptionbudget.policy/web created" create poddisruptionbudget web --selector=app=web --min-available=1
says "priorityclass.scheduling.k8s.io/urgent-$ns created" create priorityclass "urgent-$ns" --value=1000 --description=urgent
says "role.rbac.authorization.k8s.io/reader created" create role reader --verb=get,list,watch --resource=pods,deployments.apps
says "rolebinding.rbac.authorization.k8s.io/reads created" create rolebinding reads --role=reader \
  --serviceaccount="$ns:robot"
says "clusterrole.rbac.authorization.k8s.io/reader-$ns created" create clusterrole "reader-$ns" --verb=get \
  --resource=nodes --resource=pods/log
says "clusterrole.rbac.authorization.k8s.io/paths-$ns created" create clusterrole "paths-$ns" --verb=get \
  --non-resource-url=/metrics
says "clusterrole.rbac.authorization.k8s.io/sum-$ns created" create clusterrole "sum-$ns" \
  --aggregation-rule="part-of=$ns"
says "clusterrolebinding.rbac.authorization.k8s.io/reads-$ns created" create clusterrolebinding "reads-$ns" \
  --clusterrole="reader-$ns" --user=alice --group=readers
check "$(title "create token robot: a token that the server knows")" bash -c "
  token=\$('$kubectl' -n '$ns' create token robot --duration=10m) &&
  '$kubectl' --kubeconfig /dev/null --server '$server' --certificate-authority '$authority' --token \"\$token\" \
    auth whoami -o jsonpath='{.status.userInfo.username}' | grep -x 'system:serviceaccount:$ns:robot'"
denies "may not specify a duration less than 10 minutes" -- create token robot --duration=1m

says "namespace/dry-$ns created (server dry run)" create namespace "dry-$ns" --dry-run=server
denies '(NotFound): namespaces "dry-' -- get namespace "dry-$ns"
tells "kind: Deployment" "replicas: 2" -- create deployment local --image=i --replicas=2 --dry-run=client -o yaml
says "pod/alone created" run alone --image=registry.example/alone:1 --port=80 --labels=app=alone --env=A=1
says '[{"name":"A","value":"1"}]' get pod alone -o jsonpath='{.spec.containers[0].env}'
says "service/alone exposed" expose pod alone --port=80 --target-port=8080
says "service/web exposed" expose deployment web --port=80 --target-port=8080 --type=NodePort
says "app=web" get service web -o jsonpath='{range .spec.selector.*}app={@}{end}'
says "horizontalpodautoscaler.autoscaling/web autoscaled" autoscale deployment web --min=2 --max=5 --cpu-percent=70
says "v2 2-5 70" get hpa web -o go-template='{{slice .apiVersion 12}} {{.spec.minReplicas}}-{{.spec.maxReplicas}} {{(index .spec.metrics 0).resource.target.averageUtilization}}'
says "70" get horizontalpodautoscalers.v1.autoscaling web -o jsonpath='{.spec.targetCPUUtilizationPercentage}'
