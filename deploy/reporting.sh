# Sourced by the test scripts beside it: how they say what passes and what does not. The script sets $scratch, a folder of
# its own, before; the words count in $passed and $failed.
# shellcheck shell=bash
passed=0
failed=0
# What failed, and why: said once more at the end, where the last lines of a log are found.
failures=$scratch/failures

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
  if "$@" >"$scratch/output" 2>&1 && grep -qF -- "$text" "$scratch/output"; then
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
