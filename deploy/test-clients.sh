#!/bin/bash
# The clients' part of `make test`: programs that others wrote for Kubernetes, used as their users use them, against three
# real servers. Everything lives in a temporary folder, on addresses of its own, and is removed at the end.
#
#   deploy/test-clients.sh                       all of it, about three minutes
#   deploy/test-clients.sh kubectl-1.32 kopf …   only these: kubectl-VERSION, ansible, kopf, lightkube, asyncio
#   CLIENTS_PORT=… CLIENTS_NETWORK=127.0.x       other addresses than the usual 9843 and 127.0.69
#   CLIENTS_STORIES="streams …"                  only these of kubectl's
#   TRIREME_BINARIES=DIR                         do not build: test the program in this folder
set -u
cd "$(dirname "$0")/.."

port=${CLIENTS_PORT:-9843}
network=${CLIENTS_NETWORK:-127.0.69}
binaries=${TRIREME_BINARIES:-$(swift build -c release --show-bin-path)}
scratch=$(mktemp -d "${TMPDIR:-/tmp}/trireme-clients.XXXXXX")
home=$scratch/cluster
background=()
. deploy/reporting.sh

finish() {
  trap - EXIT INT TERM
  for pid in "${background[@]}"; do kill "$pid" 2>/dev/null; done
  if [ "$failed" -gt 0 ]; then
    mkdir -p "$scratch/logs"
    for log in "$home"/*/log "$scratch"/*.log "$scratch"/*/*.log; do
      test -f "$log" && cp "$log" "$scratch/logs/$(basename "$(dirname "$log")")-$(basename "$log")"
    done
  fi
  test -x "$binaries/trireme" && "$binaries/trireme" down --home "$home" >/dev/null 2>&1
  wait 2>/dev/null
  count_up
  local status=$?
  if [ "$failed" -gt 0 ]; then
    say "The logs are kept in $scratch/logs"
    find "$scratch" -mindepth 1 -maxdepth 1 ! -name logs -exec rm -rf {} +
  else
    rm -rf "$scratch"
  fi
  exit "$status"
}
trap finish EXIT
trap 'say interrupted; failed=$((failed + 1)); exit 130' INT TERM

# wanted NAME: whether this part was asked for.
asked=" $* "
wanted() { [ "$asked" = "  " ] || [[ $asked == *" $1 "* ]]; }

# --- Programs and the cluster -----------------------------------------------------------------------------------------

if [ -z "${TRIREME_BINARIES:-}" ]; then
  say "building trireme (release)"
  if ! swift build -c release --product trireme >"$scratch/output" 2>&1; then
    fail "trireme builds" "$scratch/output"
    exit 1
  fi
fi
installed=$(readlink -f "$(command -v kubectl)") || { fail "kubectl is installed"; exit 1; }
export KUBECONFIG=$home/kubeconfig HOME=$scratch/user
mkdir -p "$HOME"

# The clients written in Python arrive meanwhile. Of Ansible's collections, one is taken.
python=$scratch/python
install_python() {
  python3 -m venv "$python" &&
    "$python/bin/pip" install --quiet --disable-pip-version-check -r deploy/clients/python/requirements.txt &&
    "$python/bin/pip" download --quiet --disable-pip-version-check --no-deps -d "$scratch/wheels" \
      "$(grep -oE '^# ansible==.*' deploy/clients/python/requirements.txt | cut -c 3-)" &&
    "$python/bin/python" -c '
import sys, zipfile
with zipfile.ZipFile(sys.argv[1]) as wheel:
    wheel.extractall(sys.argv[2], [name for name in wheel.namelist() if name.startswith("ansible_collections/kubernetes/")])
' "$scratch"/wheels/ansible-*.whl "$scratch/collections"
}
needs_python=no
for each in lightkube asyncio kopf ansible; do wanted "$each" && needs_python=yes; done
if [ $needs_python = yes ]; then
  (install_python && touch "$scratch/python-is-here" || touch "$scratch/python-is-not") >"$scratch/pip.log" 2>&1 &
  background+=("$!")
fi

say "a cluster of three servers and five nodes in $home"
if ! "$binaries/trireme" up --home "$home" --port "$port" --network "$network" --nodes 5 >"$scratch/output" 2>&1; then
  fail "trireme up" "$scratch/output"
  exit 1
fi
authority=$scratch/authority.crt
"$installed" config view --raw -o jsonpath='{.clusters[0].cluster.certificate-authority-data}' | base64 -d >"$authority"
check "five nodes are Ready" "$installed" wait --for=condition=Ready nodes --all --timeout=60s

# --- Parts, side by side ----------------------------------------------------------------------------------------------

