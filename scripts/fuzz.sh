#!/usr/bin/env bash
# Looks for files that make the ONNX importer panic, overflow, or take more than 2 s or 2 GiB: each target of fuzz/ for so
# many seconds.
#
#   scripts/fuzz.sh [SECONDS] [TARGET]
#
# Needs `cargo install cargo-fuzz` and a nightly toolchain. The bytes start from tests/onnx/cases, and from ONNX's node tests
# where `make conformance` has written them. What is found lies in fuzz/artifacts; `cargo +nightly fuzz tmin` makes it small.
set -euo pipefail
cd "$(dirname "$0")/.."
time=${1:-60}
targets=${2:-onnx operators}

corpus=fuzz/corpus/onnx
mkdir -p "$corpus" fuzz/corpus/operators
for model in tests/onnx/cases/*/model.onnx "${CARGO_TARGET_DIR:-target}"/onnx-cases/tests/*/*/model.onnx; do
    [ -e "$model" ] && [ "$(wc -c <"$model")" -lt 8192 ] || continue
    cp "$model" "$corpus/$(basename "$(dirname "$model")").onnx"
done

# The code is safe Rust, which panics where other code would do harm: no sanitizer has to watch the memory.
for target in $targets; do
    cargo +nightly fuzz run --sanitizer none "$target" -- -max_total_time="$time" -timeout=2 -rss_limit_mb=2048 -max_len=8192 -len_control=0
done
