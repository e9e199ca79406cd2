# Two commands do everything on a fresh Debian 12 with the Swift toolchain: `make up` and `make test`.
.PHONY: help up down test build release bench bench-full chaos sim format lint dependencies

UP_FLAGS ?=

help: ## show this list
	@awk -F':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

dependencies: ## install the C libraries, HAProxy and kubectl, where they are missing
	@deploy/dependencies.sh

release: dependencies ## build the release binary
	@echo "Building trireme (release; several minutes the first time) …"
	@swift build -c release --product trireme

build: dependencies ## build everything, debug
	swift build --build-tests

up: release ## start a three-server cluster with load balancer and five nodes on this machine
	@"$$(swift build -c release --show-bin-path)/trireme" up $(UP_FLAGS)

down: ## stop that cluster and remove everything of it
	@if test -x "$$(swift build -c release --show-bin-path)/trireme"; then \
	  "$$(swift build -c release --show-bin-path)/trireme" down; fi

test: dependencies lint ## every test: units, simulations, real processes
	swift build --build-tests
	@deploy/test-units.sh
	@deploy/test-cluster.sh
	@deploy/test-operations.sh
	@deploy/test-clients.sh
	@$(MAKE) --no-print-directory sim

CHAOS_SCENARIO ?= everything
CHAOS_MINUTES ?= 10
CHAOS_SEED ?= $$(date +%s)

chaos: release ## break real servers in every way for CHAOS_MINUTES, and check what clients saw (root)
	@swift build -c release --product trireme-chaos
	@"$$(swift build -c release --show-bin-path)/trireme-chaos" run $(CHAOS_SCENARIO) --minutes $(CHAOS_MINUTES) \
	  --seed $(CHAOS_SEED)

SIM_MINUTES ?= $(or $(TRIREME_SIM_MINUTES),5)
# The seeds are new with every change of the sources, and the same for the same sources: what failed here fails there.
SIM_FROM ?= $$((0x$$(git rev-parse --short=7 HEAD^{tree} 2>/dev/null | cut -c1-7 || true)0 + 1))

sim: release ## simulate whole clusters under every fault, fresh seeds for SIM_MINUTES
	@"$$(swift build -c release --show-bin-path)/trireme" sim --minutes $(SIM_MINUTES) --jobs 2 --from $(SIM_FROM)

bench: release ## measure beside the peers (below 20 minutes)
	@Benchmarks/run.sh

bench-full: release ## measure beside the peers, the long cases too (more than half an hour)
	@Benchmarks/run.sh --full

format: ## format the sources
	swift format --in-place --recursive Package.swift Sources Tests chaos

lint: ## check the format
	@swift format lint --strict --recursive Package.swift Sources Tests chaos
