# Who may do what: auth, certificates, impersonation.
# shellcheck shell=bash

says "yes" auth can-i create deployments
denies "no" -- auth can-i create deployments --as=alice
tells "Warning: resource 'nodes' is not namespace scoped" "yes" -- auth can-i get nodes --as=alice
says "yes" auth can-i list pods --as="system:serviceaccount:$ns:robot"
denies "no" -- auth can-i list secrets --as="system:serviceaccount:$ns:robot"
says "yes" auth can-i get /version --as=alice --as-group=system:authenticated
tells "pods [] [] [get list watch]" "selfsubjectreviews.authentication.k8s.io [] [] [create]" "[/api/*] [] [get]" -- \
  auth can-i --list --as="system:serviceaccount:$ns:robot"
tells "ATTRIBUTE VALUE" "Username" "Groups" "system:masters" -- auth whoami
tells "Username alice" "Groups [readers system:authenticated]" -- auth whoami --as=alice --as-group=readers
denies '(Forbidden): pods is forbidden: User "mallory" cannot list resource "pods" in API group "" in the namespace "'"$ns"'"' -- \
  get pods --as=mallory
denies '(Forbidden): nodes is forbidden: User "mallory" cannot list resource "nodes" in API group "" at the cluster scope' -- \
  get nodes --as=mallory
denies '(Forbidden): nodes "'"$node"'" is forbidden: User "mallory" cannot get resource "nodes" in API group "" at the cluster scope' -- \
  get node $node --as=mallory

cat >"$scratch/roles.yaml" <<YAML
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: reconciled, namespace: $ns}
rules: [{apiGroups: [""], resources: [configmaps], verbs: [get]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: reconciled, namespace: $ns}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: reconciled}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: dave}]
YAML
tells "role.rbac.authorization.k8s.io/reconciled reconciled" "rolebinding.rbac.authorization.k8s.io/reconciled reconciled" -- \
  auth reconcile -f "$scratch/roles.yaml"
says "yes" auth can-i get configmaps --as=dave
sed -i 's/verbs: \[get\]/verbs: [get, list]/' "$scratch/roles.yaml"
tells "missing rules added" -- auth reconcile -f "$scratch/roles.yaml"
says "yes" auth can-i list configmaps --as=dave
runs create rolebinding makers --clusterrole=edit --user=frank
runs create role maker --verb=create,get --resource=roles.rbac.authorization.k8s.io
runs create rolebinding making --role=maker --user=frank
denies 'roles.rbac.authorization.k8s.io "more" is forbidden: user "frank" (groups=["system:authenticated"]) is attempting to grant RBAC permissions not currently held:' \
  '{APIGroups:[""], Resources:["nodes"], Verbs:["get"]}' -- create role more --verb=get --resource=nodes --as=frank

openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/O=readers/CN=erin" -keyout "$scratch/erin.key" \
  -out "$scratch/erin.csr"
request() {
  cat <<YAML
apiVersion: certificates.k8s.io/v1
kind: CertificateSigningRequest
metadata: {name: $1}
spec:
  request: $(base64 -w0 "$scratch/erin.csr")
  signerName: kubernetes.io/kube-apiserver-client
  usages: [client auth]
YAML
}
runs apply -f - < <(request "erin-$ns")
tells "Pending" "kubernetes.io/kube-apiserver-client" -- get csr "erin-$ns"
says "certificatesigningrequest.certificates.k8s.io/erin-$ns approved" certificate approve "erin-$ns"
signed() { k get csr "erin-$ns" -o jsonpath='{.status.certificate}' | base64 -d >"$scratch/erin.crt" && test -s "$scratch/erin.crt"; }
check "$(title "the certificate is signed")" within 30 signed
tells "Approved,Issued" -- get csr "erin-$ns"
check "$(title "auth whoami with it")" bash -c "'$kubectl' --kubeconfig /dev/null --server '$server' \
  --certificate-authority '$authority' --client-certificate '$scratch/erin.crt' --client-key '$scratch/erin.key' \
  auth whoami -o jsonpath='{.status.userInfo.username} {.status.userInfo.groups[0]}' | grep -x 'erin readers'"
runs apply -f - < <(request "denied-$ns")
says "certificatesigningrequest.certificates.k8s.io/denied-$ns denied" certificate deny "denied-$ns"
tells "Denied" -- get csr "denied-$ns"
runs delete csr "erin-$ns" "denied-$ns"
