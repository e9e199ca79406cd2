#!/bin/bash
# The operator's part of `make test`, on real processes: members come and go under load, backups, recovery, bad input.
# Everything lives in a temporary folder, on addresses of its own, and is removed at the end. About three minutes.
#
#   deploy/test-operations.sh
#   OPERATIONS_PORT=… OPERATIONS_NETWORK=127.0.x   other addresses than the usual 9743 and 127.0.68
#   TRIREME_BINARIES=DIR                           do not build: test the programs in this folder
set -u
cd "$(dirname "$0")/.."

port=${OPERATIONS_PORT:-9743}
network=${OPERATIONS_NETWORK:-127.0.68}
binaries=${TRIREME_BINARIES:-$(swift build -c release --show-bin-path)}
scratch=$(mktemp -d "${TMPDIR:-/tmp}/trireme-operations.XXXXXX")
home=$scratch/cluster
passed=0
failed=0
background=()

# --- Reporting ------------------------------------------------------------------------------------------------------

say() { printf '[%3d s] %s\n' "$SECONDS" "$*"; }
pass() { passed=$((passed + 1)); say "✓ $1"; }
fail() {
  failed=$((failed + 1))
  say "✗ $1"
  sed 's/^/          /' "${2:-/dev/null}" | tail -n 20
}

# check TITLE COMMAND…: the command succeeds.
check() {
  local title=$1
  shift
  if "$@" >"$scratch/output" 2>&1; then pass "$title"; else fail "$title" "$scratch/output"; fi
}

# shows TITLE TEXT COMMAND…: it prints the text, whether it succeeds or not.
shows() {
  local title=$1 text=$2
  shift 2
  "$@" >"$scratch/output" 2>&1
  if grep -qF -- "$text" "$scratch/output"; then
    pass "$title"
  else
    echo "(expected: $text)" >>"$scratch/output"
    fail "$title" "$scratch/output"
  fi
}

# refuses TITLE TEXT… -- COMMAND…: it fails and prints every text.
refuses() {
  local title=$1 texts=() text
  shift
  while [ "$1" != -- ]; do texts+=("$1") && shift; done
  shift
  if timeout 90 "$@" >"$scratch/output" 2>&1; then
    echo "(succeeded; expected an error)" >>"$scratch/output"
    fail "$title" "$scratch/output"
    return
  fi
  for text in "${texts[@]}"; do
    if ! tr '\n' ' ' <"$scratch/output" | grep -qF -- "$text"; then
      echo "(expected: $text)" >>"$scratch/output"
      fail "$title" "$scratch/output"
      return
    fi
  done
  pass "$title"
}

# within SECONDS COMMAND…: tries again until the command succeeds.
within() {
  local end=$((SECONDS + $1))
  shift
  until "$@"; do
    [ "$SECONDS" -lt "$end" ] || return 1
    sleep 0.2
  done
}

