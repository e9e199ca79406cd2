# Nodes: taint, cordon, drain with a budget in the way, top without metrics, debug without containers.
# shellcheck shell=bash

says "node/$node tainted" taint nodes "$node" "story=$ns:NoSchedule"
tells "Taints: story=$ns:NoSchedule" -- describe node "$node"
denies "already has story taint(s) with same effect(s) and --overwrite is false" -- taint nodes "$node" story=other:NoSchedule
says "node/$node modified" taint nodes "$node" story=other:NoSchedule --overwrite
says "node/$node untainted" taint nodes "$node" story-
says "node/$node cordoned" cordon "$node"
says "node/$node already cordoned" cordon "$node"
tells "$node Ready,SchedulingDisabled" -- get node "$node"
becomes node.kubernetes.io/unschedulable '{.spec.taints[0].key}' node "$node"
says "node/$node uncordoned" uncordon "$node"
# A pod of the DaemonSet, and one that nobody looks after.
agent=$(k get pods -l app=agent --field-selector=spec.nodeName="$node" -o jsonpath='{.items[0].metadata.name}')
runs run stray --labels=app=stray --image=registry.example/stray:1 --overrides="{\"spec\":{\"nodeName\":\"$node\"}}"
becomes 3 '{.status.currentHealthy}' pdb web
# Only this story's pods: others use the node as well.
runs cordon "$node"
check "$(title "label pods -l app!=alone")" k label pods -l app!=alone "story=$ns"
denies "cannot delete DaemonSet-managed Pods (use --ignore-daemonsets to ignore): $ns/$agent" \
  "declare no controller (use --force to override): $ns/stray" -- \
  drain "$node" --pod-selector="story=$ns"
tells "ignoring DaemonSet-managed Pods: $ns/$agent" "evicting pod $ns/stray" "pod/stray evicted" \
  "node/$node drained" -- drain "$node" --pod-selector="story=$ns" --ignore-daemonsets --force --timeout=60s
left() { k get pods --field-selector=spec.nodeName="$node" --no-headers -l "story=$ns,app!=agent"; }
emptied() { [ -z "$(left 2>/dev/null)" ]; }
if within 30 emptied; then pass "$(title "only the DaemonSet's pod stays on $node")"; else
  left >"$scratch/output" 2>&1
  fail "$(title "only the DaemonSet's pod stays on $node")" "$scratch/output"
fi
runs uncordon "$node"
# A budget that allows nothing.
runs run guarded --labels=app=guarded --image=registry.example/guarded:1 --overrides="{\"spec\":{\"nodeName\":\"$node\"}}"
runs create poddisruptionbudget guarded --selector=app=guarded --min-available=1
runs wait pod/guarded --for=condition=Ready --timeout=30s
becomes "0 1" '{.status.disruptionsAllowed} {.status.currentHealthy}' pdb guarded
denies "Cannot evict pod as it would violate the pod's disruption budget" "timeout" -- \
  drain "$node" --force --pod-selector=app=guarded --timeout=2s
runs uncordon "$node"
runs delete pdb/guarded pod/guarded
# Debugging, as far as it goes without a container that runs.
pod=$(value '{.items[0].metadata.name}' pods -l app=web)
runs debug "$pod" --image=registry.example/debug:1 --container=probe
says "probe" get pod "$pod" -o jsonpath='{.spec.ephemeralContainers[*].name}'
runs debug "$pod" --copy-to=copied --container=web --image=registry.example/web:debug
says "registry.example/web:debug" get pod copied -o jsonpath='{.spec.containers[*].image}'
tells "Creating debugging pod node-debugger-$node-" "with container debugger on node $node" -- \
  debug "node/$node" --image=registry.example/debug:1
denies "Metrics API not available" -- top nodes
denies "Metrics API not available" -- top pods
