#!/bin/bash
# Proves the checkers of trireme-chaos: each finds, in real servers, a bug that was planted on purpose, and nothing at the
# same seed without it. Builds the programs with all bugs in them first.
#
#   deploy/chaos-mutants.sh                 every bug below
#   deploy/chaos-mutants.sh pages-of-now    these alone
#   TRIREME_MUTANTS_SCRATCH=DIR             where the build products lie (usually .build/mutants)
#   TRIREME_BINARIES=DIR                    do not build: programs that were built with TRIREME_MUTANTS=1
set -u
cd "$(dirname "$0")/.."

scratch=${TRIREME_MUTANTS_SCRATCH:-.build/mutants}
binaries=${TRIREME_BINARIES:-$scratch/release}
if [ -z "${TRIREME_BINARIES:-}" ]; then
  for product in trireme trireme-chaos; do
    TRIREME_MUTANTS=1 swift build -c release --product "$product" --scratch-path "$scratch" >&2 || exit 1
  done
fi

# Bug, scenario, and what the verdict says when it is found.
bugs="
reads-from-memory         leader-partition  is not linearizable|was acknowledged before
revision-unchecked        server-kill       is not linearizable|a stale version was accepted
create-overwrites         server-kill       is not linearizable|cannot follow the one before
deleted-events-missing    server-kill       an event that cannot follow the one before|was deleted
event-twice-at-resume     server-kill       an event twice
bookmark-too-high         server-kill       out of order|a bookmark
pages-of-now              server-kill       not the state at
lease-stolen-early        server-kill       two held the lock at once
"
home=$(mktemp -d "${TMPDIR:-/tmp}/trireme-bugs.XXXXXX")
trap 'rm -rf "$home"' EXIT
missed=0
play() { # scenario, folder, words…
  local scenario=$1 folder=$2
  shift 2
  "$binaries/trireme-chaos" run "$scenario" --machines --minutes 0.5 --faults 3 --seed 5 --home "$folder" "$@" >"$folder.log" 2>&1
}
declare -A sound
while read -r bug scenario words; do
  [ -n "$bug" ] || continue
  if [ $# -gt 0 ] && [[ " $* " != *" $bug "* ]]; then continue; fi
  if [ -z "${sound[$scenario]:-}" ]; then
    play "$scenario" "$home/$scenario"
    case $? in
      0) sound[$scenario]=yes ;;
      3) echo "Skipped: machines cannot be made here" && exit 3 ;;
      *) echo "✗ $scenario finds something without a bug:" && tail -n 20 "$home/$scenario.log" && exit 1 ;;
    esac
  fi
  play "$scenario" "$home/$bug" --mutant "$bug"
  if found=$(grep -E "✗.*($words)" "$home/$bug.log" | head -n 1) && [ -n "$found" ]; then
    echo "✓ $bug: ${found#*✗ }"
  else
    echo "✗ $bug is not found:" && tail -n 12 "$home/$bug.log"
    missed=$((missed + 1))
  fi
done <<<"$bugs"
[ "$missed" = 0 ]