finish() {
  trap - EXIT INT TERM
  if [ "$failed" -gt 0 ]; then
    mkdir -p "$scratch/logs"
    for log in "$scratch"/*/*/log "$scratch"/*.log; do
      test -f "$log" && cp "$log" "$scratch/logs/$(basename "$(dirname "$log")")-$(basename "$log")"
    done
  fi
  for pid in "${background[@]}"; do kill "$pid" 2>/dev/null; done
  test -x "$binaries/trireme" && "$binaries/trireme" down --home "$home" >/dev/null 2>&1
  wait 2>/dev/null
  if [ "$failed" -gt 0 ]; then
    say "The logs are kept in $scratch/logs"
    find "$scratch" -mindepth 1 -maxdepth 1 ! -name logs -exec rm -rf {} +
  else
    rm -rf "$scratch"
  fi
  echo "$passed passed, $failed failed"
  [ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
  exit $?
}
trap finish EXIT
trap 'say interrupted; failed=$((failed + 1)); exit 130' INT TERM

# --- Programs -------------------------------------------------------------------------------------------------------

if [ -z "${TRIREME_BINARIES:-}" ]; then
  for product in trireme trireme-chaos; do
    say "building $product (release)"
    if ! swift build -c release --product "$product" >"$scratch/output" 2>&1; then
      fail "$product builds" "$scratch/output"
      exit 1
    fi
  done
fi
t() { "$binaries/trireme" "$@"; }
export TRIREME_HOME=$home HOME=$scratch/user
mkdir -p "$HOME"
k() { kubectl --kubeconfig "$home/kubeconfig" "$@"; }

# writers NAME: begins to write through the load balancer and straight to the server that stays.
writers() {
  "$binaries/trireme-chaos" writes --kubeconfig "$home/kubeconfig" --server "$network.1:$port" --writers 2 \
    >"$scratch/$1.log" 2>&1 &
  writing=$!
  background+=("$writing")
  within 20 grep -q writing "$scratch/$1.log"
}
# written TITLE NAME: none of the writes since then failed, none is lost.
written() {
  kill -TERM "$writing"
  if wait "$writing"; then pass "$1: $(tail -n 1 "$scratch/$2.log")"; else fail "$1" "$scratch/$2.log"; fi
}
pid_of() { cat "$home/$1/pid"; }
members() { t member list -o json 2>/dev/null; }
voters() { [ "$(members | grep -oE '"role":"(voter|leader)"' | wc -l)" = "$1" ]; }
configuration() { members | grep -oE '"(id|name|role)":[^,}]*' | sort | tr '\n' ' ' | sed 's/leader/voter/'; }
unchanged() { [ "$(configuration)" = "$before" ]; }

# --- 1 → 3 → 5 → 3 → 1, under load ------------------------------------------------------------------------------------

say "a cluster of one server in $home"
if ! t up --port "$port" --network "$network" --nodes 2 --servers 1 >"$scratch/output" 2>&1; then
  fail "trireme up --servers 1" "$scratch/output"
  exit 1
fi
pass "trireme up --servers 1"
check "writers begin" writers resize
for servers in 3 5; do
  check "1 → 3 → 5: trireme up --servers $servers" t up --servers $servers
  check "$servers voters" within 20 voters $servers
done
shows "status: two may be lost" "You can lose 2 more servers" t status
shows "status: every state is equal" "equal on server-1, server-2, server-3, server-4, server-5" t status
check "leadership moves to server-5" t member transfer-leader server-5
check "the leader is removed" t member remove server-5
check "it is gone" within 20 voters 4
check "its process has ended" within 20 bash -c "! kill -0 $(pid_of server-5) 2>/dev/null"
refuses "it says so when it is started again" "server-5" "was removed from cluster" "rm -r" -- \
  "$binaries/trireme" server --home "$home/server-5"
check "5 → 3: trireme up --servers 3" t up --servers 3
check "3 voters" within 20 voters 3

# With a member down: kill -9, and the others go on; a new one joins and the dead one is removed meanwhile.
kill -9 "$(pid_of server-3)"
shows "status: server-3 does not answer" "does not answer" t status
before=$(configuration)
refuses "removing one of the two that are left" "server-2 is not removed" "writes would stop" "server-3" -- \
  "$binaries/trireme" member remove server-2
check "nothing was changed" unchanged
t member add server-4 >"$scratch/output" 2>&1
token=$(grep -oE 'trireme::[0-9a-f]{64}::[a-z0-9.]+' "$scratch/output")
"$binaries/trireme" server --home "$scratch/four" --name server-4 --listen "$network.4:$port" --join "$network.1:$port" \
  --token "$token" >"$scratch/server-4.log" 2>&1 &
four=$!
background+=("$four")
check "server-4 becomes a voter while server-3 is down" within 40 grep -q "server-4 is a voter" "$scratch/server-4.log"
check "dead server-3 is removed" t member remove server-3
check "3 voters again" within 20 voters 3
check "server-4 leaves" t member remove server-4
check "its process ends by itself" within 20 bash -c "! kill -0 $four 2>/dev/null"
check "3 → 1: trireme up --servers 1" t up --servers 1
check "1 voter" within 20 voters 1
written "no write failed and none is lost" resize

# --- Bad input: a clear error, and nothing changed --------------------------------------------------------------------

before=$(configuration)
cat >"$scratch/join" <<JOIN
#!/bin/sh
exec timeout 30 "$binaries/trireme" server --home "\$1" --name "\$2" --listen "\$3" --join "$network.1:$port" --token "\$4"
JOIN
chmod +x "$scratch/join"
token=$(t token create -q --ttl 1s)
sleep 1.2
refuses "an expired token" "this token expired at" "trireme token create" -- "$scratch/join" "$scratch/j1" server-7 "$network.7:$port" "$token"
token=$(t token create -q)
refuses "a token that was never made" "this token is not known here" -- \
  "$scratch/join" "$scratch/j1" server-7 "$network.7:$port" "${token%.*}.aaaaaaaaaaaaaaaa"
refuses "a token of another cluster" "is not a server of the cluster that made the token" -- \
  "$scratch/join" "$scratch/j1" server-7 "$network.7:$port" "$(sed -E 's/::[0-9a-f]{64}::/::'"$(printf '0%.0s' {1..64})"'::/' <<<"$token")"
refuses "a member's name" "there is a member server-1 at $network.1:$port already" -- \
  "$scratch/join" "$scratch/j2" server-1 "$network.7:$port" "$token"
refuses "an address in use" "in use" -- "$scratch/join" "$scratch/j3" server-7 "$network.1:$port" "$token"
refuses "an address of another machine" "does not have the address" -- "$scratch/join" "$scratch/j3" server-7 "192.0.2.1:$port" "$token"
refuses "a bad name" "is no name for a server" -- "$scratch/join" "$scratch/j3" Server_7 "$network.7:$port" "$token"
refuses "a member that is not there" "there is no member server-9; there are: server-1" -- "$binaries/trireme" member remove server-9
refuses "the last voter" "server-1 is not removed: it is the last voter" -- "$binaries/trireme" member remove server-1
refuses "an existing member's place" "there is a member server-1" -- "$binaries/trireme" member add server-1
refuses "recovery of what is well" "there is nothing to recover" -- "$binaries/trireme" recover --home "$home/server-1" --yes
refuses "nobody without a right" "cannot delete path" -- \
  kubectl --kubeconfig "$home/kubeconfig" --as nobody delete --raw /trireme/members/server-1
check "nothing was changed by any of them" unchanged

# --- Backup and restore ----------------------------------------------------------------------------------------------

check "writers begin" writers backup
k create configmap kept --from-literal=value=before >/dev/null
shows "a backup under load" "Verified: read back whole" t backup "$scratch/backup"
k create configmap later --from-literal=value=after >/dev/null
written "no write failed meanwhile" backup
shows "status remembers it" "verified" t status
refuses "a backup over another" "exists already" -- "$binaries/trireme" backup "$scratch/backup"
t backup key >"$scratch/backup.key"
size=$(stat -c %s "$scratch/backup")
head -c $((size / 2)) "$scratch/backup" >"$scratch/short"
refuses "a backup that is cut short" "was cut short" -- \
  "$binaries/trireme" restore "$scratch/short" --key "$scratch/backup.key" --home "$scratch/restored" --listen "$network.11:$port"
cp "$scratch/backup" "$scratch/bad" && printf x | dd of="$scratch/bad" bs=1 seek=$((size / 3)) conv=notrunc 2>/dev/null
refuses "a backup that is damaged" "the backup is damaged" -- \
  "$binaries/trireme" backup verify "$scratch/bad" --key "$scratch/backup.key"
sed 's/^TRIREME BACKUP 1/TRIREME BACKUP 9/' "$scratch/backup" >"$scratch/newer"
refuses "a backup of a newer version" "use a newer version of trireme" -- \
  "$binaries/trireme" backup verify "$scratch/newer" --key "$scratch/backup.key"
refuses "a backup without its key" "the backup is sealed" -- \
  "$binaries/trireme" restore "$scratch/backup" --home "$scratch/restored" --listen "$network.11:$port"
check "no folder was made by any of them" [ ! -e "$scratch/restored/data" ]
shows "restore into a new cluster" "the first server of the new cluster" \
  t restore "$scratch/backup" --pki "$home/server-1/pki" --home "$scratch/restored" --listen "$network.11:$port"
"$binaries/trireme" server --home "$scratch/restored" >"$scratch/restored.log" 2>&1 &
background+=("$!")
r() { kubectl --kubeconfig "$scratch/restored/kubeconfig" "$@"; }
check "it serves" within 30 r get --raw /readyz
check "what was in the backup is there" [ "$(r get configmap kept -o jsonpath='{.data.value}')" = before ]
refuses "what came later is not" "NotFound" -- kubectl --kubeconfig "$scratch/restored/kubeconfig" get configmap later
revision() { "$1" get configmap kept -o jsonpath='{.metadata.resourceVersion}'; }
r annotate configmap kept restored=yes >/dev/null
check "its revision is ahead of the old cluster's" [ "$(revision r)" -gt "$(k get configmap later -o jsonpath='{.metadata.resourceVersion}')" ]
check "the old kubeconfig's user is known there" kubectl --kubeconfig "$home/kubeconfig" --server "https://$network.11:$port" get nodes
kill "$!" 2>/dev/null
token=$(t token create -q)
refuses "a disk of another cluster" "belongs to cluster" "Nothing was changed" -- \
  "$scratch/join" "$scratch/restored" server-1 "$network.11:$port" "$token"

# --- Recovery --------------------------------------------------------------------------------------------------------

check "three servers again" t up --servers 3
check "3 voters" within 20 voters 3
k create configmap survivor --from-literal=value=yes >/dev/null
say "kill -9 of two of three servers"
kill -9 "$(pid_of server-2)" "$(pid_of server-3)"
shows "status of the survivor says what to do" "No majority: 1 of 3 voters answers" t status --server "$network.1:$port"
# The survivor hears that the others are gone a moment after they are.
recovers() { t recover --home "$home/server-1" --yes >"$scratch/recovery" 2>&1; }
check "recover, online" within 10 recovers
shows "it says so" "takes writes again" cat "$scratch/recovery"
seconds=$(grep -oE '[0-9.]+ s after' "$scratch/output" | grep -oE '^[0-9.]+')
say "  $(tail -n 2 "$scratch/output" | head -n 1)"
check "in less than 10 s" [ "$(printf '%.0f' "${seconds:-99}")" -lt 10 ]
s() { kubectl --kubeconfig "$home/kubeconfig" --server "https://$network.1:$port" "$@"; }
check "it takes writes" s create configmap recovered --from-literal=value=yes
check "what was acknowledged is there" s get configmap survivor
check "the lost servers are started again" t up
# Until they have heard of the recovery they take themselves for voters still: equal states are what tells.
equal() { t status | grep -q "equal on server-1, server-2, server-3"; }
check "their states are equal" within 60 equal
check "and they are voters again by themselves" within 60 voters 3
[ "$failed" -gt 0 ] && t status

# --- A wiped disk ----------------------------------------------------------------------------------------------------

kill -9 "$(pid_of server-3)"
rm -rf "$home/server-3/data"
refuses "a server whose disk was wiped does not start" "is gone" "--replace" -- "$binaries/trireme" server --home "$home/server-3"
token=$(t token create -q --for server-3)
refuses "nor does it join as if nothing had happened" "--replace" -- "$scratch/join" "$home/server-3" server-3 "$network.3:$port" "$token"
"$binaries/trireme" server --home "$home/server-3" --name server-3 --listen "$network.3:$port" --join "$network.1:$port" \
  --token "$token" --replace >"$scratch/replaced.log" 2>&1 &
background+=("$!")
check "it takes its own place with --replace" within 40 grep -q "server-3 is a voter" "$scratch/replaced.log"
check "3 voters" within 20 voters 3
