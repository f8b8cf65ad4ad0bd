"""Writes the light models of ONNX's package as cases: with the outputs that the package has, and, since all weights of
such a model are equal, once more with random ones and what onnxruntime computes of them.

    write_models.py OUT        OUT/light_NAME, OUT/random_NAME
"""

import json
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import helper, numpy_helper

LIGHT = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"


def fed_inputs(model):
    """The inputs that no initializer gives."""
    given = {tensor.name for tensor in model.graph.initializer}
    return [info for info in model.graph.input if info.name not in given]


def shape(info):
    return tuple(dim.dim_value for dim in info.type.tensor_type.shape.dim)


def write(folder, model, inputs, outputs, tolerances):
    data = folder / "test_data_set_0"
    data.mkdir(parents=True, exist_ok=True)
    for kind, arrays in [("input", inputs), ("output", outputs)]:
        for index, array in enumerate(arrays):
            (data / f"{kind}_{index}.pb").write_bytes(numpy_helper.from_array(array).SerializeToString())
    (folder / "data.json").write_text(json.dumps(tolerances))
    # Last: a folder with a model is whole.
    (folder / "model.onnx").write_bytes(model.SerializeToString())


def light(path, folder):
    """The model as it is, on the ramp that its stored output belongs to."""
    model = onnx.load(path)
    inputs = []
    for info in fed_inputs(model):
        count = int(np.prod(shape(info)))
        inputs.append((np.arange(count).reshape(shape(info)) / count).astype(np.float32))
    stored = path.with_name(f"{path.stem}_output_0.pb")
    output = numpy_helper.to_array(onnx.TensorProto.FromString(stored.read_bytes()))
    write(folder, model, inputs, [output], {"rtol": 1e-3, "atol": 1e-5})


def scales(graph):
    """The names of what multiplies a channel, or is its variance: a batch normalisation's, or one written out."""
    users = {}
    for node in graph.node:
        for index, name in enumerate(node.input):
            users.setdefault(name, []).append((node, index))
    found = set()
    for name, uses in users.items():
        for node, index in uses:
            if node.op_type == "BatchNormalization" and index in (1, 4):
                found.add(name)
            if node.op_type == "Unsqueeze" and any(
                after.op_type == "Mul" for after, _ in users.get(node.output[0], [])
            ):
                found.add(name)
    return found


def randomized(model, random):
    """The model with weights that keep the size of what goes through it, and with what its softmax reads as an output."""
    graph = model.graph
    shapes = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    of_scale = scales(graph)
    nodes = []
    for node in graph.node:
        if node.op_type != "ConstantOfShape":
            nodes.append(node)
            continue
        extents = tuple(int(extent) for extent in shapes[node.input[0]])
        name = node.output[0]
        if len(extents) >= 2:
            array = random.standard_normal(extents) * np.sqrt(2 / np.prod(extents[1:]))
        elif name in of_scale:
            array = random.uniform(0.5, 1.5, extents)
        else:
            array = random.uniform(-0.1, 0.1, extents)
        graph.initializer.append(numpy_helper.from_array(array.astype(np.float32), name))
    del graph.node[:]
    graph.node.extend(nodes)
    # An input may be declared for the shape of each weight: none is needed any more.
    used = {name for node in nodes for name in node.input}
    kept = [info for info in graph.input if info.name in used]
    del graph.input[:]
    graph.input.extend(kept)
    tensors = [tensor for tensor in graph.initializer if tensor.name in used]
    del graph.initializer[:]
    graph.initializer.extend(tensors)
    last = next(node for node in nodes if graph.output[0].name in node.output)
    if last.op_type == "Softmax":
        graph.output.append(helper.make_tensor_value_info(last.input[0], onnx.TensorProto.FLOAT, None))
    return model


def with_random_weights(path, folder, seed):
    random = np.random.default_rng(seed)
    model = randomized(onnx.load(path), random)
    inputs = [random.uniform(-1, 1, shape(info)).astype(np.float32) for info in fed_inputs(model)]
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    names = [info.name for info in fed_inputs(model)]
    outputs = session.run(None, dict(zip(names, inputs)))
    assert all(np.isfinite(output).all() for output in outputs), path
    # The rounding of a hundred layers is a share of the largest number, and some numbers are near zero.
    largest = max(float(np.abs(output).max()) for output in outputs)
    write(folder, model, inputs, outputs, {"rtol": 1e-3, "atol": 1e-4 * largest})


def main():
    out = Path(sys.argv[1])
    for seed, path in enumerate(sorted(LIGHT.glob("light_*.onnx"))):
        name = path.stem.removeprefix("light_")
        for folder, make in [
            (out / f"light_{name}", lambda folder: light(path, folder)),
            (out / f"random_{name}", lambda folder: with_random_weights(path, folder, seed)),
        ]:
            if not (folder / "model.onnx").exists():
                make(folder)
    print(f"light models in {out}")


main()
