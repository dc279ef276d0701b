"""MobileNetV2 for ImageNet, and the same for CIFAR images.

Sandler et al., "MobileNetV2: Inverted Residuals and Linear Bottlenecks", CVPR 2018, table 2: a
3 x 3 convolution, seventeen inverted residuals (a 1 x 1 convolution to `expansion` times the
channels, a depthwise 3 x 3 convolution, a 1 x 1 convolution without activation, section 3.3), a
1 x 1 convolution to 1280 channels, global average pooling and one linear layer. The activation is
ReLU6. A shortcut goes around where map and channels stay.

In the CIFAR form the first convolution and the stage of 24 channels have stride 1, so that a
32 x 32 image ends in a 4 x 4 map.

Parameters are called as in most public checkpoints: `features.0.0`, `features.1.conv.0.0`, ...,
`classifier.1`.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

STAGES = (
    # expansion, channels, blocks, stride of the first
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
"""Table 2 of the paper."""


class InvertedResidual(nn.Module):
    """Widen, filter each channel by itself, narrow again; the shortcut joins the narrow ends."""

    def __init__(self, inputs: int, outputs: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = inputs * expansion
        widen = [] if expansion == 1 else [_convolution(inputs, wide, 1)]
        self.conv = nn.Sequential(
            *widen,
            _convolution(wide, wide, 3, stride=stride, groups=wide),
            nn.Conv2d(wide, outputs, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        self.joins = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv(x) if self.joins else self.conv(x)


class MobileNetV2(nn.Module):
    """The network; `cifar` leaves out the strides that a 32 x 32 image has no pixels for."""

    def __init__(self, classes: int, *, cifar: bool) -> None:
        super().__init__()
        layers: list[nn.Module] = [_convolution(3, 32, 3, stride=1 if cifar else 2)]
        inputs = 32
        for expansion, channels, blocks, stride in STAGES:
            first = 1 if cifar and channels == 24 else stride
            for index in range(blocks):
                step = first if index == 0 else 1
                layers.append(InvertedResidual(inputs, channels, step, expansion))
                inputs = channels
        layers.append(_convolution(inputs, 1280, 1))
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(1280, classes))
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out")

    def forward(self, x: Tensor) -> Tensor:  # (N, 3, H, W) -> (N, classes)
        x = F.adaptive_avg_pool2d(self.features(x), 1)
        return self.classifier(torch.flatten(x, 1))


def _convolution(
    inputs: int, outputs: int, kernel: int, *, stride: int = 1, groups: int = 1
) -> nn.Sequential:
    """A convolution that keeps the map (but for its stride), its batch norm, and a ReLU6."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU6(),
    )


def mobilenetv2(classes: int = 1000) -> MobileNetV2:
    """The network for 224 x 224 images: 3.5 M parameters."""
    return MobileNetV2(classes, cifar=False)


def mobilenetv2_cifar(classes: int = 10) -> MobileNetV2:
    """The network for 32 x 32 images: 2.2 M parameters."""
    return MobileNetV2(classes, cifar=True)
