#!/usr/bin/env bash
# The Swift tests, one after the other; what failed is said once more at the end, where whoever reads a long log looks first.
set -uo pipefail
cd "$(dirname "$0")/.."

log=$(mktemp)
trap 'rm -f "$log"' EXIT
swift test --skip-build --no-parallel 2>&1 | tee "$log"
status=$?
if [ "$status" != 0 ]; then
  echo
  echo "What failed (run one alone: swift test --skip-build --filter NAME):"
  grep -E '^✘|^[^ ]+ (recorded an issue|failed)' "$log" | grep -v '^✘ Test run with' | cut -c1-1000 | tail -40
fi
exit "$status"
