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
. deploy/reporting.sh

clean_up() {
  if [ "$failed" -gt 0 ]; then keep_logs "$home" cluster && keep_logs "$scratch" others; fi
  test -x "$binaries/trireme" && "$binaries/trireme" down --home "$home" >/dev/null 2>&1
}
finish_at_exit

# --- Programs -------------------------------------------------------------------------------------------------------

[ -n "${TRIREME_BINARIES:-}" ] || build trireme trireme-chaos
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
# The server that is asked may be a moment behind the one that said that there are five.
within 20 bash -c "'$binaries/trireme' status --home '$home' | grep -q 'You can lose 2 more servers'"
tells "status: two may be lost" "You can lose 2 more servers" t status
tells "status: every state is equal" "equal on server-1, server-2, server-3, server-4, server-5" t status
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
tells "status: server-3 does not answer" "does not answer" t status
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
# Whoever may make nodes must not reach the servers through them, those that have come since the start as little as others.
k create -f - >/dev/null <<NODE
{"apiVersion": "v1", "kind": "Node", "metadata": {"name": "mirror"}, "status": {
  "addresses": [{"type": "InternalIP", "address": "$network.4"}], "daemonEndpoints": {"kubeletEndpoint": {"Port": $port}}}}
NODE
refuses "nobody is proxied to a server that has come since" "address not allowed" -- \
  kubectl --kubeconfig "$home/kubeconfig" --server "https://$network.1:$port" get --raw /api/v1/nodes/mirror/proxy/healthz
k delete node mirror >/dev/null
check "dead server-3 is removed" t member remove server-3
check "3 voters again" within 20 voters 3
check "server-4 leaves" t member remove server-4
check "its process ends by itself" within 20 bash -c "! kill -0 $four 2>/dev/null"
check "3 → 1: trireme up --servers 1" t up --servers 1
check "1 voter" within 20 voters 1
written "no write failed and none is lost" resize

# --- Keys: changed on every server while it writes ---------------------------------------------------------------------

