"""VGG networks: VGG-16 for ImageNet, and VGG-7, 8, 11 and 16 for CIFAR.

Simonyan & Zisserman, "Very Deep Convolutional Networks for Large-Scale Image Recognition", ICLR
2015: 3 x 3 convolutions, halved by 2 x 2 max pooling. `vgg16` is configuration D of its table 1, as
published: 13 convolutions and 3 fully connected layers on 224 x 224 images, no batch norm.

The CIFAR forms put a batch norm behind each convolution and end in smaller classifiers:
`vgg11` and `vgg16_cifar` in 512 - 512 - classes (configurations A and D), `vgg8` in 1024 - classes
behind six convolutions of 128 to 512 channels, the form in which compute-in-memory papers use it;
`vgg7` in one classifier behind six of 64 to 256 channels.

Parameters are called `features.N` and `classifier.N`, as in most public checkpoints.
"""

from itertools import pairwise

import torch
from torch import Tensor, nn

POOL = "pool"
STAGES = {
    "7": (64, 64, POOL, 128, 128, POOL, 256, 256, POOL),
    "8": (128, 128, POOL, 256, 256, POOL, 512, 512, POOL),
    "A": (64, POOL, 128, POOL, 256, 256, POOL, 512, 512, POOL, 512, 512, POOL),
    "D": (64, 64, POOL, 128, 128, POOL, 256, 256, 256, POOL, 512, 512, 512, POOL, 512, 512, 512,
          POOL),
}  # fmt: skip


class Vgg(nn.Module):
    """Convolutions by `stages`, then fully connected layers of the widths in `head`."""

    def __init__(self, stages: tuple, head: tuple[int, ...], *, norm: bool) -> None:
        super().__init__()
        self.features = _features(stages, norm)
        self.classifier = _classifier(head)

    def forward(self, x: Tensor) -> Tensor:  # (N, 3, H, W) -> (N, classes)
        return self.classifier(torch.flatten(self.features(x), 1))


def _features(stages: tuple, norm: bool) -> nn.Sequential:
    layers: list[nn.Module] = []
    channels = 3
    for stage in stages:
        if stage == POOL:
            layers.append(nn.MaxPool2d(2))
            continue
        layers.append(nn.Conv2d(channels, stage, 3, padding=1))
        layers += [nn.BatchNorm2d(stage)] if norm else []
        layers.append(nn.ReLU())
        channels = stage
    return nn.Sequential(*layers)


def _classifier(widths: tuple[int, ...]) -> nn.Sequential:
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(widths[:-1]):
        layers += [nn.Linear(inputs, outputs), nn.ReLU(), nn.Dropout()]
    return nn.Sequential(*layers, nn.Linear(widths[-2], widths[-1]))


def vgg16(classes: int = 1000) -> Vgg:
    """The ImageNet network, for 224 x 224 images: 138.4 M parameters."""
    return Vgg(STAGES["D"], (512 * 7 * 7, 4096, 4096, classes), norm=False)


def vgg16_cifar(classes: int = 10) -> Vgg:
    """Its 16 layers for 32 x 32 images: 15.3 M parameters."""
    return Vgg(STAGES["D"], (512, 512, 512, classes), norm=True)


def vgg11(classes: int = 10) -> Vgg:
    """Eleven layers for 32 x 32 images: 9.8 M parameters."""
    return Vgg(STAGES["A"], (512, 512, 512, classes), norm=True)


def vgg7(classes: int = 10) -> Vgg:
    """As `vgg8` at half its width, with one classifier: 1.19 M parameters."""
    return Vgg(STAGES["7"], (256 * 4 * 4, classes), norm=True)


def vgg8(classes: int = 10) -> Vgg:
    """Eight layers for 32 x 32 images: 13.0 M parameters."""
    return Vgg(STAGES["8"], (512 * 4 * 4, 1024, classes), norm=True)
