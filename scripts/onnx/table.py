"""Compares the cases that do not pass with docs/onnx-conformance.md, or writes that with OMMA_UPDATE=1.

    table.py RESULTS CASES TABLE

RESULTS/node.txt and RESULTS/other.txt are what `omma conformance` has printed, CASES holds node/ and other/.
"""

import collections
import os
import re
import sys
from pathlib import Path

import onnx

NAMED = {
    "convolution": "Conv ConvTranspose DeformConv Col2Im",
    "pooling": "MaxPool AveragePool LpPool GlobalAveragePool GlobalMaxPool GlobalLpPool MaxUnpool MaxRoiPool RoiAlign",
    "normalisation": "BatchNormalization InstanceNormalization GroupNormalization LayerNormalization LRN"
    " LpNormalization MeanVarianceNormalization RMSNormalization",
    "activations": "Relu LeakyRelu PRelu Elu Selu Celu Gelu Sigmoid HardSigmoid HardSwish Swish Mish Softplus Softsign"
    " Tanh ThresholdedRelu Shrink Clip Softmax LogSoftmax Hardmax Dropout",
    "dense layers": "Gemm MatMul Einsum",
    "losses": "NegativeLogLikelihoodLoss SoftmaxCrossEntropyLoss",
    "shape": "Reshape Flatten Squeeze Unsqueeze Transpose Concat Split Slice Pad Expand Tile Gather GatherElements"
    " GatherND ScatterElements ScatterND Scatter Shape Size Constant ConstantOfShape Range OneHot Resize Upsample"
    " DepthToSpace SpaceToDepth Identity Compress ReverseSequence CenterCropPad EyeLike Trilu CumSum TopK GridSample"
    " AffineGrid NonZero Unique",
    "reduction": "ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum"
    " ReduceSumSquare ArgMax ArgMin",
}
GROUP = {operator: group for group, operators in NAMED.items() for operator in operators.split()}
LINE = re.compile(r"(PASS|FAIL|UNSUPPORTED) (\S+?)(?:: (.*))?$")
# The functions that a case is written out into have the case's name in front.
EXPANDED = re.compile(r"_expanded(_ver\d+)?$")


def verdicts(path):
    """Name to verdict and reason."""
    lines = [LINE.match(line) for line in path.read_text().splitlines()]
    return {line[2]: (line[1], line[3] or "") for line in lines if line}


def case_of(folder):
    """The group of a case, and whether the floats that it takes and gives are all of 32 bits."""
    model = onnx.load(folder / "model.onnx")
    base = folder.with_name(EXPANDED.sub("", folder.name))
    if base != folder and (base / "model.onnx").exists():
        operators = onnx.load(base / "model.onnx").graph.node
    else:
        operators = model.graph.node
    groups = [GROUP[node.op_type] for node in operators if node.op_type in GROUP]
    types = [info.type for info in [*model.graph.input, *model.graph.output]]
    integers = {
        getattr(onnx.TensorProto, name) for name in "INT8 INT16 INT32 INT64 UINT8 UINT16 UINT32 UINT64 BOOL".split()
    }
    elements = {type.tensor_type.elem_type for type in types if type.HasField("tensor_type")}
    single = (
        all(type.HasField("tensor_type") for type in types)
        and onnx.TensorProto.FLOAT in elements
        and elements <= integers | {onnx.TensorProto.FLOAT}
    )
    return (groups[-1] if groups else "others"), single


# Why a case fails whose data is not what the operator's text asks for.
DISPUTED = {
    "test_qlinearmatmul_": "the data wraps beyond int8; the text says that it saturates, as here and in onnxruntime",
}


def counted(results, cases):
    """Lines of the table of groups, and what share of the float32 cases of the named groups passes."""
    counts = collections.defaultdict(collections.Counter)
    for name, (verdict, _) in results.items():
        group, single = case_of(cases / name)
        if single:
            counts[group][verdict] += 1
    named = sum((counts[group] for group in NAMED), collections.Counter())
    rows = [*((group, counts[group]) for group in NAMED), ("together", named), ("others", counts["others"])]
    lines = ["| float32 cases of | pass | fail | unsupported | pass, % |", "|---|---|---|---|---|"]
    for group, count in rows:
        total = sum(count.values())
        share = 100 * count["PASS"] / total if total else 0
        lines.append(f"| {group} | {count['PASS']} | {count['FAIL']} | {count['UNSUPPORTED']} | {share:.1f} |")
    return lines, 100 * named["PASS"] / max(1, sum(named.values()))


def text(results, groups):
    lines = [
        "# ONNX's tests",
        "",
        "What `make conformance` finds on Mesa's lavapipe, written by it with `OMMA_UPDATE=1`: the official node tests of",
        "onnx 1.20.1 by what they are about, and every case that does not pass, with the reason. A case counts as float32",
        "where all floats that it takes and gives are; a function written out into operators counts with its operator.",
        "",
        *groups,
    ]
    titles = {"node": "Node tests that do not pass", "other": "Simple and PyTorch tests that do not pass"}
    for kind, found in results.items():
        passed = sum(verdict == "PASS" for verdict, _ in found.values())
        lines += ["", f"## {titles[kind]}", "", f"{passed} of {len(found)} pass.", ""]
        lines += ["| case | | reason |", "|---|---|---|"]
        for name, (verdict, reason) in sorted(found.items()):
            if verdict != "PASS":
                reason = reason.replace("|", "\\|").replace("<", "&lt;")
                why = [why for start, why in DISPUTED.items() if verdict == "FAIL" and name.startswith(start)]
                reason = ": ".join([*why, reason])
                lines.append(f"| `{name}` | {verdict} | {reason} |")
    return "\n".join(lines) + "\n"


def listed(table):
    """The cases of a table with their verdicts: reasons may name numbers that differ from device to device."""
    return set(re.findall(r"^\| `(\S+)` \| (\w+) \|", table, re.MULTILINE))


def main():
    folder, cases, path = map(Path, sys.argv[1:4])
    results = {kind: verdicts(folder / f"{kind}.txt") for kind in ["node", "other"]}
    groups, share = counted(results["node"], cases / "node")
    print("\n".join(groups))
    table = text(results, groups)
    if os.environ.get("OMMA_UPDATE") == "1":
        path.write_text(table)
    known = listed(path.read_text()) if path.exists() else set()
    found = listed(table)
    for name, verdict in sorted(found - known):
        print(f"not in {path}: {verdict} {name}")
    for name, verdict in sorted(known - found):
        print(f"no longer so, but in {path}: {verdict} {name}")
    print(f"{share:.1f} % of the float32 cases of the named groups pass")
    sys.exit(found != known)


main()
