#!/usr/bin/env python3
"""Exports every network, runs the file by onnxruntime, and compares with what Omma computes of the network itself.

    python3 -m venv out/onnx && out/onnx/bin/pip install numpy onnx onnxruntime
    cargo build --release --features cli --bin omma
    out/onnx/bin/python scripts/compare-onnxruntime.py [--omma target/release/omma] [--opset 17] [--full | --operations] [MODEL ...]

Weights and inputs are random by a fixed seed. Small inputs and four classes are the default; --full takes those of the
networks' papers. One line a network: the largest difference, beside the bound. A layer that adds up K products is off by
at most 4 eps sqrt(K) of its results' size, as Omma's own tests have it, and keeps that size; with L such layers, and as
much for the other runtime, the bound is 8 eps sqrt(K) L times the largest output. The file is also run with two examples
in the batch that it leaves open, which must give the one's outputs twice, within that bound.
"""

import argparse
import json
import math
import os
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import onnx
import onnxruntime
from onnx import numpy_helper

SMALL = {"lenet5": 28, "unet": 32, "alexnet_2012": 96, "inception_v3": 80, "m5": 2000, "text_cnn": 12}
# Parts of the names of cases that onnxruntime refuses or computes by other rules.
OTHERWISE = {
    "indices_out_of_range": "an error there, not-a-number here",
    "layer_norm_around_1000": "a mean that is large beside the deviation loses more there",
    "dilation_3x1__ceil": "windows that reach over the end by more than their taps are refused there",
    "dilation_2x3": "padding of as many cells as a window has taps is refused there",
    "max_pool3d_of_hazards": "not-a-number is skipped there and wins here",
    "lp_pool1d_of_large_and_small_values": "powers overflow there",
}
# No remark at every start that the adapter is a software one.
os.environ.setdefault("RUST_LOG", "error")
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


def operations(omma, opset):
    with tempfile.TemporaryDirectory() as folder:
        command = [omma, "export", "--operations", folder, "--opset", str(opset)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        cases, failed, otherwise = sorted(pathlib.Path(folder).iterdir()), 0, 0
        for case in cases:
            data = case / "test_data_set_0"
            try:
                onnx.checker.check_model(onnx.load(case / "model.onnx"), full_check=True)
                session = onnxruntime.InferenceSession(case / "model.onnx", providers=["CPUExecutionProvider"])
                names = [value.name for value in session.get_inputs()]
                feeds = {name: read(data / f"input_{number}.pb") for number, name in enumerate(names)}
                for number, actual in enumerate(session.run(None, feeds)):
                    expected = read(data / f"output_{number}.pb")
                    np.testing.assert_allclose(actual, expected, rtol=1e-3, atol=1e-4, strict=True)
            except Exception as error:  # Whatever a runtime raises is a difference.
                reason = next((reason for part, reason in OTHERWISE.items() if part in case.name), None)
                failed, otherwise = failed + (reason is None), otherwise + (reason is not None)
                text = " ".join(str(error).split())[:200]
                print(f"{'FAIL' if reason is None else 'differs'} {case.name}: {reason or text}")
        good = len(cases) - failed - otherwise
        print(f"{good} of {len(cases)} operations agree, {otherwise} are computed otherwise, operator set {opset}")
        return failed == 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--omma", default="target/release/omma")
    parser.add_argument("--opset", type=int, default=17)
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--operations", action="store_true")
    parser.add_argument("models", nargs="*")
    options = parser.parse_args()
    onnxruntime.set_default_logger_severity(4)
    if options.operations:
        sys.exit(not operations(options.omma, options.opset))
    listed = subprocess.run([options.omma, "models", "--json"], check=True, capture_output=True, text=True).stdout
    names = options.models or [json.loads(line)["model"] for line in listed.splitlines()]
    good = [compare(options.omma, name, options.opset, options.full) for name in names]
    print(f"{sum(good)} of {len(good)} networks agree, operator set {options.opset}")
    sys.exit(not all(good))


if __name__ == "__main__":
    main()
