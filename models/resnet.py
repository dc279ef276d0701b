"""The CIFAR residual networks: ResNet-20, 32, 44 and 56.

He et al., "Deep Residual Learning for Image Recognition", CVPR 2016, section 4.2: three stages of
16, 32 and 64 channels, n blocks of two 3 x 3 convolutions each (depth 6 n + 2), and shortcuts
without parameters: where a stage halves the map, the shortcut takes every second pixel and pads the
missing channels with zeros (option A), half of them on either side.

The names of the parameters are those of most public checkpoints (`conv1`, `bn1`,
`layer1.0.conv1`, ..., `linear`), so such a state_dict loads as it is.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

INPUT = (3, 32, 32)


class Block(nn.Module):
    """Two 3 x 3 convolutions and the shortcut around them."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.stride = stride
        self.missing = outputs - inputs

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        return F.relu(y + self._shortcut(x))

    def _shortcut(self, x: Tensor) -> Tensor:
        if self.stride != 1:
            x = x[:, :, :: self.stride, :: self.stride]
        if self.missing:
            before = self.missing // 2
            x = F.pad(x, (0, 0, 0, 0, before, self.missing - before))
        return x


class ResNet(nn.Module):
    """A CIFAR residual network with `blocks` blocks in each of its three stages."""

    def __init__(self, blocks: int, classes: int = 10) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.layer1 = _stage(16, 16, blocks, stride=1)
        self.layer2 = _stage(16, 32, blocks, stride=2)
        self.layer3 = _stage(32, 64, blocks, stride=2)
        self.linear = nn.Linear(64, classes)
        for module in self.modules():
            if isinstance(module, (nn.Conv2d, nn.Linear)):
                nn.init.kaiming_normal_(module.weight)

    def forward(self, x: Tensor) -> Tensor:  # (N, 3, 32, 32) -> (N, classes)
        x = F.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        x = F.adaptive_avg_pool2d(x, 1)
        return self.linear(torch.flatten(x, 1))


def _stage(inputs: int, outputs: int, blocks: int, stride: int) -> nn.Sequential:
    first = Block(inputs, outputs, stride)
    return nn.Sequential(first, *(Block(outputs, outputs, 1) for _ in range(blocks - 1)))


def resnet20(classes: int = 10) -> ResNet:
    """The 20-layer network: 0.27 M parameters."""
    return ResNet(3, classes)


def resnet32(classes: int = 10) -> ResNet:
    """The 32-layer network: 0.46 M parameters."""
    return ResNet(5, classes)


def resnet44(classes: int = 10) -> ResNet:
    """The 44-layer network: 0.66 M parameters."""
    return ResNet(7, classes)


def resnet56(classes: int = 10) -> ResNet:
    """The 56-layer network: 0.85 M parameters."""
    return ResNet(9, classes)
