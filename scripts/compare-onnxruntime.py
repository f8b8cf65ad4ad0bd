#!/usr/bin/env python3
"""Exports every network, runs the file by onnxruntime, and compares with what Omma computes of the network itself.

    python3 -m venv out/onnx && out/onnx/bin/pip install numpy onnx onnxruntime
    cargo build --release --features cli --bin omma
    out/onnx/bin/python scripts/compare-onnxruntime.py [--omma target/release/omma] [--opset 17] [--full] [MODEL ...]

Weights and inputs are random by a fixed seed. Small inputs and four classes are the default; --full takes those of the
networks' papers. One line a network: the largest difference, beside the bound. A layer that adds up K products is off by
at most 4 eps sqrt(K) of its results' size, as Omma's own tests have it, and keeps that size; with L such layers, and as
much for the other runtime, the bound is 8 eps sqrt(K) L times the largest output. The file is also run with two examples
in the batch that it leaves open, which must give the one's outputs twice, within that bound.
"""

import argparse
import json
import math
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import onnx
import onnxruntime
from onnx import numpy_helper

SMALL = {"lenet5": 28, "unet": 32, "alexnet_2012": 96, "inception_v3": 80, "m5": 2000, "text_cnn": 12}
EPS = float(np.finfo(np.float32).eps)


def read(path):
    tensor = onnx.TensorProto()
    tensor.ParseFromString(path.read_bytes())
    return numpy_helper.to_array(tensor)


def bound(model, size):
    """See above."""
    weights = {tensor.name: tensor.dims for tensor in model.graph.initializer}
    layers = [node for node in model.graph.node if node.op_type in ("Conv", "ConvTranspose", "Gemm", "MatMul")]
    longest = max(math.prod(weights[name][1:]) for node in layers for name in node.input if name in weights)
    return 8 * EPS * math.sqrt(longest) * len(layers) * size


def compare(omma, name, opset, full):
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        size = [] if full else ["--size", str(SMALL.get(name, 64)), "--classes", "4"]
        command = [omma, "export", "--model", name, "--opset", str(opset), "--seed", "3", *size, "--case", folder]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        path = folder / "model.onnx"
        model = onnx.load(path)
        onnx.checker.check_model(model, full_check=True)
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        x = read(folder / "test_data_set_0" / "input_0.pb")
        expected = read(folder / "test_data_set_0" / "output_0.pb")
        feed = session.get_inputs()[0].name
        one, = session.run(None, {feed: x})
        two, = session.run(None, {feed: np.concatenate([x, x])})
    size = np.abs(expected).max()
    limit = bound(model, size)
    difference = np.abs(one - expected).max()
    twice = max(np.abs(row - expected[0]).max() for row in two)
    good = one.shape == expected.shape and size > 0 and difference <= limit and twice <= limit
    print(f"{'ok  ' if good else 'FAIL'} {name:20} {difference:.2e} of {size:.2e}, bound {limit:.2e}, twice {twice:.2e}")
    return good


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--omma", default="target/release/omma")
    parser.add_argument("--opset", type=int, default=17)
    parser.add_argument("--full", action="store_true")
    parser.add_argument("models", nargs="*")
    options = parser.parse_args()
    listed = subprocess.run([options.omma, "models", "--json"], check=True, capture_output=True, text=True).stdout
    names = options.models or [json.loads(line)["model"] for line in listed.splitlines()]
    good = [compare(options.omma, name, options.opset, options.full) for name in names]
    print(f"{sum(good)} of {len(good)} networks agree, operator set {options.opset}")
    sys.exit(not all(good))


if __name__ == "__main__":
    main()
