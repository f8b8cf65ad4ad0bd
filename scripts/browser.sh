#!/usr/bin/env bash
# Shows every kernel to Tint, the WGSL compiler of Chromium: what naga takes a browser may still refuse.
#
#   scripts/browser.sh target/debug/omma
#
# Needs Node.js and npm. Dawn, from npm, goes to the target folder; it needs no GPU to compile.
set -euo pipefail

if [ $# -ne 1 ] || [ ! -x "$1" ]; then
    echo "usage: $0 PATH-TO-OMMA (build it first)" >&2
    exit 2
fi
omma=$(realpath "$1")
cd "$(dirname "$0")/.."
folder=$(realpath -m "${CARGO_TARGET_DIR:-target}")/browser
mkdir -p "$folder"
rm -rf "$folder/kernels"
"$omma" kernels "$folder/kernels"
npm install --silent --no-audit --no-fund --prefix "$folder" webgpu@0.6.2
cp scripts/browser.mjs "$folder"
node "$folder/browser.mjs" "$folder/kernels"
