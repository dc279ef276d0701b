"""The networks that come with cimarch: what each is called, where it is, and what it takes.

This page can be imported without torch; the files it names need it.
"""

import importlib
from typing import Any, NamedTuple


class Model(NamedTuple):
    """A network: the file of this folder that defines it, its factory, the input it is made for."""

    file: str
    factory: str
    input: tuple[int, ...]


CIFAR = (1, 3, 32, 32)
IMAGENET = (1, 3, 224, 224)

MODELS = {
    "mlp": Model("mlp", "mlp", (1, 784)),
    "digits": Model("digits", "digits", (1, 1, 8, 8)),
    "resnet20": Model("resnet", "resnet20", CIFAR),
    "resnet32": Model("resnet", "resnet32", CIFAR),
    "resnet44": Model("resnet", "resnet44", CIFAR),
    "resnet56": Model("resnet", "resnet56", CIFAR),
    "resnet18": Model("resnet_imagenet", "resnet18", IMAGENET),
    "resnet34": Model("resnet_imagenet", "resnet34", IMAGENET),
    "resnet50": Model("resnet_imagenet", "resnet50", IMAGENET),
    "resnet50_v15": Model("resnet_imagenet", "resnet50_v15", IMAGENET),
    "resnet18_cifar": Model("resnet_imagenet", "resnet18_cifar", CIFAR),
    "resnet34_cifar": Model("resnet_imagenet", "resnet34_cifar", CIFAR),
    "resnet50_cifar": Model("resnet_imagenet", "resnet50_cifar", CIFAR),
    "mobilenetv2": Model("mobilenet", "mobilenetv2", IMAGENET),
    "mobilenetv2_cifar": Model("mobilenet", "mobilenetv2_cifar", CIFAR),
    "vgg7": Model("vgg", "vgg7", CIFAR),
    "vgg8": Model("vgg", "vgg8", CIFAR),
    "vgg11": Model("vgg", "vgg11", CIFAR),
    "vgg16": Model("vgg", "vgg16", IMAGENET),
    "vgg16_cifar": Model("vgg", "vgg16_cifar", CIFAR),
}


def build(name: str) -> Any:
    """Make the network `name`, untrained; needs torch. KeyError where there is none."""
    model = MODELS[name]
    return getattr(importlib.import_module(f"{__name__}.{model.file}"), model.factory)()
