# The only commands to remember. Every cargo call is --locked.
#
# Profiles: demo, tests and their programs (MUSTER_BIN_DIR) are all built in the profile `quick`, so the tree of
# dependencies is compiled once; benchmarks and what is shipped are built in `release`.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

CARGO ?= cargo
export MUSTER_BIN_DIR := $(CURDIR)/target/quick
RESULTS := target/results.txt
CONSOLE := controller/console
CONSOLE_PAGE := $(CONSOLE)/dist/index.html
CONSOLE_PACKAGES := $(CONSOLE)/node_modules/.package-lock.json
# Without what is generated of openapi.json: `npm run check` writes it anew, and nothing is to be built for that.
CONSOLE_SOURCES := $(filter-out %/schema.d.ts,$(shell find $(CONSOLE)/src $(CONSOLE)/public -type f 2>/dev/null)) \
  $(wildcard $(addprefix $(CONSOLE)/,index.html vite.config.ts tsconfig*.json package.json package-lock.json openapi.json))

.PHONY: help
help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-16s %s\n", $$1, $$2 }' Makefile

.PHONY: demo
demo: build ## a controller, five simulated partitions, their agents and a receiver, live; CI=1: without a person
	target/quick/demo

.PHONY: test
test: deps console check build ## everything; prints the results last
	@rm -f $(RESULTS); mkdir -p target
	@failed=; \
	$(MAKE) --no-print-directory test-programs || failed="$$failed tests"; \
	CI=1 $(MAKE) --no-print-directory demo || failed="$$failed demo"; \
	echo; if [ -f $(RESULTS) ]; then cat $(RESULTS); fi; \
	if [ -n "$$failed" ]; then echo "FAILED:$$failed"; exit 1; fi

.PHONY: test-programs
test-programs:
	if command -v cargo-nextest >/dev/null; then \
	  $(CARGO) nextest run --workspace --locked --cargo-profile quick --no-fail-fast; \
	  $(CARGO) test --workspace --locked --profile quick --doc; \
	else \
	  $(CARGO) test --workspace --locked --profile quick --no-fail-fast; \
	fi

.PHONY: prove
prove: deps build ## the stories in full size
	@rm -f $(RESULTS); mkdir -p target
	@failed=0; \
	MUSTER_PROVE=1 $(CARGO) test --locked --profile quick --workspace --test suite -- --test-threads 1 || failed=1; \
	echo; if [ -f $(RESULTS) ]; then cat $(RESULTS); fi; exit $$failed

.PHONY: bench
bench: release ## how fast and how light; results go to docs/benchmarks.md by hand
	MUSTER_BIN_DIR=$(CURDIR)/target/release target/release/muster-bench all

.PHONY: bench-fleet
bench-fleet: release ## a controller with 10,000 agents on the same cores, and the curve over sizes; a quarter of an hour
	MUSTER_BIN_DIR=$(CURDIR)/target/release target/release/muster-bench fleet --agents 10000
	MUSTER_BIN_DIR=$(CURDIR)/target/release target/release/muster-bench fleet --agents 1000,3000,18000 --weeks 0

.PHONY: bench-downloads
bench-downloads: release ## 1,000 agents that fetch a package of 20 MB at once: limits, time and the controller's memory; some minutes
	MUSTER_BIN_DIR=$(CURDIR)/target/release target/release/muster-bench downloads

.PHONY: bench-console
bench-console: release ## the console in Chromium with 10,000 partitions; a quarter of an hour
	tests/console/install.sh
	MUSTER_BIN_DIR=$(CURDIR)/target/release target/release/muster-bench console

.PHONY: bench-parts
bench-parts: ## the micro benchmarks of single parts
	$(CARGO) bench --locked --workspace --exclude muster-next-agent --benches

.PHONY: check
check: console ## format, lints, documentation, licences
	@if command -v npm >/dev/null; then cd $(CONSOLE) && npm run --silent check; fi
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --locked --profile quick -- -D warnings
	RUSTDOCFLAGS="-D warnings -A rustdoc::private_intra_doc_links" $(CARGO) doc --workspace --no-deps --locked --quiet --profile quick
	@if command -v cargo-deny >/dev/null; then \
	  $(CARGO) deny --locked --offline check bans licenses sources; \
	else \
	  echo "cargo-deny is not installed: bans by the lock file only"; \
	  tests/tools/banned-crates; \
	fi

.PHONY: console
console: ## the web console, which the controller embeds; left out where there is no npm

ifeq ($(wildcard $(CONSOLE)/package.json),)
console: ; @:
else ifeq ($(shell command -v npm),)
console:
	@echo "npm is not there: the web console is left out, or stays as it was built before"
else
console: $(CONSOLE_PAGE)
endif

$(CONSOLE_PACKAGES): $(CONSOLE)/package-lock.json
	cd $(CONSOLE) && npm ci --ignore-scripts --no-audit --no-fund
	touch $@

$(CONSOLE_PAGE): $(CONSOLE_SOURCES) $(CONSOLE_PACKAGES)
	cd $(CONSOLE) && npm run build
	touch $@

.PHONY: openapi
openapi: ## controller/console/openapi.json, from which the console's client is generated, out of the code
	$(CARGO) run --locked --profile quick --quiet -p muster-controller -- openapi --output $(CONSOLE)/openapi.json

.PHONY: build
build: console ## the programs, in target/quick
	$(CARGO) build --locked --profile quick --workspace --bins

.PHONY: release
release: console ## optimised programs with the development keys, in target/release; never for production (docs/operating/upgrades.md)
	$(CARGO) build --locked --release --workspace --exclude muster-next-agent --bins

.PHONY: deps
deps: ## what the tests need beside Rust and Node.js (Debian packages when root)
	tests/tools/install-packages
	tests/tools/install-syslog-ng.sh || echo "syslog-ng is left out"
	@$(MAKE) --no-print-directory foreign-clients

.PHONY: foreign-clients
foreign-clients: ## programs of others that the tests use: Mapepire and OpAMP clients, schemathesis, Playwright
	@tests/foreign/install.sh
	tests/schemathesis/install.sh
	@tests/console/install.sh
	@if [ -x tests/ibmi-sim/foreign/install.sh ]; then tests/ibmi-sim/foreign/install.sh; fi

.PHONY: clean-demo
clean-demo: ## what a demo left in demo-run/
	rm -rf demo-run
