"""The residual networks for ImageNet: ResNet-18, 34 and 50, and the same for CIFAR images.

He et al., "Deep Residual Learning for Image Recognition", CVPR 2016, table 1: a 7 x 7 convolution
and a max pooling, four stages of 64, 128, 256 and 512 channels, global average pooling, one linear
layer. ResNet-18 and 34 are made of blocks of two 3 x 3 convolutions, ResNet-50 of bottlenecks
(1 x 1, 3 x 3, 1 x 1 to four times the channels, figure 5). Shortcuts are the identity, and 1 x 1
convolutions where the map or its channels change (option B).

Where a bottleneck halves its map, the paper's first 1 x 1 convolution has the stride; `resnet50` is
that one. In `resnet50_v15` the 3 x 3 convolution has it, as in most public checkpoints: the same
parameters, 6 % more multiply-accumulates.

The CIFAR forms begin with a 3 x 3 convolution of stride 1 and have no max pooling, so that a
32 x 32 image enters the first stage whole.

Parameters are called as in most public checkpoints: `conv1`, `bn1`, `layer1.0.conv1`,
`layer2.0.downsample.0`, ..., `fc`.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Block(nn.Module):
    """Two 3 x 3 convolutions and the shortcut around them."""

    def __init__(self, inputs: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, channels, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.downsample = _shortcut(inputs, channels, stride)

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        return F.relu(y + self.downsample(x))


class Bottleneck(nn.Module):
    """1 x 1, 3 x 3 and 1 x 1 convolutions and the shortcut around them.

    `late`: the 3 x 3 convolution has the stride, not the first 1 x 1.
    """

    def __init__(self, inputs: int, channels: int, stride: int, *, late: bool = False) -> None:
        super().__init__()
        first, second = (1, stride) if late else (stride, 1)
        self.conv1 = nn.Conv2d(inputs, channels, 1, stride=first, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, stride=second, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.conv3 = nn.Conv2d(channels, 4 * channels, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(4 * channels)
        self.downsample = _shortcut(inputs, 4 * channels, stride)

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.bn1(self.conv1(x)))
        y = F.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        return F.relu(y + self.downsample(x))


class LateBottleneck(Bottleneck):
    """A bottleneck whose 3 x 3 convolution has the stride."""

    def __init__(self, inputs: int, channels: int, stride: int) -> None:
        super().__init__(inputs, channels, stride, late=True)


class ResNet(nn.Module):
    """Four stages of `blocks` blocks each; `wide` is how many channels a block ends in, per one."""

    def __init__(
        self, block: type, blocks: tuple[int, ...], classes: int, *, wide: int, cifar: bool
    ) -> None:
        super().__init__()
        if cifar:
            self.conv1 = nn.Conv2d(3, 64, 3, padding=1, bias=False)
        else:
            self.conv1 = nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.maxpool = nn.Sequential() if cifar else nn.MaxPool2d(3, stride=2, padding=1)
        self.layer1 = _stage(block, 64, 64, blocks[0], 1, wide)
        self.layer2 = _stage(block, 64 * wide, 128, blocks[1], 2, wide)
        self.layer3 = _stage(block, 128 * wide, 256, blocks[2], 2, wide)
        self.layer4 = _stage(block, 256 * wide, 512, blocks[3], 2, wide)
        self.fc = nn.Linear(512 * wide, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out")

    def forward(self, x: Tensor) -> Tensor:  # (N, 3, H, W) -> (N, classes)
        x = self.maxpool(F.relu(self.bn1(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        x = F.adaptive_avg_pool2d(x, 1)
        return self.fc(torch.flatten(x, 1))


def _shortcut(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    """The identity, or a 1 x 1 convolution where the map or its channels change."""
    if stride == 1 and inputs == outputs:
        return nn.Sequential()
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False), nn.BatchNorm2d(outputs)
    )


def _stage(
    block: type, inputs: int, channels: int, blocks: int, stride: int, wide: int
) -> nn.Sequential:
    first = block(inputs, channels, stride)
    return nn.Sequential(first, *(block(channels * wide, channels, 1) for _ in range(blocks - 1)))


def resnet18(classes: int = 1000) -> ResNet:
    """The 18-layer network for 224 x 224 images: 11.7 M parameters."""
    return ResNet(Block, (2, 2, 2, 2), classes, wide=1, cifar=False)


def resnet34(classes: int = 1000) -> ResNet:
    """The 34-layer network for 224 x 224 images: 21.8 M parameters."""
    return ResNet(Block, (3, 4, 6, 3), classes, wide=1, cifar=False)


def resnet50(classes: int = 1000) -> ResNet:
    """The 50-layer network for 224 x 224 images: 25.6 M parameters."""
    return ResNet(Bottleneck, (3, 4, 6, 3), classes, wide=4, cifar=False)


def resnet50_v15(classes: int = 1000) -> ResNet:
    """The 50-layer network with the stride in the 3 x 3 convolutions."""
    return ResNet(LateBottleneck, (3, 4, 6, 3), classes, wide=4, cifar=False)


def resnet18_cifar(classes: int = 10) -> ResNet:
    """The 18-layer network for 32 x 32 images: 11.2 M parameters."""
    return ResNet(Block, (2, 2, 2, 2), classes, wide=1, cifar=True)


def resnet34_cifar(classes: int = 10) -> ResNet:
    """The 34-layer network for 32 x 32 images: 21.3 M parameters."""
    return ResNet(Block, (3, 4, 6, 3), classes, wide=1, cifar=True)


def resnet50_cifar(classes: int = 10) -> ResNet:
    """The 50-layer network for 32 x 32 images: 23.5 M parameters."""
    return ResNet(LateBottleneck, (3, 4, 6, 3), classes, wide=4, cifar=True)
