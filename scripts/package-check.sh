#!/usr/bin/env bash
# Packages the crate, and proves that the package is whole: a new crate far from this repository, with the unpacked
# package as its only dependency, builds and runs the README's first Rust example.
#
#   scripts/package-check.sh
set -euo pipefail
cd "$(dirname "$0")/.."

fail() { printf 'package-check: %s\n' "$*" >&2; exit 1; }

target=${CARGO_TARGET_DIR:-$PWD/target}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# `cargo package` would verify by building everything once more; the crate below is the stricter test.
rm -f "$target"/package/omma-*.crate
cargo package --no-verify --allow-dirty --target-dir "$target"
mkdir "$work/omma"
tar -xzf "$target"/package/omma-*.crate -C "$work/omma" --strip-components=1

for file in README.md CHANGELOG.md LICENSE-MIT LICENSE-APACHE; do
    [ -s "$work/omma/$file" ] || fail "the package has no $file"
done

mkdir -p "$work/consumer/src"
awk '/^```/ && inside { exit } inside { print } /^```rust/ { inside = 1 }' "$work/omma/README.md" >"$work/consumer/src/main.rs"
grep -q '^fn main' "$work/consumer/src/main.rs" || fail "the README's first rust block is not a whole program"

# Built in Omma's target folder with Omma's lock file, so that what is built there already is not built again, and
# without optimisation, which takes a third of the time: this program has little to compute on the CPU.
cat >"$work/consumer/Cargo.toml" <<'TOML'
[package]
name = "omma-consumer"
version = "0.0.0"
edition = "2024"
publish = false

[dependencies]
omma = { path = "../omma" }

[profile.dev]
debug = false
TOML
if [ -e "$work/omma/Cargo.lock" ]; then cp "$work/omma/Cargo.lock" "$work/consumer/"; fi

cargo build --manifest-path "$work/consumer/Cargo.toml" --target-dir "$target"

# What the program needs must be inside it: no shader is read from the sources at run time.
rm -rf "$work/omma"
cd "$work/consumer"
"$target/debug/omma-consumer"
printf 'package-check: the README example runs with the package alone\n'
