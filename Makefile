# The commands for users and maintainers; CONTRIBUTING.md explains them. `make demo`, `make test`, `make check` and `make fuzz`
# install what they need on Debian and Ubuntu (scripts/bootstrap). All that is compiled goes to CARGO_TARGET_DIR, else to ./target.

CACHE = $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/sidedoor
TOOLS ?= $(or $(SIDEDOOR_TOOLS),$(CACHE)/tools)
CARGO_DENY = $(TOOLS)/bin/cargo-deny
CARGO_MUTANTS = $(TOOLS)/bin/cargo-mutants
TARGET_DIR = $(or $(CARGO_TARGET_DIR),target)

# scripts/bootstrap puts links there to programs that are not on PATH, and to a newer Node.js where the system's is too old.
export PATH := $(CACHE)/bin:$(PATH)

.PHONY: help demo simulate test test-all test-rust test-clients test-contract test-contract-long test-lightning test-numbers pictures check fmt clippy deny advisories contract lint-openapi external-service fuzz mutants release-contract bench bench-build bench-growth bench-timing

help: ## list the commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 20

demo: ## run the main job end to end against fakes of both vendors
	@scripts/bootstrap demo
	@[ -x $(TARGET_DIR)/debug/sidedoor ] || echo "Compiling Sidedoor and its dependencies. This takes 3 to 6 minutes, the first time only."
	cargo build --workspace --bins
	$(TARGET_DIR)/debug/sidedoor demo

test: ## run all tests, then print their number by group (docs/testing.md)
	@scripts/bootstrap test || [ "$$SIDEDOOR_NO_SKIP" != 1 ]
	@scripts/test

test-all: test ## run all tests, then 200 kills of the process, and 200 hard worlds of 30 days for the clock calibration
	KILL_ROUNDS=200 cargo test --test it kills_lose_and_duplicate_nothing -- --nocapture
	HARD_WORLDS=200 HARD_DAYS=30 cargo test --release -p clock-calibration --features simulator --test hard_worlds -- --nocapture

test-rust: ## run the unit, integration, property and kill -9 tests
	@scripts/test rust

simulate: ## run the simulation for SEEDS worlds (default 2000), beginning with SEED
	cargo test --lib simulation_keeps_every_promise -- --nocapture

test-clients: ## run boto3, simple-salesforce and jsforce against the fakes and the service
	@scripts/test clients

test-contract: ## run schemathesis against the service, about a minute
	@scripts/test contract

test-contract-long: ## run schemathesis for about 15 minutes; CONTRACT_SEED chooses the requests
	@CONTRACT_RUN=long scripts/test contract

test-lightning: ## test the Salesforce side: jest, headless Chromium, Apex and metadata
	@scripts/test lightning browser apex

test-numbers: ## run all tests and write their numbers to docs/testing.md
	@SIDEDOOR_NO_SKIP=1 scripts/test --record

pictures: ## take the pictures of the component in docs/images
	cargo build --workspace --bins
	SIDEDOOR_PICTURES=1 SIDEDOOR_BIN=$(abspath $(TARGET_DIR))/debug/sidedoor infra/salesforce/test/run.sh browser

check: bootstrap-check fmt clippy deny advisories contract lint-openapi ## check formatting, lints, supply chain and the contract

.PHONY: bootstrap-check
bootstrap-check:
	@scripts/bootstrap check

fmt:
	cargo fmt --all --check

clippy:
	cargo clippy --workspace --all-targets -- -D warnings

deny: $(CARGO_DENY)
	$(CARGO_DENY) --locked check bans licenses sources

advisories: $(CARGO_DENY) ## look for known vulnerabilities (RustSec, npm), where their databases can be reached
	@CARGO_DENY=$(CARGO_DENY) scripts/advisories

$(CARGO_DENY):
	cargo install --locked --root $(TOOLS) cargo-deny@0.20.2

contract: ## compare openapi.yaml with the served routes, both ways
	cargo test --test it contract

lint-openapi: ## lint openapi.yaml with Spectral and our own rules
	tests/contract/lint.sh

external-service: ## generate what Salesforce External Services imports from openapi.yaml
	SIDEDOOR_MAKE=1 cargo test --test it external_service
	cd infra/salesforce/tools-apex && npm ci --silent && node ../scripts/external-service.mjs

fuzz: ## fuzz the parsers of untrusted input, FUZZ_SECONDS (10) each
	@scripts/bootstrap fuzz
	fuzz/run.sh

mutants: $(CARGO_MUTANTS) ## mutation tests of the domain crate, about 30 minutes; MUTANTS_FILE=interlock.rs tests one file
	$(CARGO_MUTANTS) mutants --package sidedoor-domain --cargo-arg=--lib --output $(TARGET_DIR) $(if $(MUTANTS_FILE),--file '$(MUTANTS_FILE)')

$(CARGO_MUTANTS):
	cargo install --locked --root $(TOOLS) cargo-mutants@27.1.0

release-contract: ## keep openapi.yaml as the contract of its version, which later ones must not break (docs/contract.md)
	cp openapi.yaml tests/contract/released/openapi-$$(sed -n 's/^  version: "\(.*\)"$$/\1/p' openapi.yaml).yaml

bench-timing: ## measure the clock calibration in fixed scenarios and hard worlds; fails below a target of docs/timing.md
	cargo run --release -- timing simulate --check --folder $(TARGET_DIR)/timing
	cargo bench -p clock-calibration --features simulator --bench feasible_set

# The same selection of packages in both commands, because cargo would otherwise compile the dependencies twice.
BENCH = cargo bench --workspace --bench load --

bench-build:
	cargo build --release --workspace --bins --bench load --bench burst
	benches/peer/run.sh install

bench: bench-build ## measure Sidedoor beside the durable floor, bare vendor calls, and services in Python and Node.js (docs/performance.md)
	$(BENCH) pairs
	$(BENCH) beyond
	cargo bench --workspace --bench burst

bench-growth: bench-build ## measure a pair on large stores, and idle supervisions; BENCH_HISTORY and BENCH_ACTIVE are the largest sizes
	$(BENCH) growth
