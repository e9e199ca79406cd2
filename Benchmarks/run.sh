#!/bin/bash
# Measures Trireme beside etcd in one run, in turns, with the same client and the same bytes; writes RESULTS.md.
# Both sides: TLS with client certificates, HTTP/2, durable writes, on the same disk. Needs about 8 minutes.
#   ROUNDS=1 SECONDS_EACH=3 Benchmarks/run.sh     a quick look
set -euo pipefail
cd "$(dirname "$0")/.."
trireme=${TRIREME:-$(swift build -c release --show-bin-path)/trireme}
rounds=${ROUNDS:-2}
seconds=${SECONDS_EACH:-5}
port=${PORT:-18443}
network=${NETWORK:-127.0.91}
peer_port=$((port + 2))

if ! command -v etcd >/dev/null; then
  echo "Installing etcd, the peer …"
  apt-get install -y -qq etcd-server etcd-client >/dev/null || {
    echo "etcd cannot be installed (apt-get install etcd-server etcd-client): no peer to measure beside." >&2
    exit 1
  }
fi

# On the disk that holds the results: /tmp may be memory.
work=$(mktemp -d "$PWD/.build/bench-XXXXXX")
lines="$work/results"
touch "$lines"
etcd_pids=()
stop_etcd() {
  for pid in "${etcd_pids[@]}"; do kill -9 "$pid" 2>/dev/null || true; done
  for pid in "${etcd_pids[@]}"; do wait "$pid" 2>/dev/null || true; done
  etcd_pids=()
}
stop_trireme() { for home in "$work"/trireme-*; do "$trireme" down --home "$home" >/dev/null 2>&1 || true; done; }
trap 'stop_etcd; stop_trireme; rm -rf "$work"' EXIT

measure() { # label, arguments of trireme bench
  local label=$1
  shift
  echo "  $label: $*" >&2
  "$trireme" bench --json --label "$label" --seconds "$seconds" "$@" >>"$lines" || {
    echo "$label $*: requests failed: $(tail -1 "$lines")" >&2
    exit 1
  }
}

start_trireme() { # number of servers
  home="$work/trireme-$1"
  "$trireme" up --home "$home" --servers "$1" --nodes 5 --port "$port" --network "$network" >"$work/up.log" || {
    cat "$work/up.log" >&2
    exit 1
  }
  common=(--kubeconfig "$home/kubeconfig")
  for ((n = 1; n <= $1; n++)); do
    common+=(--server "https://$network.$n:$port" --pid "$(cat "$home/server-$n/pid")")
  done
}

start_etcd() { # number of members; certificates of the Trireme cluster of that size
  local pki="$work/trireme-$1" cluster="" n
  for ((n = 1; n <= $1; n++)); do cluster+="${cluster:+,}m$n=http://$network.$n:$((peer_port + 1))"; done
  common=(--kubeconfig "$pki/kubeconfig")
  etcd_endpoints=""
  for ((n = 1; n <= $1; n++)); do
    rm -rf "$work/etcd-$n"
    etcd --name "m$n" --data-dir "$work/etcd-$n" --initial-cluster "$cluster" --initial-cluster-state new \
      --listen-client-urls "https://$network.$n:$peer_port" --advertise-client-urls "https://$network.$n:$peer_port" \
      --listen-peer-urls "http://$network.$n:$((peer_port + 1))" \
      --initial-advertise-peer-urls "http://$network.$n:$((peer_port + 1))" \
      --cert-file "$pki/server-$n/pki/server.crt" --key-file "$pki/server-$n/pki/server.key" \
      --client-cert-auth --trusted-ca-file "$pki/pki/ca.crt" --quota-backend-bytes 8589934592 \
      >"$work/etcd-$n.log" 2>&1 &
    etcd_pids+=($!)
    common+=(--server "https://$network.$n:$peer_port" --pid "$!")
    etcd_endpoints+="${etcd_endpoints:+,}https://$network.$n:$peer_port"
  done
  etcdctl=(env ETCDCTL_API=3 etcdctl --endpoints "$etcd_endpoints" --cacert "$pki/pki/ca.crt" --cert "$pki/pki/admin.crt"
    --key "$pki/pki/admin.key")
  for _ in $(seq 100); do
    "${etcdctl[@]}" endpoint health >/dev/null 2>&1 && return
    sleep 0.2
  done
  echo "etcd does not come up:" >&2
  tail -5 "$work"/etcd-*.log >&2
  exit 1
}

for ((round = 1; round <= rounds; round++)); do
  for servers in 1 3; do
    echo "Round $round of $rounds, $servers server(s)" >&2
    start_trireme "$servers"
    measure "trireme-$servers" "${common[@]}" --case create-configmap --clients 1,16,64
    measure "trireme-$servers" "${common[@]}" --case get,update --clients 16
    measure "trireme-$servers" "${common[@]}" --case list --clients 1
    measure "trireme-$servers" "${common[@]}" --case watch-latency
    measure "trireme-$servers" "${common[@]}" --case pod-lifecycle --clients 16
    if [ "$servers" = 3 ]; then
      leader=$("$trireme" status --home "$home" --leader-pid)
      measure "trireme-3" "${common[@]}" --case write-gap --clients 16 --kill "$leader"
    fi
    "$trireme" down --keep-data --home "$home" >/dev/null

    start_etcd "$servers"
    measure "etcd-$servers" "${common[@]}" --case etcd-put --clients 1,16,64
    if [ "$servers" = 3 ]; then
      # The member that leads says so in the fifth column.
      place=$("${etcdctl[@]}" endpoint status | awk -F', ' '$5 == "true" { print NR - 1 }' | head -1)
      measure "etcd-3" "${common[@]}" --case etcd-write-gap --clients 16 --kill "${etcd_pids[$place]}"
    fi
    stop_etcd
    "$trireme" down --home "$home" >/dev/null
  done
done

{
  echo "# Results"
  echo
  echo "Written by \`make bench\` on $(date -u '+%Y-%m-%d %H:%M') UTC; commit $(git rev-parse --short HEAD), $(etcd --version | head -1)."
  echo "Machine: $(nproc) processors ($(sed -n 's/^model name.*: //p' /proc/cpuinfo | head -1)), $(uname -sr), load average" \
    "$(cut -d' ' -f1 /proc/loadavg) at the end. Servers, peers, nodes and clients share it; compare within this page only."
  echo "$rounds rounds of $seconds s for each case. [README.md](README.md) says what each case is."
  echo
  "$trireme" bench --report "$lines"
} >Benchmarks/RESULTS.md
echo "Benchmarks/RESULTS.md:" >&2
cat Benchmarks/RESULTS.md
