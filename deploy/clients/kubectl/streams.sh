# Streams into running containers: exec, attach, cp, port-forward, logs, through a server to a kubelet (kubelet.py).
# shellcheck shell=bash

streams=$scratch/streams
mkdir -p "$streams/container"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1 -subj "/CN=kubelet" \
  -keyout "$streams/kubelet.key" -out "$streams/kubelet.crt" 2>/dev/null
python3 deploy/clients/kubelet/kubelet.py "$streams/kubelet.crt" "$streams/kubelet.key" "$authority" \
  "$streams/container" >"$streams/port" 2>"$streams/kubelet.log" &
background+=("$!")
check "a kubelet listens" within 30 test -s "$streams/port"
kubelet_node=streams-${version/./-}

runs apply -f - < <(cat <<YAML
apiVersion: v1
kind: Node
metadata: {name: $kubelet_node}
---
apiVersion: v1
kind: Pod
metadata: {name: streams, namespace: $ns}
spec:
  nodeName: $kubelet_node
  containers: [{name: main, image: none}, {name: other, image: none}]
YAML
)
runs patch node "$kubelet_node" --subresource=status --type=merge -p '{"status": {
  "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
  "daemonEndpoints": {"kubeletEndpoint": {"Port": '"$(cat "$streams/port")"'}}}}'
runs patch pod streams --subresource=status --type=merge -p '{"status": {"phase": "Running",
  "containerStatuses": [
    {"name": "main", "image": "none", "imageID": "", "ready": true, "restartCount": 0,
     "state": {"running": {"startedAt": "2025-01-01T00:00:00Z"}}},
    {"name": "other", "image": "none", "imageID": "", "ready": true, "restartCount": 0,
     "state": {"running": {"startedAt": "2025-01-01T00:00:00Z"}}}]}}'

# ends CODE ARGUMENT…: kubectl ends with this code.
ends() {
  local code=$1 status=0
  shift
  timeout 60 "$kubectl" -n "$ns" "$@" >"$scratch/output" 2>&1 || status=$?
  if [ "$status" = "$code" ]; then pass "kubectl $version $* ends with $code"; else
    fail "kubectl $version $* ends with $code, not $status" "$scratch/output"
  fi
}
in_pod() { timeout 60 "$kubectl" -n "$ns" exec "$@"; }

says "hello from there" exec streams -c main -- sh -c 'echo hello from there'
ends 7 exec streams -c main -- sh -c 'exit 7'
denies "command terminated with exit code 3" -- exec streams -c main -- sh -c 'exit 3'
denies 'error executing command in container: "no-such-program"' -- exec streams -c main -- no-such-program
denies "container nobody is not valid for pod streams" -- exec streams -c nobody -- true
in_pod streams -c main -- sh -c 'echo out; echo err >&2' >"$streams/out" 2>"$streams/err"
check "kubectl $version exec: output and errors come apart" \
  sh -c '[ "$(cat "$1")" = out ] && [ "$(cat "$2")" = err ]' - "$streams/out" "$streams/err"

# Since 1.30 and 1.31 kubectl speaks WebSocket, and falls back to SPDY alone where that is refused.
if [ "${version#1.}" -ge 32 ]; then
  in_pod -v=4 streams -c main -- true >"$streams/spoken" 2>&1
  check "kubectl $version exec speaks WebSocket" sh -c '! grep -i fallback "$1"' - "$streams/spoken"
fi

# Five megabytes each way: the end of the input is seen, nothing is lost, nothing is turned.
head -c 5000000 /dev/urandom >"$streams/noise"
in_pod -i streams -c main -- sha256sum <"$streams/noise" >"$streams/sum"
check "kubectl $version exec -i: what is put in arrives whole, and ends" \
  grep -q "^$(sha256sum <"$streams/noise" | cut -c 1-64) " "$streams/sum"
cp "$streams/noise" "$streams/container/noise"
in_pod streams -c main -- cat noise >"$streams/back"
check "kubectl $version exec: what comes out is whole" cmp "$streams/noise" "$streams/back"

runs cp "$streams/noise" "$ns/streams:copied" -c main
check "kubectl $version cp to a container" cmp "$streams/noise" "$streams/container/copied"
runs cp "$ns/streams:copied" "$streams/fetched" -c main
check "kubectl $version cp from a container" cmp "$streams/noise" "$streams/fetched"

# A terminal has a size, one stream for all, and says so.
timeout 60 script -qefc "stty rows 31 cols 97; $kubectl -n $ns exec -it streams -c main -- sh -c \
  'until [ \"\$(stty size)\" = \"31 97\" ]; do sleep 0.1; done; tty; echo to errors >&2'" /dev/null \
  </dev/null >"$streams/terminal" 2>&1
check "kubectl $version exec -it: a terminal of the size of ours" \
  sh -c 'grep -q "/dev/pts/" "$1" && grep -q "to errors" "$1"' - "$streams/terminal"

printf 'one\ntwo\n' | timeout 60 "$kubectl" -n "$ns" attach -i streams -c main >"$streams/attached" 2>&1
check "kubectl $version attach -i: what the process says to what is put in" \
  sh -c 'grep -q "^attached: one" "$1" && grep -q "^attached: two" "$1"' - "$streams/attached"

# A port of this machine is the pod's.
python3 -m http.server --bind 127.0.0.1 --directory "$streams/container" 0 >"$streams/http.log" 2>&1 &
background+=("$!")
check "a program listens in the pod" within 30 grep -q "port [0-9]" "$streams/http.log"
there=$(grep -oE 'port [0-9]+' "$streams/http.log" | cut -c 6-)
timeout 120 "$kubectl" -n "$ns" -v=4 port-forward pod/streams ":$there" >"$streams/forward.log" 2>&1 &
background+=("$!")
check "kubectl $version port-forward listens" within 30 grep -q "Forwarding from 127.0.0.1" "$streams/forward.log"
here=$(grep -oE '127\.0\.0\.1:[0-9]+' "$streams/forward.log" | head -n 1)
for attempt in 1 2 3; do
  check "kubectl $version port-forward carries connection $attempt" \
    sh -c 'curl -sS --max-time 60 "http://$1/noise" | cmp - "$2"' - "$here" "$streams/noise"
done

if [ "${version#1.}" -ge 32 ]; then
  check "kubectl $version port-forward speaks WebSocket" sh -c '! grep -i fallback "$1"' - "$streams/forward.log"
fi

printf 'first\nsecond\nthird\n' >"$streams/container/log"
says "$(printf 'first\nsecond\nthird')" logs streams -c main
says "third" logs streams -c main --tail=1
denies 'PodLogOptions "streams" is invalid: sinceSeconds: Invalid value: -5: must be greater than 0' -- \
  get --raw "/api/v1/namespaces/$ns/pods/streams/log?container=main&sinceSeconds=-5"
denies "a container name must be specified for pod streams, choose one of: [main other]" -- \
  get --raw "/api/v1/namespaces/$ns/pods/streams/log"
timeout 60 "$kubectl" -n "$ns" logs -f streams -c main >"$streams/followed" 2>&1 &
follower=$!
check "kubectl $version logs -f begins" within 30 grep -q third "$streams/followed"
echo fourth >>"$streams/container/log"
check "kubectl $version logs -f goes on" within 30 grep -q fourth "$streams/followed"
touch "$streams/container/log.end"
check "kubectl $version logs -f ends with the log" wait "$follower"

denies "Upgrade request required" -- get --raw "/api/v1/namespaces/$ns/pods/streams/exec?command=ls&container=main"
runs delete pod streams --grace-period=0 --force
runs delete node "$kubelet_node"
