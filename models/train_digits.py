"""Train the small network of this folder on scikit-learn's digits and save it as a .pt archive.

    python models/train_digits.py --out models/digits.pt

Takes half a minute on one core and no download. It trains on the 1,297 images of the training part
(`cimarch.data.digits`) and reads the other 500 once, at the end, to state the accuracy; nothing is
chosen by them. Beside the archive it writes `NAME.json`: options, seed, accuracies.

Recipe: Adam, one learning-rate cycle (Smith & Topin, 2018), images shifted by up to one pixel.
"""

import argparse
import json
import math
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cimarch.data.dataset import Examples
from cimarch.data.read import read_data
from cimarch.workload import zoo
from cimarch.workload.trace import export


def tensors(examples: Examples) -> tuple[Tensor, Tensor]:
    """All inputs (n, 1, 8, 8) and labels of a part."""
    return torch.from_numpy(examples.inputs()), torch.from_numpy(examples.labels)


def shifted(images: Tensor, generator: torch.Generator) -> Tensor:
    """Shift each image by up to one pixel; zeros come in."""
    count = len(images)
    padded = F.pad(images, (1, 1, 1, 1))[:, 0]  # (n, 10, 10)
    rows = torch.randint(3, (count, 1), generator=generator) + torch.arange(8)
    columns = torch.randint(3, (count, 1), generator=generator) + torch.arange(8)
    picked = padded[torch.arange(count)[:, None, None], rows[:, :, None], columns[:, None, :]]
    return picked[:, None]


def accuracy(model: nn.Module, images: Tensor, labels: Tensor) -> float:
    """Top-1 accuracy in percent."""
    with torch.inference_mode():
        return 100 * float((model(images).argmax(1) == labels).float().mean())


def train(model: nn.Module, images: Tensor, labels: Tensor, options: argparse.Namespace) -> float:
    """Train in place; return the mean loss of the last epoch."""
    generator = torch.Generator().manual_seed(options.seed)
    steps = math.ceil(len(labels) / options.batch)
    optimiser = torch.optim.Adam(model.parameters(), weight_decay=options.decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, options.lr, total_steps=options.epochs * steps
    )
    total = 0.0
    for _ in range(options.epochs):
        total = 0.0
        for batch in torch.randperm(len(labels), generator=generator).split(options.batch):
            loss = F.cross_entropy(model(shifted(images[batch], generator)), labels[batch])
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
            schedule.step()
            total += float(loss.detach())
    return total / steps


def main() -> None:
    """Parse the options, train, judge once, save."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, default=Path("models/digits.pt"))
    parser.add_argument("--epochs", type=int, default=80)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--lr", type=float, default=0.01)
    parser.add_argument("--decay", type=float, default=1e-5)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.manual_seed(options.seed)
    torch.set_num_threads(1)
    model, data = zoo.build("digits"), read_data("digits")
    images, labels = tensors(data.train)
    loss = train(model, images, labels, options)
    model.eval()
    record = {
        "model": "digits",
        "data": "the digits of scikit-learn (Alpaydin & Kaynak, 1998)",
        "training_images": len(labels),
        "test_images": len(data.test),
        "loss": round(loss, 5),
        "training_top1_percent": round(accuracy(model, images, labels), 2),
        "test_top1_percent": round(accuracy(model, *tensors(data.test)), 2),
        "options": {k: v for k, v in vars(options).items() if k != "out"},
        "torch": torch.__version__,
    }
    options.out.write_bytes(export(model, torch.zeros(1, 1, 8, 8)))
    options.out.with_suffix(".json").write_text(json.dumps(record, indent=1) + "\n")
    print(json.dumps(record))


if __name__ == "__main__":
    main()
