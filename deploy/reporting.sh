# Sourced by the test scripts beside it: how they say what passes and what does not. The script sets $scratch, a folder of
# its own, before; the words count in $passed and $failed. Every check has a title and counts once; what went wrong is
# printed with the last lines of what the command said.
# shellcheck shell=bash

passed=0
failed=0
# What failed, and why: said once more at the end, where the last lines of a log are found.
failures=$scratch/failures
# Processes that are ended with the test.
background=()

say() { printf '[%3d s] %s\n' "$SECONDS" "$*"; }
pass() { passed=$((passed + 1)); say "✓ $1"; }
# fail TITLE [FILE]: the end of the file says why.
fail() {
  failed=$((failed + 1))
  { say "✗ $1" && sed 's/^/          /' "${2:-/dev/null}" | tail -n 20; } | tee -a "$failures"
}

# count_up: how many passed and failed, after what failed; it says whether all is well.
count_up() {
  if [ -s "$failures" ]; then
    echo "What failed:"
    cat "$failures"
  fi
  echo "$passed passed, $failed failed"
  [ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
}

# check TITLE COMMAND…: the command succeeds.
check() {
  local title=$1
  shift
  if "$@" >"$scratch/output" 2>&1; then pass "$title"; else fail "$title" "$scratch/output"; fi
}

# shows TITLE TEXT COMMAND…: it succeeds and prints the text.
shows() {
  local title=$1 text=$2
  shift 2
  if "$@" >"$scratch/output" 2>&1 && printed "$text"; then pass "$title"; else missed "$title" "$text"; fi
}

# tells TITLE TEXT COMMAND…: it prints the text, whether it succeeds or not.
tells() {
  local title=$1 text=$2
  shift 2
  "$@" >"$scratch/output" 2>&1
  if printed "$text"; then pass "$title"; else missed "$title" "$text"; fi
}

# refuses TITLE TEXT… -- COMMAND…: it fails within a minute and a half, and prints every text.
refuses() {
  local title=$1 texts=() text
  shift
  while [ "$1" != -- ]; do texts+=("$1") && shift; done
  shift
  if bounded "$@" >"$scratch/output" 2>&1; then
    echo "(succeeded; expected an error)" >>"$scratch/output"
    fail "$title" "$scratch/output"
    return
  fi
  for text in "${texts[@]}"; do
    if ! printed "$text"; then
      missed "$title" "$text"
      return
    fi
  done
  pass "$title"
}

# Functions of the test run as they are, programs not for ever.
bounded() { if [ "$(type -t "$1")" = function ]; then "$@"; else timeout 90 "$@"; fi; }
# Words may stand on two lines.
printed() { tr '\n' ' ' <"$scratch/output" | grep -qF -- "$1"; }
missed() {
  echo "(expected: $2)" >>"$scratch/output"
  fail "$1" "$scratch/output"
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

# keep_logs FOLDER NAME: what explains a failure outlives the cluster.
keep_logs() {
  local log
  for log in "$1"/*/log "$1"/*.log "$1"/logs/*.log "$1"/report.html; do
    test -f "$log" || continue
    mkdir -p "$scratch/logs/$2"
    cp "$log" "$scratch/logs/$2/$(basename "$(dirname "$log")")-$(basename "$log")"
  done
}

# build PRODUCT…: what is tested is what the sources say now.
build() {
  local product
  for product in "$@"; do
    say "building $product (release)"
    if ! swift build -c release --product "$product" >"$scratch/output" 2>&1; then
      fail "$product builds" "$scratch/output"
      exit 1
    fi
  done
}

# finish_at_exit: at the end, however it comes, ends what runs (the script's `clean_up` knows what else), keeps the logs of
# a failure, and says the count.
finish() {
  trap - EXIT INT TERM
  local pid
  clean_up
  for pid in "${background[@]}"; do kill "$pid" 2>/dev/null; done
  wait 2>/dev/null
  local status=0
  count_up || status=1
  if [ "$failed" -gt 0 ] && [ -d "$scratch/logs" ]; then
    say "The logs are kept in $scratch/logs"
    find "$scratch" -mindepth 1 -maxdepth 1 ! -name logs -exec rm -rf {} +
  else
    rm -rf "$scratch"
  fi
  exit "$status"
}
finish_at_exit() {
  trap finish EXIT
  trap 'say interrupted; failed=$((failed + 1)); exit 130' INT TERM
}
