"""onnxruntime on the processor: what it infers, from models that are built here."""

import numpy as np
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from models import STAGES, Convolution, Inference, Product

OPSET, IR_VERSION = 17, 8


class Onnxruntime:
    def __init__(self, name, threads):
        self.name = name
        self.options = onnxruntime.SessionOptions()
        self.options.intra_op_num_threads = threads
        self.options.inter_op_num_threads = 1
        self.description = f"{onnxruntime.__version__}, {threads} threads"

    def prepare(self, case):
        if isinstance(case, Convolution) and case.direction == "forward":
            network, shape = Builder(), case.x
            y = network.conv("x", case.in_channels, case.out_channels, case.kernel, case.stride, case.groups, bias=True)
            output = network.node("Relu", [y])
        elif isinstance(case, Product) and not case.half:
            network, shape = Builder(), [case.side] * 2
            output = network.node("MatMul", ["x", network.uniform(shape, 1)])
        elif isinstance(case, Inference):
            network, shape = Builder(), case.images
            output = resnet18(network, case.classes)
        else:
            return None
        model = network.model(shape, output)
        session = onnxruntime.InferenceSession(model, self.options, providers=["CPUExecutionProvider"])
        x = np.random.default_rng(1).uniform(-1, 1, shape).astype(np.float32)
        return lambda: session.run(None, {"x": x})


class Builder:
    """Nodes and weights of a graph, in order."""

    def __init__(self):
        self.nodes, self.weights = [], []
        self.random = np.random.default_rng(0)

    def weight(self, values):
        name = f"w{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(np.ascontiguousarray(values, dtype=np.float32), name))
        return name

    def node(self, kind, inputs, **attributes):
        name = f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [name], **attributes))
        return name

    def uniform(self, shape, bound):
        return self.weight(self.random.uniform(-bound, bound, shape))

    def conv(self, x, inputs, outputs, kernel, stride=1, groups=1, bias=False):
        fan_in = inputs // groups * kernel * kernel
        operands = [x, self.uniform([outputs, inputs // groups, kernel, kernel], np.sqrt(6 / fan_in))]
        if bias:
            operands.append(self.uniform([outputs], 0.1))
        pads, strides = [kernel // 2] * 4, [stride] * 2
        return self.node("Conv", operands, kernel_shape=[kernel] * 2, strides=strides, pads=pads, group=groups)

    def normalized(self, x, inputs, outputs, kernel, stride):
        """A convolution without bias and the batch norm behind it."""
        y = self.conv(x, inputs, outputs, kernel, stride)
        zeros, ones = np.zeros(outputs), np.ones(outputs)
        operands = [y, self.weight(ones), self.uniform([outputs], 0.1), self.weight(zeros), self.weight(ones)]
        return self.node("BatchNormalization", operands, epsilon=1e-5)

    def model(self, shape, output):
        x = helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)
        y = helper.make_tensor_value_info(output, TensorProto.FLOAT, None)
        graph = helper.make_graph(self.nodes, "peer", [x], [y], self.weights)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)])
        model.ir_version = IR_VERSION
        return model.SerializeToString()


def resnet18(network, classes):
    x = network.node("Relu", [network.normalized("x", 3, 64, 7, 2)])
    x = network.node("MaxPool", [x], kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    inputs = 64
    for outputs, first in STAGES:
        for stride in (first, 1):
            y = network.node("Relu", [network.normalized(x, inputs, outputs, 3, stride)])
            y = network.normalized(y, outputs, outputs, 3, 1)
            same = stride == 1 and inputs == outputs
            skip = x if same else network.normalized(x, inputs, outputs, 1, stride)
            x = network.node("Relu", [network.node("Add", [y, skip])])
            inputs = outputs
    x = network.node("Flatten", [network.node("GlobalAveragePool", [x])])
    weight = network.uniform([classes, inputs], np.sqrt(6 / inputs))
    return network.node("Gemm", [x, weight, network.uniform([classes], 0.1)], transB=1)
