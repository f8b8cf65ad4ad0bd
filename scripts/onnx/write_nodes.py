"""Writes ONNX's official node tests, and copies the other ones of its package that have their data with them.

    write_nodes.py OUT        OUT/node/CASE, OUT/other/CASE
"""

import json
import random
import shutil
import sys
from pathlib import Path

import numpy as np

# Some cases draw their inputs when they are made, and not all of those say from which seed.
np.random.seed(0)
random.seed(0)

import onnx
from onnx import TensorProto, numpy_helper
from onnx.backend.test.case.node import collect_testcases


def message(value, info):
    """The value of an input or output as the message that its type wants."""
    if isinstance(value, TensorProto):
        return value
    if info.type.HasField("sequence_type"):
        return numpy_helper.from_list(value, info.name)
    if info.type.HasField("optional_type"):
        return numpy_helper.from_optional(value, info.name)
    return numpy_helper.from_array(np.asarray(value), info.name)


def write(case, folder):
    folder.mkdir(parents=True)
    (folder / "model.onnx").write_bytes(case.model.SerializeToString())
    (folder / "data.json").write_text(json.dumps({"rtol": case.rtol, "atol": case.atol}))
    for number, (inputs, outputs) in enumerate(case.data_sets):
        data = folder / f"test_data_set_{number}"
        data.mkdir()
        for kind, values, infos in [
            ("input", inputs, case.model.graph.input),
            ("output", outputs, case.model.graph.output),
        ]:
            for index, value in enumerate(values):
                (data / f"{kind}_{index}.pb").write_bytes(message(value, infos[index]).SerializeToString())


def main():
    out = Path(sys.argv[1])
    shutil.rmtree(out, ignore_errors=True)
    cases = collect_testcases(None)
    for case in cases:
        write(case, out / "node" / case.name)
    stored = Path(onnx.__file__).parent / "backend" / "test" / "data"
    others = 0
    for kind in ["simple", "pytorch-operator", "pytorch-converted"]:
        for case in sorted((stored / kind).iterdir()):
            shutil.copytree(case, out / "other" / case.name)
            others += 1
    print(f"{len(cases)} node tests and {others} others in {out}")


main()
