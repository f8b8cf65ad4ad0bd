"""What is timed, as data, and which module has which engine."""

from dataclasses import dataclass

# Of SGD.
LEARNING_RATE, MOMENTUM = 0.01, 0.9

ENGINES = {
    "onnxruntime": ("with_onnxruntime", "Onnxruntime"),
    "torch": ("with_torch", "Torch"),
    "torch-cuda": ("with_torch", "Torch"),
    "torch-cuda-tf32": ("with_torch", "Torch"),
}

# Of ResNet-18: channels and the stride of the first block of each stage.
STAGES = [(64, 1), (128, 2), (256, 2), (512, 2)]


class Case:
    def title(self):
        return f"{self.name} {self.shape()} {self.direction}"


@dataclass
class Convolution(Case):
    """Forward with bias and ReLU, or one gradient."""

    name: str
    direction: str
    batch: int
    in_channels: int
    out_channels: int
    side: int
    kernel: int
    stride: int
    groups: int

    @property
    def padding(self):
        return self.kernel // 2

    @property
    def x(self):
        return [self.batch, self.in_channels, self.side, self.side]

    @property
    def weight(self):
        return [self.out_channels, self.in_channels // self.groups, self.kernel, self.kernel]

    @property
    def y(self):
        side = (self.side + 2 * self.padding - self.kernel) // self.stride + 1
        return [self.batch, self.out_channels, side, side]

    def shape(self):
        return f"{self.x} to {self.out_channels} channels"


@dataclass
class Product(Case):
    """Of two square matrices."""

    name: str
    side: int
    half: bool
    direction = "forward"

    def shape(self):
        return f"{[self.side] * 3}"


@dataclass
class Network(Case):
    name: str
    images: list
    classes: int

    def shape(self):
        return f"{self.images}"


class Inference(Network):
    direction = "inference"


class Training(Network):
    direction = "training"
