#!/usr/bin/env bash
# The Swift tests: those that live in virtual time and the others beside one another, each group one test after the other.
# What failed is said once more at the end, where whoever reads a long log looks first.
set -uo pipefail
cd "$(dirname "$0")/.."

binary=$(swift build --show-bin-path)/triremePackageTests.xctest
virtual='^(SimulationTests|ControllersTests|SchedulerTests|RaftTests|KubeletTests)\.'
logs=$(mktemp -d)
trap 'rm -rf "$logs"' EXIT

run() { # words for the runner…
  NO_COLOR=1 "$binary" --testing-library swift-testing --no-parallel "$@" 2>&1
}
run --filter "$virtual" >"$logs/virtual" &
other=$!
run --skip "$virtual" | tee "$logs/others"
status=$?
echo
echo "Beside them, in virtual time:"
wait "$other" || status=$?
grep -vE '^◇ ' "$logs/virtual"
if [ "$status" != 0 ]; then
  echo
  echo "What failed (run one alone: swift test --skip-build --filter NAME):"
  cat "$logs/others" "$logs/virtual" | grep -E '^✘|^[^ ]+ (recorded an issue|failed)' | grep -v '^✘ Test run with' |
    cut -c1-1000 | tail -40
fi
exit "$status"