# Who writes through the load balancer is at the first server, then: another is killed below.
check "writers begin" writers keys
check "1 → 3: trireme up --servers 3" t up --servers 3
check "3 voters" within 20 voters 3
shows "keys status: every server has a key of its own" "everything is sealed with the key" t keys status
keyed() { [ "$(t keys status -o json | grep -oE "\"key\":$1," | wc -l)" = "$2" ]; }
check "all with key 1" keyed 1 3
shows "keys rotate: every server, one after the other" \
  "server-3: everything stored is sealed with key 2, and the old key is forgotten" t keys rotate
check "all with key 2" keyed 2 3
shows "keys rotate server-2" "server-2: everything stored is sealed with key 3" t keys rotate server-2
check "one with key 3" keyed 3 1
refuses "a server that is not there" "there is no member server-9; there are: server-1, server-2, server-3" -- \
  t keys rotate server-9
kill -9 "$(pid_of server-3)"
tells "keys status: server-3 is silent" "silent" t keys status
refuses "keys rotate with a server down" "server-3 does not answer" "Nothing was changed" -- t keys rotate
check "nothing was changed" keyed 2 1
shows "but the others may" "server-1: everything stored is sealed with key 3" t keys rotate server-1
check "server-3 is started again" t up
check "with its own key" within 20 keyed 2 1
# Killed in the middle, if it is not faster: whatever is missing is made good at the next start.
t keys rotate server-3 --no-wait >/dev/null && kill -9 "$(pid_of server-3)"
check "a server that is killed while its key changes is started again" t up
rotated() { t keys status -o json | tr '{' '\n' | grep server-3 | grep '"key":3' | grep -q '"oldKeys":\[\]'; }
check "it has ended the change by itself" within 30 rotated
check "3 voters" within 20 voters 3
written "no write failed while keys were changed" keys

# --- Servers that are stopped and started, one after the other -----------------------------------------------------------

stop() { # NAME: by SIGTERM, until it is gone
  local pid
  pid=$(pid_of "$1")
  kill -TERM "$pid"
  within 20 bash -c "! kill -0 $pid 2>/dev/null"
}
equal() { t status | grep -q "equal on server-1, server-2, server-3"; }
check "states are equal" within 60 equal
check "writers begin" writers restarts
for server in server-3 server-2; do
  check "$server ends by SIGTERM" stop $server
  check "$server is started again" t up
  check "3 voters, in step" within 60 equal
done
written "no write failed while servers were restarted" restarts

# --- The step back of the tables ---------------------------------------------------------------------------------------

refuses "the step back under a server that runs" "runs: stop it first" -- t schema back --home "$home/server-3"
check "server-3 is stopped" stop server-3
shows "schema: the versions of its tables" "takes the step forward at its next start" bash -c \
  "'$binaries/trireme' schema --home '$home/server-3' && '$binaries/trireme' schema back --home '$home/server-3' && '$binaries/trireme' schema --home '$home/server-3'"
user_version() { python3 -c 'import sqlite3, sys; print(sqlite3.connect(sys.argv[1]).execute("PRAGMA user_version").fetchone()[0])' "$1"; }
check "raft.db is of the version before" [ "$(user_version "$home/server-3/data/raft.db")" = 2 ]
refuses "a second step back" "already" "Nothing was changed" -- t schema back --home "$home/server-3"
check "this version takes the step forward" t up
check "3 voters" within 20 voters 3
within 20 bash -c "'$binaries/trireme' status --home '$home' | grep -q 'equal on server-1, server-2, server-3'"
tells "its state is equal to the others'" "equal on server-1, server-2, server-3" t status
check "it is stopped again" stop server-3
mark() { # VERSION: as a program of that version would have left the tables
  python3 - "$home/server-3/data" "$1" <<'PYTHON'
import sqlite3, sys
for name in ["raft.db", "state.db"]:
    database = sqlite3.connect(f"{sys.argv[1]}/{name}")
    database.execute("UPDATE meta SET value = ? WHERE name = 'format'", [sys.argv[2]])
    database.execute(f"PRAGMA user_version={int(sys.argv[2])}")
    database.commit()
    database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
PYTHON
}
mark 9
sums() { sha256sum "$home/server-3/data/raft.db" "$home/server-3/data/state.db"; }
before=$(sums)
refuses "tables of a newer version" "was written by a newer version" "version 9" "nothing was changed" -- \
  "$binaries/trireme" server --home "$home/server-3"
refuses "their step back by an older program" "newer version" -- t schema back --home "$home/server-3"
shows "schema says so" "refuses it: a newer one has written it" t schema --home "$home/server-3"
check "nothing was changed" [ "$(sums)" = "$before" ]
mark 3
check "3 → 1: trireme up --servers 1" t up --servers 1
check "1 voter" within 20 voters 1

# --- Bad input: a clear error, and nothing changed --------------------------------------------------------------------

before=$(configuration)
cat >"$scratch/join" <<JOIN
#!/bin/sh
exec timeout 30 "$binaries/trireme" server --home "\$1" --name "\$2" --listen "\$3" --join "$network.1:$port" --token "\$4"
JOIN
chmod +x "$scratch/join"
token=$(t token create -q --ttl 1s)
expired() { t token list | grep -q "(expired)"; }
check "a token lives no longer than was said" within 20 expired
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
cat >"$scratch/ask" <<'PYTHON'
# ask SERVER TOKEN FIELD=VALUE…: what a server that joins sends, with some of it changed; prints the answer's message.
import datetime, json, ssl, subprocess, sys, urllib.error, urllib.request
request = subprocess.run(
    ["openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "/dev/null",
     "-subj", "/CN=server"], check=True, capture_output=True, text=True).stdout
body = {
    "credential": sys.argv[2].split("::")[-1], "name": "server-7", "address": "127.0.0.7:7", "version": "0.1.0",
    "time": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"), "certificateRequest": request,
    "node": None, "replace": False}
for change in sys.argv[3:]:
    name, value = change.split("=", 1)
    body[name] = int(value) if value.isdigit() else value
context = ssl._create_unverified_context()
try:
    urllib.request.urlopen(
        urllib.request.Request(
            f"https://{sys.argv[1]}/trireme/join", data=json.dumps(body).encode(),
            headers={"content-type": "application/json"}), context=context, timeout=30)
except urllib.error.HTTPError as error:
    sys.exit(json.load(error)["message"])
PYTHON
refuses "a clock that is wrong" "the clocks differ by" "let NTP set them" -- \
  python3 "$scratch/ask" "$network.1:$port" "$token" time=2031-01-01T00:00:00Z
refuses "a version too new" "this server is trireme 0.9.0, the cluster runs 0.1.0: upgrade the cluster's servers first" -- \
  python3 "$scratch/ask" "$network.1:$port" "$token" version=0.9.0
refuses "a member's id" "the disk of server-7 belongs to server 1, which is the member server-1" -- \
  python3 "$scratch/ask" "$network.1:$port" "$token" node=1
refuses "an id that was used" "which is no member any more" -- \
  python3 "$scratch/ask" "$network.1:$port" "$token" node=3
refuses "a member's address" "is that of the member server-1" -- \
  python3 "$scratch/ask" "$network.1:$port" "$token" "address=$network.1:$port"
refuses "a request that cannot be understood" "no request to join" -- \
  python3 "$scratch/ask" "$network.1:$port" "$token" time=yesterday
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
tells "status remembers it" "verified" t status
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
cat >"$scratch/scheduler.yaml" <<'YAML'
apiVersion: kubescheduler.config.k8s.io/v1
kind: KubeSchedulerConfiguration
profiles: [{schedulerName: default-scheduler}, {schedulerName: frugal, plugins: {score: {disabled: [{name: "*"}]}}}]
YAML
sed 's/frugal/default-scheduler/' "$scratch/scheduler.yaml" >"$scratch/twins.yaml"
refuses "a scheduler's file with two profiles of a name" "twins.yaml: profiles[1].schedulerName: Duplicate value" -- \
  "$binaries/trireme" server --home "$scratch/restored" --scheduler-config "$scratch/twins.yaml"
refuses "pods among the Services" "overlaps the network of the Services" -- \
  "$binaries/trireme" server --home "$scratch/restored" --cluster-cidr 10.96.4.0/22
"$binaries/trireme" server --home "$scratch/restored" --scheduler-config "$scratch/scheduler.yaml" \
  --cluster-cidr 10.33.0.0/16 --node-cidr-mask-size 25 >"$scratch/restored.log" 2>&1 &
background+=("$!")
r() { kubectl --kubeconfig "$scratch/restored/kubeconfig" "$@"; }
check "it serves" within 30 r get --raw /readyz
check "what was in the backup is there" [ "$(r get configmap kept -o jsonpath='{.data.value}')" = before ]
refuses "what came later is not" "NotFound" -- kubectl --kubeconfig "$scratch/restored/kubeconfig" get configmap later
revision() { "$1" get configmap kept -o jsonpath='{.metadata.resourceVersion}'; }
r annotate configmap kept restored=yes >/dev/null
check "its revision is ahead of the old cluster's" [ "$(revision r)" -gt "$(k get configmap later -o jsonpath='{.metadata.resourceVersion}')" ]
check "the old kubeconfig's user is known there" kubectl --kubeconfig "$home/kubeconfig" --server "https://$network.11:$port" get nodes
blocks() { [ "$(r get nodes -o jsonpath='{.items[*].spec.podCIDR}' | tr ' ' '\n' | sort | xargs)" = "10.33.0.0/25 10.33.0.128/25" ]; }
check "its nodes have blocks of the network that it was told" within 30 blocks
r run frugal --image=none --overrides='{"spec":{"schedulerName":"frugal","nodeSelector":{"name":"nowhere"}}}' >/dev/null
by_profile() { [[ $(r get events --field-selector reason=FailedScheduling -o jsonpath="{.items[*].reportingComponent}") == *frugal* ]]; }
check "its scheduler goes by the file" within 30 by_profile
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
tells "status of the survivor says what to do" "No majority: 1 of 3 voters answers" t status --server "$network.1:$port"
shows "recover, online, at once" "takes writes again" t recover --home "$home/server-1" --yes
seconds=$(grep -oE '[0-9.]+ s after' "$scratch/output" | grep -oE '^[0-9.]+')
say "  $(tail -n 2 "$scratch/output" | head -n 1)"
check "in less than 10 s" [ "$(printf '%.0f' "${seconds:-99}")" -lt 10 ]
s() { kubectl --kubeconfig "$home/kubeconfig" --server "https://$network.1:$port" "$@"; }
check "it takes writes" s create configmap recovered --from-literal=value=yes
check "what was acknowledged is there" s get configmap survivor
check "the lost servers are started again" t up
# Until they have heard of the recovery they take themselves for voters still: equal states are what tells.
check "their states are equal" within 60 equal
check "and they are voters again by themselves" within 60 voters 3
[ "$failed" -gt 0 ] && t status

# --- Recovery of a server that does not run, behind the last leader ---------------------------------------------------

check "server-3 leads" t member transfer-leader server-3
# Most of them wait at any moment: what they send after the others have died, the leader alone can have.
"$binaries/trireme-chaos" writes --kubeconfig "$home/kubeconfig" --server "$network.3:$port" --writers 16 --pause 100 \
  >"$scratch/tail.log" 2>&1 &
writing=$!
background+=("$writing")
check "writers begin" within 20 grep -q writing "$scratch/tail.log"
# The recovery before may have left one, too.
tails() { find "$home/server-3/data" -name 'divergent-tail-*' -size +0 | sort; }
earlier_tails=$(tails)
# What is asked of the leader from here on is in its log alone.
kill -9 "$(pid_of server-1)" "$(pid_of server-2)"
alone() { [[ $(t status --server "$network.3:$port" 2>&1) == *"No majority"* ]]; }
check "server-3 knows that it is alone" within 20 alone
tells "a server that is asked says that there is no majority" "no token was made. No majority: 1 of 3 voters" \
  t token create --server "$network.3:$port"
tells "nor a backup, but what it holds itself" "trireme backup --local" t backup "$scratch/none" --server "$network.3:$port"
check "no file was made" [ ! -e "$scratch/none" ]
shows "backup --local" "Verified: read back whole" t backup --local "$scratch/local" --server "$network.3:$port"
kill -9 "$(pid_of server-3)"
kill "$writing" 2>/dev/null
refuses "recovery that nobody confirms" "nothing was changed" -- t recover --home "$home/server-1"
shows "recover: what it holds, and what the lost ones may have had" "writes after revision" \
  t recover --home "$home/server-1" --yes
check "all are started again" t up
check "their states are equal" within 60 equal
check "and they are voters again by themselves" within 60 voters 3
kept_aside() { [ -n "$(comm -13 <(echo "$earlier_tails") <(tails))" ]; }
check "what only the last leader had is kept aside in a file" kept_aside

# --- The end without a majority ---------------------------------------------------------------------------------------

check "a leader that is left alone" t member transfer-leader server-1
kill -9 "$(pid_of server-2)" "$(pid_of server-3)"
# Somebody waits for what will not come.
kubectl --kubeconfig "$home/kubeconfig" --server "https://$network.1:$port" create configmap lonely >/dev/null 2>&1 &
background+=("$!")
begun=$(date +%s%N)
check "ends when it is asked to" stop server-1
milliseconds=$((($(date +%s%N) - begun) / 1000000))
say "  after $milliseconds ms"
# What waits in vain is ended within two seconds; else the end would wait ten for it.
check "without waiting for them" [ "$milliseconds" -lt 9000 ]
check "all are started again" t up
check "3 voters" within 60 voters 3

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
