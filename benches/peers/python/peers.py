"""onnxruntime and PyTorch on the work of ../src/cases.rs: one JSON object a line, as `omma-peers --json` prints them.

    python3 peers.py [--filter TEXT] [--engines onnxruntime,torch,torch-cuda,torch-cuda-tf32] [--threads N]

An engine whose package is missing says so on the error output. ../README.md tells what is measured.
"""

import argparse
import importlib
import json
import os
import statistics
import sys
import time

import models
from models import Convolution, Inference, Product, Training

# As ../src/rounds.rs: calls that do not count after the first, and how long the others go on.
WARM_UP = 2
SAMPLES, SECONDS = 9, 0.2
PATIENCE = 4.0

BOTH, ONE = (1, 8), (1,)
LAYERS = [
    # name, channels in and out, side of the image, kernel, stride, groups, batches; with CUDA both
    ("resnet 3x3", 64, 64, 56, 3, 1, 1, BOTH),
    ("resnet 3x3", 128, 128, 28, 3, 1, 1, BOTH),
    ("resnet 3x3", 256, 256, 14, 3, 1, 1, BOTH),
    ("resnet 3x3", 512, 512, 7, 3, 1, 1, BOTH),
    ("resnet 1x1", 64, 256, 56, 1, 1, 1, BOTH),
    ("resnet 1x1", 256, 64, 56, 1, 1, 1, BOTH),
    ("resnet 1x1", 512, 128, 28, 1, 1, 1, BOTH),
    ("resnet 3x3/2", 64, 128, 56, 3, 2, 1, ONE),
    ("resnet 1x1/2", 64, 128, 56, 1, 2, 1, ONE),
    ("resnet stem 7x7/2", 3, 64, 224, 7, 2, 1, BOTH),
    ("vgg 3x3", 64, 64, 224, 3, 1, 1, ONE),
    ("vgg 3x3", 128, 128, 112, 3, 1, 1, ONE),
    ("vgg 3x3", 256, 256, 56, 3, 1, 1, ONE),
    ("vgg 3x3", 512, 512, 28, 3, 1, 1, ONE),
    ("mobilenet depthwise 3x3", 32, 32, 112, 3, 1, 32, BOTH),
    ("mobilenet depthwise 3x3/2", 64, 64, 112, 3, 2, 64, BOTH),
    ("mobilenet depthwise 3x3", 512, 512, 14, 3, 1, 512, ONE),
    ("resnext 3x3", 128, 128, 56, 3, 1, 32, ONE),
    ("mobilenet 1x1", 32, 64, 112, 1, 1, 1, BOTH),
    ("mobilenet 1x1", 512, 512, 14, 1, 1, 1, ONE),
]
# Sides of the matrices that are multiplied in single precision, and in half.
PRODUCTS, PRODUCTS_WITH_CUDA = ([512], []), ([1024, 4096], [8192])


def cases(cuda):
    for name, *layer, batches in LAYERS:
        for batch in BOTH if cuda else batches:
            for direction in ("forward", "input gradient", "weight gradient"):
                yield Convolution(name, direction, batch, *layer)
    single, half = PRODUCTS_WITH_CUDA if cuda else PRODUCTS
    for side in single:
        yield Product("matmul", side, False)
    for side in half:
        yield Product("matmul f16", side, True)
    yield Inference("resnet18", [1, 3, 224, 224], 1000)
    yield Training("lenet5", [64, 1, 28, 28], 10)
    yield Training("resnet18-64", [4, 3, 64, 64], 1000)
    if cuda:
        yield Training("resnet50", [16, 3, 224, 224], 1000)


def timed(prepare):
    """Milliseconds from the case to its first result, and of each call once it is warm; `None` where there is nothing."""
    start = time.perf_counter()
    run = prepare()
    if run is None:
        return None
    run()
    first = 1e3 * (time.perf_counter() - start)
    for _ in range(WARM_UP):
        run()
    samples = []
    start = time.perf_counter()
    while True:
        spent = time.perf_counter() - start
        if (len(samples) >= SAMPLES and spent >= SECONDS) or (len(samples) >= 3 and spent >= PATIENCE):
            return first, samples
        before = time.perf_counter()
        run()
        samples.append(1e3 * (time.perf_counter() - before))


def line(engine, case):
    row = {"engine": engine.name, "name": case.name, "shape": case.shape(), "direction": case.direction}
    try:
        times = timed(lambda: engine.prepare(case))
    except Exception as error:  # An engine that fails on a row is no reason to stop.
        return row | {"median_ms": None, "failure": " ".join(str(error).split())[:300]}
    if times is None:
        return None
    first, samples = times
    return row | {
        "median_ms": round(statistics.median(samples), 4),
        "min_ms": round(min(samples), 4),
        "max_ms": round(max(samples), 4),
        "first_ms": round(first, 2),
        "calls": len(samples),
    }


def main():
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--filter", default="", help="only the rows that contain this part of `name shape direction`")
    parser.add_argument("--engines", default="onnxruntime,torch,torch-cuda,torch-cuda-tf32")
    parser.add_argument("--threads", type=int, default=cores, help="on the processor; as many as there are cores")
    arguments = parser.parse_args()
    everything = [*cases(False), *cases(True)]
    if not any(arguments.filter in case.title() for case in everything):
        names = ", ".join(sorted({case.name for case in everything}))
        parser.error(f"no row's name, shape and direction contain `{arguments.filter}`; the names are {names}")
    engines = arguments.engines.split(",")
    for name in engines:
        if name not in models.ENGINES:
            parser.error(f"--engines: expected some of {', '.join(models.ENGINES)}, got `{name}`")
    good = True
    for name in engines:
        module, engine = models.ENGINES[name]
        try:
            engine = getattr(importlib.import_module(module), engine)(name, arguments.threads)
        except (ImportError, RuntimeError) as error:
            # A package that is not there is no failure: few machines have all.
            print(f"{name}: {error}", file=sys.stderr)
            continue
        print(f"{name}: {engine.description}", file=sys.stderr)
        for case in cases(name.startswith("torch-cuda")):
            if arguments.filter not in case.title():
                continue
            row = line(engine, case)
            if row is not None:
                print(json.dumps(row), flush=True)
                good &= "failure" not in row
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
