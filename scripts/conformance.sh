#!/usr/bin/env bash
# Runs ONNX's own tests: the node tests against the table of those that are known not to pass, and the light models with
# their stored outputs and with random weights, which onnxruntime computes too.
#
#   scripts/conformance.sh target/debug/omma [nodes|models]
#
# Python and the packages of scripts/onnx/requirements.txt, from PyPI, go to an environment of their own in the target
# folder. OMMA_UPDATE=1 writes the table anew.
set -euo pipefail

if [ $# -lt 1 ] || [ ! -x "$1" ]; then
    echo "usage: $0 PATH-TO-OMMA [nodes|models] (build it first)" >&2
    exit 2
fi
omma=$(realpath "$1")
what=${2:-all}
cd "$(dirname "$0")/.."
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
env=$target/onnx-venv
cases=$target/onnx-cases
wanted=scripts/onnx/requirements.txt

say() { printf 'omma: %s\n' "$*" >&2; }

if ! cmp -s "$wanted" "$env/installed.txt"; then
    command -v python3 >/dev/null || { say "python3 not found (3.11 or newer, on Debian python3 python3-venv)"; exit 1; }
    say "installing $(grep -v '^#' "$wanted" | paste -sd' ') into $env"
    rm -rf "$env" "$cases"
    python3 -m venv "$env"
    "$env/bin/pip" install --quiet --disable-pip-version-check -r "$wanted"
    cp "$wanted" "$env/installed.txt"
fi
python=$env/bin/python

# The command's exit tells of failures, and so does the table: that is what decides here.
judge() { "$omma" conformance "$1" --limit "$2" >"$3" || [ $? -eq 1 ]; }

failed=0
if [ "$what" != models ]; then
    if [ ! -e "$cases/written" ]; then
        "$python" scripts/onnx/write_nodes.py "$cases/tests"
        touch "$cases/written"
    fi
    mkdir -p "$cases/results"
    judge "$cases/tests/node" 60 "$cases/results/node.txt"
    judge "$cases/tests/other" 60 "$cases/results/other.txt"
    tail -qn 1 "$cases/results/node.txt" "$cases/results/other.txt"
    "$python" scripts/onnx/table.py "$cases/results" "$cases/tests" docs/onnx-conformance.md || failed=1
fi
if [ "$what" != nodes ]; then
    "$python" scripts/onnx/write_models.py "$cases/models"
    # One at a time: each holds all its weights.
    "$omma" conformance "$cases/models" --limit 600 --jobs 1 | tee "$cases/models.txt"
    ! grep -q '^UNSUPPORTED' "$cases/models.txt" || failed=1
fi
exit $failed
