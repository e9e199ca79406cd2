#!/bin/sh
# Builds the program with every planted bug in it and prints the mutation score: which of them the simulator finds, by
# what, and how soon. Arguments go to `trireme sim --mutants` (--jobs, --seeds, --from, --mutant NAME, --workload).
#
#   deploy/mutants.sh --jobs 2 --seeds 60
#   TRIREME_MUTANTS_SCRATCH=DIR     where the build products lie (usually .build/mutants)
set -eu
cd "$(dirname "$0")/.."
scratch=${TRIREME_MUTANTS_SCRATCH:-.build/mutants}
TRIREME_MUTANTS=1 swift build -c release --product trireme --scratch-path "$scratch" >&2
exec "$scratch/release/trireme" sim --mutants "$@"
