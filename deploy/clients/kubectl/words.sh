# The words in which the stories of kubectl are told. $version, $kubectl and $ns say who tells them, and where.
# shellcheck shell=bash

# Nothing takes longer than a minute and a half; what does is stuck.
k() { timeout 90 "$kubectl" --namespace "$ns" "$@"; }

# What a line of the report calls a command: its words, on one line, and not too many of them.
title() {
  local text="kubectl $version $*"
  text=${text//$'\n'/ }
  [ "${#text}" -le 110 ] || text="${text:0:109}…"
  echo "$text"
}

# runs ARGUMENTS…: kubectl succeeds.
runs() { check "$(title "$@")" k "$@"; }

# says TEXT ARGUMENTS…: kubectl succeeds and prints this and nothing else.
says() {
  local text=$1
  shift
  if k "$@" >"$scratch/output" 2>&1 && [ "$(cat "$scratch/output")" = "$text" ]; then
    pass "$(title "$@")"
  else
    printf '(expected exactly:)\n%s\n' "$text" >>"$scratch/output"
    fail "$(title "$@")" "$scratch/output"
  fi
}

# tells TEXT… -- ARGUMENTS…: kubectl succeeds and prints every text; runs of spaces count as one, colours as none.
tells() {
  local texts=() text
  while [ "$1" != -- ]; do texts+=("$1") && shift; done
  shift
  if ! k "$@" >"$scratch/output" 2>&1; then
    echo "(failed)" >>"$scratch/output"
    fail "$(title "$@")" "$scratch/output"
    return
  fi
  for text in "${texts[@]}"; do
    if ! sed 's/\x1b\[[0-9;]*m//g' "$scratch/output" | tr -s ' \t' ' ' | grep -qF -- "$text"; then
      echo "(expected: $text)" >>"$scratch/output"
      fail "$(title "$@")" "$scratch/output"
      return
    fi
  done
  pass "$(title "$@")"
}

# denies TEXT… -- ARGUMENTS…: kubectl fails and prints every text.
denies() {
  local texts=()
  while [ "$1" != -- ]; do texts+=("$1") && shift; done
  shift
  refuses "$(title "$@")" "${texts[@]}" -- "$kubectl" --namespace "$ns" "$@"
}

# value PATH ARGUMENTS…: what `get` finds at a JSON path.
value() { k get "${@:2}" -o jsonpath="$1"; }

# becomes TEXT PATH OBJECT…: within half a minute the object has this value there.
becomes() {
  local text=$1 path=$2
  shift 2
  has_value() { [ "$(value "$path" "$@" 2>/dev/null)" = "$text" ]; }
  if within 30 has_value "$@"; then
    pass "$(title "$*: $path becomes $text")"
  else
    value "$path" "$@" >"$scratch/output" 2>&1
    fail "$(title "$*: $path becomes $text")" "$scratch/output"
  fi
}