# part NAME COMMAND…: runs it beside the others, in a folder of its own; what it counts is counted when it has ended. Each
# speaks to the next of the servers, past the load balancer: on a machine that all of them keep busy it would take a slow
# server for a dead one and cut its connections, and not every client tries again.
parts=()
part() {
  local name=$1 number=$((${#parts[@]} % 3 + 1))
  shift
  parts+=("$name")
  (
    trap - EXIT INT
    trap 'kill "${background[@]}" 2>/dev/null; exit 1' TERM
    scratch=$scratch/$name passed=0 failed=0 background=() server=https://$network.$number:$port
    mkdir "$scratch"
    sed "s,server: https://.*,server: $server," "$KUBECONFIG" >"$scratch/kubeconfig"
    export KUBECONFIG=$scratch/kubeconfig
    "$@"
    for pid in "${background[@]}"; do kill "$pid" 2>/dev/null; done
    echo "$passed $failed" >"$scratch/counts"
  ) &
  background+=("$!")
}

# all_parts: waits for them, and counts.
all_parts() {
  local name counts
  wait "${background[@]}"
  background=()
  for name in "${parts[@]}"; do
    if read -r -a counts <"$scratch/$name/counts"; then
      passed=$((passed + counts[0])) failed=$((failed + counts[1]))
    else
      fail "$name came to its end"
    fi
  done 2>/dev/null
}

# --- kubectl ----------------------------------------------------------------------------------------------------------

. deploy/clients/kubectl/words.sh

# kubectl_of VERSION: where it is. The versions may lie beside the one that is installed; else that one says what it is.
kubectl_of() {
  local beside
  beside=$(dirname "$installed")/kubectl.$1
  if [ -x "$beside" ]; then echo "$beside"; return; fi
  "$installed" version --client 2>/dev/null | grep -q "Client Version: v$1\." && echo "$installed"
}

# tell_kubectl VERSION PROGRAM NODE STORY…: stories, in a namespace and with a node of their own.
tell_kubectl() {
  local story
  version=$1 kubectl=$2 node=$3 ns=kubectl-${1/./-}
  export HOME=$scratch KUBECACHEDIR=$scratch/cache
  check "kubectl $version create namespace $ns" "$kubectl" create namespace "$ns"
  for story in "${@:4}"; do
    # shellcheck source=/dev/null
    . "deploy/clients/kubectl/$story.sh"
  done
}
read -r -a stories <<<"${CLIENTS_STORIES:-discovery create apply workloads reading access nodes streams custom local deletion}"

told=()
number=0
for each in 1.28 1.32 1.33; do
  number=$((number + 1))
  wanted "kubectl-$each" || continue
  program=$(kubectl_of "$each") || continue
  told+=("$each")
  part "kubectl-$each" tell_kubectl "$each" "$program" "node-$number" "${stories[@]}"
done
# Whatever is installed is one that is tested: a fresh machine has one, which may be older than any of these.
if [ "${#told[@]}" = 0 ] && [ "$asked" = "  " ]; then
  each=$("$installed" version --client -o json | grep -oE '"gitVersion": "v1\.[0-9]+' | grep -oE '1\.[0-9]+')
  told=("$each")
  [ "${each#1.}" -ge 28 ] || stories=(elder)
  part "kubectl-$each" tell_kubectl "$each" "$installed" node-1 "${stories[@]}"
fi
[ "${#told[@]}" = 0 ] || say "kubectl is tested in version ${told[*]} (stories: ${stories[*]})"

# --- Clients in Python ------------------------------------------------------------------------------------------------

python_came() { test -e "$scratch/python-is-here" || test -e "$scratch/python-is-not"; }
# python_part NAME COMMAND…: a part that runs when its programs are there.
python_part() {
  local name=$1
  wanted "$name" || return
  if [ -e "$scratch/python-is-here" ]; then part "$@"; else say "- $name could not be installed: not tested"; fi
}
tell_ansible() {
  export ANSIBLE_COLLECTIONS_PATH=$home/../collections ANSIBLE_HOME=$scratch ANSIBLE_LOCALHOST_WARNING=false \
    ANSIBLE_INVENTORY_UNPARSED_WARNING=false ANSIBLE_DEPRECATION_WARNINGS=false ANSIBLE_NOCOLOR=true
  check "ansible kubernetes.core: $(grep -c '^  - name:' deploy/clients/ansible/playbook.yaml) tasks" timeout 300 \
    "$python/bin/ansible-playbook" -e "ansible_python_interpreter=$python/bin/python" deploy/clients/ansible/playbook.yaml
}
tell_kopf() {
  # shellcheck source=/dev/null
  . deploy/clients/kopf/story.sh
}
if [ $needs_python = yes ]; then
  within 300 python_came
  [ -e "$scratch/python-is-here" ] || say "$(tail -n 1 "$scratch/pip.log")"
  python_part ansible tell_ansible
  python_part kopf tell_kopf
  python_part lightkube check "lightkube" timeout 120 "$python/bin/python" deploy/clients/python/lightkube_story.py
  python_part asyncio check "kubernetes-asyncio" timeout 120 "$python/bin/python" deploy/clients/python/asyncio_story.py
fi

all_parts
