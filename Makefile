# What a user runs. `make demo` needs nothing but Rust; `make test` also needs python3 (for the independent
# clients), Node 20, npm, Chromium and Java (for the Salesforce side); `make check` also node and npm.
# The build goes where CARGO_TARGET_DIR says, else to ./target.

TOOLS ?= $(or $(SIDEDOOR_TOOLS),$(HOME)/.cache/sidedoor/tools)
CARGO_DENY = $(TOOLS)/bin/cargo-deny
TARGET_DIR = $(or $(CARGO_TARGET_DIR),target)

.PHONY: help demo test test-rust test-clients test-contract test-contract-long test-lightning pictures check fmt clippy deny advisories contract lint-openapi external-service fuzz release-contract bench bench-timing

help: ## what there is
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 16

demo: ## the main job, end to end, against the fakes
	cargo run --quiet -- demo

test: test-rust test-clients test-contract test-lightning ## all tests

test-rust: ## unit, integration, property and kill -9 tests
	cargo test

test-clients: ## boto3, simple-salesforce and jsforce against the fakes and the service
	cargo build
	SIDEDOOR_BIN=$(abspath $(TARGET_DIR))/debug/sidedoor tests/clients/run.sh

test-contract: ## schemathesis against the running service, about a minute
	cargo build
	SIDEDOOR_BIN=$(abspath $(TARGET_DIR))/debug/sidedoor tests/contract/run.sh

test-contract-long: ## likewise, for a quarter of an hour or so; CONTRACT_SEED says which run
	cargo build
	SIDEDOOR_BIN=$(abspath $(TARGET_DIR))/debug/sidedoor CONTRACT_RUN=long tests/contract/run.sh

test-lightning: ## the Lightning components: jest, then headless Chromium with the real Streams library against the fakes
	cargo build
	SIDEDOOR_BIN=$(abspath $(TARGET_DIR))/debug/sidedoor infra/salesforce/test/run.sh

pictures: ## the pictures of the component in docs/images, taken by the browser tests
	cargo build
	cd infra/salesforce && SIDEDOOR_PICTURES=1 SIDEDOOR_BIN=$(abspath $(TARGET_DIR))/debug/sidedoor npm run --silent test:browser

check: fmt clippy deny contract lint-openapi ## formatting, lints, supply chain, the contract

fmt:
	cargo fmt --check

clippy:
	cargo clippy --all-targets -- -D warnings

deny: $(CARGO_DENY)
	$(CARGO_DENY) --locked check bans licenses sources

advisories: $(CARGO_DENY) ## known vulnerabilities (asks the RustSec database)
	$(CARGO_DENY) --locked check advisories

$(CARGO_DENY):
	cargo install --locked --root $(TOOLS) cargo-deny@0.20.2

contract: ## openapi.yaml against the routes, both ways
	cargo test --test it contract

lint-openapi: ## openapi.yaml by Spectral, with rules of the house's own (needs node and npm)
	tests/contract/lint.sh

external-service: ## what Salesforce External Services imports, made anew from openapi.yaml
	SIDEDOOR_MAKE=1 cargo test --test it external_service
	cd infra/salesforce/tools-apex && npm ci --silent && node ../scripts/external-service.mjs

fuzz: ## coverage-guided fuzzing of what reads strangers' bytes, FUZZ_SECONDS each (needs a C++ compiler)
	fuzz/run.sh

release-contract: ## keeps openapi.yaml as the contract of its version, from which no break is allowed (docs/contract.md)
	cp openapi.yaml tests/contract/released/openapi-$$(sed -n 's/^  version: "\(.*\)"$$/\1/p' openapi.yaml).yaml

bench-timing: ## simulate vendor clocks and compare with simpler estimators and an oracle; fail if a target is missed
	cargo run --release --quiet -- timing simulate --check --folder $(TARGET_DIR)/timing
	cargo bench -p clock-calibration --features simulator --bench feasible_set

bench: ## a monitor+disconnect pair beside bare vendor calls, as ratios; a burst's cost in Salesforce calls
	cargo bench --bench pair
	cargo bench --bench burst
