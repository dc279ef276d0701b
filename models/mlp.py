"""A perceptron of three layers for 28 x 28 images: 784 -> 256 -> 128 -> 10."""

import torch
from torch import Tensor, nn


class Mlp(nn.Module):
    """Three fully connected layers with relus between them."""

    def __init__(self, inputs: int = 784, classes: int = 10) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(inputs, 256),
            nn.ReLU(),
            nn.Linear(256, 128),
            nn.ReLU(),
            nn.Linear(128, classes),
        )

    def forward(self, x: Tensor) -> Tensor:  # (N, 784) or (N, 1, 28, 28) -> (N, classes)
        return self.layers(torch.flatten(x, 1))


def mlp(classes: int = 10) -> Mlp:
    """The three-layer perceptron: 0.24 M parameters."""
    return Mlp(classes=classes)
