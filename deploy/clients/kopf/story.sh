# kopf: an operator is run for real; the story looks at what it does to the cluster.
# shellcheck shell=bash

# The tools of the stories of kubectl: it is kubectl that looks.
version=by\ hand kubectl=$installed ns=kopf
title() { local text="kopf: $*"; echo "${text//$'\n'/ }" | cut -c 1-110; }
operators=()
# operator PRIORITY: runs one in the background.
operator() {
  "$python/bin/kopf" run deploy/clients/kopf/operator.py --namespace kopf --peering beacons --priority "$1" \
    >"$scratch/operator-$1.log" 2>&1 &
  operators+=("$!")
  background+=("$!")
}

runs create namespace kopf
runs apply -f deploy/clients/kopf/definitions.yaml
runs wait crd/beacons.kopf.example.com crd/kopfpeerings.kopf.dev --for=condition=Established --timeout=30s
runs apply -f - <<<'{"apiVersion":"kopf.dev/v1","kind":"KopfPeering","metadata":{"name":"beacons"}}'
operator 100
beacon() { printf '{"apiVersion":"kopf.example.com/v1","kind":"Beacon","metadata":{"name":"%s"},"spec":{"colour":"%s"}}' "$1" "$2"; }
runs apply -f - < <(beacon north red)
becomes lit '{.status.created.message}' beacon north
says "red" get configmap north-light -o jsonpath='{.data.colour}'
says "Beacon/north" get configmap north-light -o jsonpath='{.metadata.ownerReferences[0].kind}/{.metadata.ownerReferences[0].name}'
says '["kopf.example.com/operator"]' get beacon north -o jsonpath='{.metadata.finalizers}'
becomes 3 '{.status.turns}' beacon north
becomes true '{.status.ticked}' beacon north
tells "COLOUR MESSAGE" "north red lit" -- get bn
lit() { k get events --field-selector=involvedObject.name=north,reason=Lit -o jsonpath='{.items[*].message}' | grep -qx "The beacon shines red"; }
check "$(title "its event is posted")" within 15 lit
runs patch beacon north --type=merge -p '{"spec":{"colour":"blue"}}'
becomes blue '{.data.colour}' configmap north-light
# Kopf names what a handler of a field returns after both.
becomes "red blue 2" '{.status.recoloured/spec\.colour.from} {.status.recoloured/spec\.colour.to} {.status.recoloured/spec\.colour.tries}' beacon north
runs create configmap noticed
runs label configmap noticed beacon=yes
runs create -f - <<<'{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"seen","labels":{"beacon":"yes"}}}'
becomes yes '{.metadata.annotations.kopf\.example\.com/seen}' configmap seen

# A more important operator comes: the first freezes, and goes on when the other has gone.
operator 200
paused() { grep -q "Pausing all operators\|Freezing operations\|Pausing operations" "$scratch/operator-100.log"; }
check "$(title "the operator of lower priority pauses")" within 30 paused
runs apply -f - < <(beacon south green)
becomes lit '{.status.created.message}' beacon south
kill -INT "${operators[1]}"
resumed() { grep -q "Resuming" "$scratch/operator-100.log"; }
check "$(title "and resumes when the other has gone")" within 30 resumed
runs apply -f - < <(beacon west yellow)
becomes lit '{.status.created.message}' beacon west

says 'beacon.kopf.example.com "north" deleted' delete beacon north --timeout=30s
runs get configmap north-was-here
gone() { ! k get configmap north-light >/dev/null 2>&1; }
check "$(title "what north owned is gone")" within 20 gone
runs delete beacons --all --timeout=30s
kill -INT "${operators[0]}"
ended() { ! kill -0 "${operators[0]}" 2>/dev/null; }
check "$(title "the operator ends")" within 20 ended
if grep -E "Traceback|Throttling|failed with an exception" "$scratch"/operator-*.log >"$scratch/output"; then
  fail "$(title "no operator complained")" "$scratch/output"
else
  pass "$(title "no operator complained")"
fi
runs delete namespace kopf
runs delete -f deploy/clients/kopf/definitions.yaml
