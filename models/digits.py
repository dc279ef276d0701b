"""A small convolutional network for the 8 x 8 digits that come with scikit-learn."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Digits(nn.Module):
    """Three 3 x 3 convolutions, the second and third of stride 2, and a linear layer."""

    def __init__(self, classes: int = 10) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 16, 3, padding=1)
        self.conv2 = nn.Conv2d(16, 32, 3, stride=2, padding=1)
        self.conv3 = nn.Conv2d(32, 32, 3, stride=2, padding=1)
        self.linear = nn.Linear(128, classes)

    def forward(self, x: Tensor) -> Tensor:  # (N, 1, 8, 8) -> (N, classes)
        x = F.relu(self.conv1(x))
        x = F.relu(self.conv2(x))
        x = F.relu(self.conv3(x))  # (N, 32, 2, 2)
        return self.linear(torch.flatten(x, 1))


def digits() -> Digits:
    """The network of the digits: 15,338 parameters."""
    return Digits()
