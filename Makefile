# The two commands a newcomer needs are `make demo` and `make test`; CI runs everything through .ci/run.

CARGO ?= cargo
OUT   ?= out/lenet5
# Of the comparison with other engines: what to time and how, as `make bench-peers ARGS=--help` explains.
ARGS  ?= conv --rounds 3
# Of fuzzing: seconds for each target.
TIME  ?= 60
TARGET := $(or $(CARGO_TARGET_DIR),target)

.DEFAULT_GOAL := help
.PHONY: help demo test conformance fuzz examples lint wasm browser package bench-peers clean

help: ## list these targets
	@sed -n 's/^\([a-z-]*\):.*## /  make \1|/p' Makefile | awk -F'|' '{ printf "%-19s%s\n", $$1, $$2 }'

demo: ## train LeNet-5 on the bundled digits and draw pictures into out/lenet5
	@scripts/ensure-tools.sh cc
	$(CARGO) build --release --features cli --bin omma
	@scripts/ensure-vulkan.sh $(TARGET)/release/omma
	$(TARGET)/release/omma train --model lenet5 --data data/mnist --out $(OUT)
	@scripts/list-pictures.sh $(OUT)

# The test build comes first: it makes the `omma` that tells whether there is an adapter to test on.
test: ## run the whole suite: unit, integration and documentation tests, on the GPU
	@scripts/ensure-tools.sh cc
	$(CARGO) test --features cli --no-run
	@scripts/ensure-vulkan.sh $(TARGET)/debug/omma
	$(CARGO) test --features cli

# Needs Python 3.11 and PyPI, which nothing else here does. WHAT=nodes or WHAT=models runs a part.
conformance: ## run ONNX's own tests, and its light models beside onnxruntime
	@scripts/ensure-tools.sh cc
	$(CARGO) build --features cli --bin omma
	@scripts/ensure-vulkan.sh $(TARGET)/debug/omma
	scripts/conformance.sh $(TARGET)/debug/omma $(WHAT)

# Needs cargo-fuzz and a nightly toolchain, which nothing else here does.
fuzz: ## look for ONNX files that do harm, TIME=60 seconds a target
	@scripts/ensure-tools.sh cc
	scripts/fuzz.sh $(TIME)

# A few steps of each: that it runs and how it begins to learn. Mesa's layer that chooses among devices would complain wherever
# there is no desktop. Their defaults are for `cargo run --release --example NAME`.
examples: export NODEVICE_SELECT = 1
examples: ## run every example at a small size, pictures into out/
	@scripts/ensure-tools.sh cc
	$(CARGO) build --features cli --bin omma --examples
	@scripts/ensure-vulkan.sh $(TARGET)/debug/omma
	$(CARGO) run --features cli --example host_device
	$(CARGO) run --features cli --example filters
	$(CARGO) run --features cli --example segment 60
	$(CARGO) run --features cli --example sounds 20
	$(CARGO) run --features cli --example sentences 100
	$(CARGO) run --features cli --example compare 6
	$(CARGO) run --features cli --example digits 1
	$(CARGO) run --features cli --example fine_tune 20

lint: ## check the format, clippy for each feature set, and the documentation
	$(CARGO) fmt --check
	cd benches/peers && $(CARGO) fmt --check
	cd fuzz && $(CARGO) fmt --check
	$(CARGO) clippy --features cli --all-targets -- -D warnings
	$(CARGO) clippy --no-default-features -- -D warnings
	$(CARGO) clippy --no-default-features --features backends -- -D warnings
	$(CARGO) clippy --no-default-features --features train -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --lib --no-deps --features cli

# In a browser wgpu's handles stay on their thread, so there clippy's remark about `Arc` is beside the point.
wasm: ## check the library for browsers
	$(CARGO) clippy --target wasm32-unknown-unknown --lib --features onnx -- -D warnings -A clippy::arc_with_non_send_sync

browser: ## the same, and show every kernel to Chromium's WGSL compiler (needs Node.js and npm)
	$(MAKE) wasm
	$(CARGO) build --features cli --bin omma
	@scripts/ensure-vulkan.sh $(TARGET)/debug/omma
	scripts/browser.sh $(TARGET)/debug/omma

package: ## package the crate and run the README's example against the package alone
	scripts/package-check.sh

# The peers' own dependencies take many minutes to build, once. Mesa's layer that chooses among devices has nothing to do
# and would complain wherever there is no desktop.
bench-peers: ## time Omma beside burn and tract on the same convolutions and networks
	@scripts/ensure-tools.sh cc
	cd benches/peers && NODEVICE_SELECT=1 $(CARGO) run --release -- $(ARGS)

clean: ## remove what was built (pictures and models in out/ stay)
	$(CARGO) clean
