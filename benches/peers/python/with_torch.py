"""PyTorch, eager, on the processor or on CUDA with TF32 off or on."""

import torch
import torch.nn.functional as F
from torch import nn

from models import LEARNING_RATE, MOMENTUM, STAGES, Convolution, Inference, Product


class Torch:
    def __init__(self, name, threads):
        self.name = name
        cuda = name.startswith("torch-cuda")
        if cuda and not torch.cuda.is_available():
            raise RuntimeError("this PyTorch reaches no CUDA device")
        self.device = torch.device("cuda" if cuda else "cpu")
        torch.set_num_threads(threads)
        tf32 = name.endswith("tf32")
        torch.backends.cuda.matmul.allow_tf32 = tf32
        torch.backends.cudnn.allow_tf32 = tf32
        # cuDNN tries its algorithms at the first call, as Omma's and burn's tuning does.
        torch.backends.cudnn.benchmark = cuda
        place = torch.cuda.get_device_name() if cuda else f"{threads} threads"
        self.description = f"{torch.__version__}, {place}"

    def prepare(self, case):
        torch.manual_seed(0)
        if isinstance(case, Convolution):
            work = self.convolution(case)
        elif isinstance(case, Product):
            work = self.product(case)
        elif isinstance(case, Inference):
            work = self.inference(case)
        else:
            work = self.training(case)

        def run():
            work()
            if self.device.type == "cuda":
                torch.cuda.synchronize()

        return run

    def noise(self, shape):
        return torch.rand(shape, device=self.device) * 2 - 1

    def convolution(self, case):
        """The gradients are the calls that autograd makes, without the forward pass before them."""
        x, dy, bias = self.noise(case.x), self.noise(case.y), self.noise([case.out_channels])
        weight = self.noise(case.weight) * 0.1
        settings = {"stride": case.stride, "padding": case.padding, "groups": case.groups}

        @torch.inference_mode()
        def work():
            if case.direction == "forward":
                return F.relu_(F.conv2d(x, weight, bias, **settings))
            if case.direction == "input gradient":
                return nn.grad.conv2d_input(case.x, weight, dy, **settings)
            return nn.grad.conv2d_weight(x, case.weight, dy, **settings)

        return work

    def product(self, case):
        left, right = (self.noise([case.side] * 2) for _ in range(2))
        if case.half:
            left, right = left.half(), right.half()

        @torch.inference_mode()
        def work():
            return left @ right

        return work

    def inference(self, case):
        network = resnet18(case.classes).to(self.device).eval()
        images = torch.rand(case.images) * 2 - 1

        @torch.inference_mode()
        def work():
            return network(images.to(self.device))

        return work

    def training(self, case):
        build = {"lenet5": lenet5, "resnet50": resnet50}.get(case.name, resnet18)
        network = build(case.classes).to(self.device).train()
        optimizer = torch.optim.SGD(network.parameters(), LEARNING_RATE, MOMENTUM)
        images = torch.rand(case.images) * 2 - 1
        labels = torch.arange(case.images[0]) * 7 % case.classes

        def work():
            optimizer.zero_grad()
            F.cross_entropy(network(images.to(self.device)), labels.to(self.device)).backward()
            optimizer.step()

        return work


def lenet5(classes):
    return nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2), nn.MaxPool2d(2), nn.ReLU(),
        nn.Conv2d(6, 16, 5), nn.MaxPool2d(2), nn.ReLU(),
        nn.Flatten(), nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, classes),
    )  # fmt: skip


def normalized(inputs, outputs, kernel, stride):
    """A convolution without bias and the batch norm behind it."""
    convolution = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs))


class Block(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.first = normalized(inputs, outputs, 3, stride)
        self.second = normalized(outputs, outputs, 3, 1)
        same = stride == 1 and inputs == outputs
        self.skip = nn.Identity() if same else normalized(inputs, outputs, 1, stride)

    def forward(self, x):
        return F.relu(self.second(F.relu(self.first(x))) + self.skip(x))


class Bottleneck(nn.Module):
    """To four times the channels; the 3x3 has the stride."""

    def __init__(self, inputs, channels, stride):
        super().__init__()
        self.first = normalized(inputs, channels, 1, 1)
        self.second = normalized(channels, channels, 3, stride)
        self.third = normalized(channels, 4 * channels, 1, 1)
        same = stride == 1 and inputs == 4 * channels
        self.skip = nn.Identity() if same else normalized(inputs, 4 * channels, 1, stride)

    def forward(self, x):
        return F.relu(self.third(F.relu(self.second(F.relu(self.first(x))))) + self.skip(x))


def resnet50(classes):
    layers = [normalized(3, 64, 7, 2), nn.ReLU(), nn.MaxPool2d(3, 2, 1)]
    inputs = 64
    for (channels, first), blocks in zip(STAGES, (3, 4, 6, 3)):
        for stride in [first] + [1] * (blocks - 1):
            layers.append(Bottleneck(inputs, channels, stride))
            inputs = 4 * channels
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inputs, classes))


def resnet18(classes):
    layers = [normalized(3, 64, 7, 2), nn.ReLU(), nn.MaxPool2d(3, 2, 1)]
    inputs = 64
    for outputs, first in STAGES:
        for stride in (first, 1):
            layers.append(Block(inputs, outputs, stride))
            inputs = outputs
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inputs, classes))
