"""Train a network of this folder on CIFAR-10 and save it as a .pt2 archive.

    python models/train_cifar.py --model resnet20 --data PATH --out models/resnet20.pt

`PATH` is a folder with the official python batches (`data_batch_1` ... `test_batch`), or with
`cifar10_train_webp.npz` and `cifar10_test.npz` (lossless WebP mosaics of 40 x 25 images). The test
images are read once, after the last epoch, to state the accuracy; nothing is chosen by them. Beside
the archive the script writes `NAME.json`: configuration, seed, and the accuracy of every epoch on
2,000 training images held back, and at the end on the test images. After every epoch it writes
`NAME.resume`; the same command after an interruption goes on from there to the same weights.

Recipe: SGD with Nesterov momentum, one learning-rate cycle (Smith & Topin, 2018), random crops from
a 4-pixel border and mirror images (He et al., 2016, section 4.2), bfloat16 products where the
processor has them.
"""

import argparse
import io
import json
import os
import pickle
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cimarch.workload import zoo
from cimarch.workload.trace import export

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
HELD_BACK = 2000


def read_images(folder: Path, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Read CIFAR-10 images (N, 32, 32, 3) uint8 and labels (N,) of split "train" or "test"."""
    official = folder / ("test_batch" if split == "test" else "data_batch_1")
    if official.exists():
        return _official(folder, split)
    if split == "test":
        with np.load(folder / "cifar10_test.npz") as archive:
            return archive["images"], archive["labels"].astype(np.int64)
    return _mosaics(folder / "cifar10_train_webp.npz")


def _official(folder: Path, split: str) -> tuple[np.ndarray, np.ndarray]:
    names = ["test_batch"] if split == "test" else [f"data_batch_{i}" for i in range(1, 6)]
    batches = [pickle.loads((folder / name).read_bytes(), encoding="bytes") for name in names]
    images = np.concatenate([b[b"data"].reshape(-1, 3, 32, 32) for b in batches])
    labels = np.concatenate([np.asarray(b[b"labels"], np.int64) for b in batches])
    return np.ascontiguousarray(images.transpose(0, 2, 3, 1)), labels


def _mosaics(path: Path) -> tuple[np.ndarray, np.ndarray]:
    from PIL import Image

    with np.load(path) as archive:
        names = sorted(n for n in archive.files if n.startswith("webp_"))
        mosaics = [np.asarray(Image.open(io.BytesIO(archive[n].tobytes()))) for n in names]
        labels, lossless = archive["labels"].astype(np.int64), archive["lossless"].astype(bool)
    tiles = [m[..., :3].reshape(40, 32, 25, 32, 3).swapaxes(1, 2) for m in mosaics]
    images = np.concatenate([t.reshape(-1, 32, 32, 3) for t in tiles])
    return images[lossless], labels[lossless]


def normalised(images: np.ndarray) -> Tensor:
    """Scale to [0, 1], subtract the mean, divide by the deviation: (N, 3, 32, 32) float32."""
    scaled = torch.from_numpy(images).float().div_(255)
    scaled.sub_(torch.tensor(MEAN)).div_(torch.tensor(STD))
    return scaled.permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)


def augmented(images: Tensor, generator: torch.Generator) -> Tensor:
    """Shift each image by up to 4 pixels (zeros come in) and mirror half of them."""
    count = len(images)
    padded = F.pad(images, (4, 4, 4, 4)).permute(0, 2, 3, 1)  # (N, 40, 40, 3)
    rows = torch.randint(9, (count, 1), generator=generator) + torch.arange(32)
    columns = torch.randint(9, (count, 1), generator=generator) + torch.arange(32)
    mirrored = torch.rand(count, generator=generator) < 0.5
    columns[mirrored] = columns[mirrored].flip(1)
    picked = padded[torch.arange(count)[:, None, None], rows[:, :, None], columns[:, None, :]]
    return picked.permute(0, 3, 1, 2)


def accuracy(model: nn.Module, images: Tensor, labels: Tensor) -> float:
    """Top-1 accuracy in percent, in float32."""
    model.eval()
    with torch.inference_mode():
        right = sum(
            int((model(x).argmax(1) == y).sum())
            for x, y in zip(images.split(500), labels.split(500), strict=True)
        )
    return 100 * right / len(labels)


def train(model: nn.Module, images: Tensor, labels: Tensor, options: argparse.Namespace) -> list:
    """Train in place; return one record per epoch."""
    generator = torch.Generator().manual_seed(options.seed)
    order = torch.randperm(len(labels), generator=generator)
    held, used = order[:HELD_BACK], order[HELD_BACK:]
    held_images, held_labels = images[held], labels[held]
    steps = len(used) // options.batch
    optimiser = torch.optim.SGD(
        model.parameters(), lr=options.lr, momentum=0.9, nesterov=True, weight_decay=options.decay
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, options.lr, total_steps=options.epochs * steps, pct_start=0.2,
        anneal_strategy="linear", div_factor=10, final_div_factor=1000,
    )  # fmt: skip
    resume = options.out.with_suffix(".resume")
    parts = {"model": model, "optimiser": optimiser, "schedule": schedule}
    records = _go_on(resume, parts, generator, vars(options))
    for epoch in range(len(records), options.epochs):
        model.train()
        began, total = time.time(), 0.0
        for batch in used[torch.randperm(len(used), generator=generator)].split(options.batch):
            if len(batch) < options.batch:
                continue
            x = augmented(images[batch], generator)
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=options.bfloat16):
                loss = F.cross_entropy(model(x).float(), labels[batch])
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
            schedule.step()
            total += float(loss.detach())
        record = {
            "epoch": epoch + 1,
            "loss": round(total / steps, 4),
            "held_back_percent": round(accuracy(model, held_images, held_labels), 2),
            "seconds": round(time.time() - began, 1),
        }
        print(json.dumps(record), flush=True)
        records.append(record)
        state = {name: part.state_dict() for name, part in parts.items()}
        state |= {"generator": generator.get_state(), "records": records}
        state["options"] = {name: str(value) for name, value in vars(options).items()}
        torch.save(state, resume.with_suffix(".writing"))
        os.replace(resume.with_suffix(".writing"), resume)
    resume.unlink(missing_ok=True)
    return records


def _go_on(resume: Path, parts: dict, generator: torch.Generator, options: dict) -> list:
    """Set `parts` and `generator` to what `resume` holds; the records of the epochs behind it."""
    if not resume.exists():
        return []
    state = torch.load(resume, weights_only=True)
    if state["options"] != {name: str(value) for name, value in options.items()}:
        raise SystemExit(f"{resume} is of other options; remove it to begin again")
    for name, part in parts.items():
        part.load_state_dict(state[name])
    generator.set_state(state["generator"])
    return state["records"]


def main() -> None:
    """Parse the options, train, judge once, save."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--model", default="resnet20")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--lr", type=float, default=0.2)
    parser.add_argument("--decay", type=float, default=5e-4)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--bfloat16", action=argparse.BooleanOptionalAction, default=True)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)

    images, labels = read_images(options.data, "train")
    model = zoo.build(options.model).to(memory_format=torch.channels_last)
    records = train(model, normalised(images), torch.from_numpy(labels), options)

    test_images, test_labels = read_images(options.data, "test")
    test = accuracy(model, normalised(test_images), torch.from_numpy(test_labels))
    print(f"top-1 on {len(test_labels)} test images: {test:.2f} %")

    model = model.to(memory_format=torch.contiguous_format).eval()
    torch.save(model.state_dict(), options.out.with_suffix(".state.pt"))
    example = torch.zeros(1, 3, 32, 32)
    options.out.write_bytes(export(model, example))
    summary = {
        "model": options.model,
        "data": "CIFAR-10 (Krizhevsky, 2009)",
        "normalise": {"mean": MEAN, "deviation": STD},
        "training_images": len(labels) - HELD_BACK,
        "held_back_images": HELD_BACK,
        "test_images": len(test_labels),
        "test_top1_percent": round(test, 2),
        "options": {k: v for k, v in vars(options).items() if k not in ("data", "out", "threads")},
        "torch": torch.__version__,
        "epochs": records,
    }
    options.out.with_suffix(".json").write_text(json.dumps(summary, indent=1) + "\n")


if __name__ == "__main__":
    main()
