"""The training loop that all methods share: it can be stopped at any moment and goes on from there.

Everything random in a step is drawn from (seed, stage, epoch, step), never from what ran before, so
that a run that was killed and resumed ends with the same weights as one that was not.
"""

from __future__ import annotations

import io
import math
import pickle
import time
from collections.abc import Callable, Iterator
from typing import Any

import attrs
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cimarch.data.dataset import Examples
from cimarch.diagnostics import DescriptionError, Diagnostic
from cimarch.optimize.augment import augmented
from cimarch.optimize.frame.going import Going, damaged
from cimarch.optimize.frame.record import Epoch
from cimarch.report.files import whole

SCALES = ("weight_scale", "input_scale", "converter_step")
"""Parameters that are learned scales, by the ends of their names."""


@attrs.frozen
class Recipe:
    """How to train."""

    epochs: int = 1
    batch: int = 128
    rate: float = 0.01
    """Learning rate at its highest: it rises over the first `warm` of the steps, then falls to zero
    along a cosine (Loshchilov & Hutter, ICLR 2017)."""
    scale_rate: float = 0.1
    """That of learned scales, as a share of `rate`."""
    warm: float = 0.05
    momentum: float = 0.9
    decay: float = 1e-4
    """Of the weights of layers alone."""
    shift: int = 4
    """Pixels that images are shifted by at most; 0: none."""
    mirror: bool = True
    seed: int = 0
    bfloat16: bool = False
    """Whether products are computed in bfloat16 while training, weights kept in float32."""


class Training:
    """One stage of training of one model; `run` does what is left of it."""

    def __init__(
        self,
        model: nn.Module,
        train: Examples,
        held_back: Examples,
        recipe: Recipe,
        *,
        stage: str,
        going: Going | None = None,
        penalty: Callable[[nn.Module], Tensor] | None = None,
        after_step: Callable[[nn.Module], None] | None = None,
        device: str = "cpu",
        every: float = 60.0,
    ) -> None:
        """`stage` names the stage in what is told and kept, and takes part in what is drawn;
        `penalty` is added to the loss; `after_step` may hold parameters where they belong. What is
        done is kept every so many seconds, and after each epoch."""
        if recipe.bfloat16:
            model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.model, self.train, self.held_back, self.recipe = model, train, held_back, recipe
        self.stage, self.penalty, self.after_step = stage, penalty, after_step
        self.going = going or Going()
        self.kept = self.going.place(f"{stage.replace(' ', '_')}.pt")
        self.device, self.every = device, every
        self.steps = max(1, len(train) // recipe.batch)
        self.optimiser = torch.optim.SGD(
            list(_groups(model, recipe)), lr=recipe.rate, momentum=recipe.momentum, nesterov=True
        )
        self._scales = [p for name, p in model.named_parameters() if name.endswith(SCALES)]
        self.done = 0
        """Steps."""
        self.epochs: list[Epoch] = []
        self._loss = 0.0
        self._order: tuple[int, Tensor] = (-1, torch.empty(0))

    @property
    def total(self) -> int:
        """Steps of all epochs."""
        return self.steps * self.recipe.epochs

    def run(self) -> list[Epoch]:
        """Train to the end, from what was kept if anything was; what each epoch came to."""
        self._resume()
        saved = time.monotonic()
        began = saved
        while self.done < self.total:
            epoch, step = divmod(self.done, self.steps)
            if step == 0:
                self._loss, began = 0.0, time.monotonic()
            self._step(epoch, step)
            self.done += 1
            last = step == self.steps - 1
            if last:
                self._close(epoch, time.monotonic() - began)
            self.going.tell(self._told(epoch), self.done / self.total)
            stopped = self.going.stopped()
            if stopped or last or time.monotonic() - saved > self.every:
                self._keep()
                saved = time.monotonic()
            if stopped:
                raise KeyboardInterrupt
        return self.epochs

    def _told(self, epoch: int) -> str:
        known = f", {self.epochs[-1].held_back:.1f} % held back" if self.epochs else ""
        return f"{self.stage}: epoch {min(epoch + 1, self.recipe.epochs)}{known}"

    # one step

    def _drawn(self, *numbers: int) -> int:
        mixed = 0
        for number in (self.recipe.seed, *self.stage.encode(), *numbers):
            mixed = (mixed * 1_000_003 + number + 1) % (2**61 - 1)
        return mixed

    def _generator(self, *numbers: int) -> torch.Generator:
        return torch.Generator().manual_seed(self._drawn(*numbers))

    def _batch(self, epoch: int, step: int) -> tuple[Tensor, Tensor]:
        if self._order[0] != epoch:
            mixed = torch.randperm(len(self.train), generator=self._generator(epoch))
            self._order = (epoch, mixed)
        chosen = self._order[1][step * self.recipe.batch : (step + 1) * self.recipe.batch].numpy()
        some = self.train.take(chosen)
        images = torch.from_numpy(some.inputs())
        if images.dim() == 4 and (self.recipe.shift or self.recipe.mirror):
            draw = self._generator(epoch, step + 1)
            images = augmented(images, self.recipe.shift, self.recipe.mirror, draw)
        return images, torch.from_numpy(some.labels)

    def _step(self, epoch: int, step: int) -> None:
        share = rate_at(self.done, self.total, self.recipe.warm)
        for group in self.optimiser.param_groups:
            group["lr"] = group["highest"] * share
        self.model.train()
        images, labels = (each.to(self.device) for each in self._batch(epoch, step))
        casting = torch.autocast(self.device, torch.bfloat16, enabled=self.recipe.bfloat16)
        with torch.random.fork_rng([]), casting:
            torch.manual_seed(self._drawn(epoch, step + 1, 1))  # of what the model itself draws
            answers = self.model(images).float()
        loss = F.cross_entropy(answers, labels)
        if self.penalty is not None:
            loss = loss + self.penalty(self.model)
        if not bool(torch.isfinite(loss)):
            raise self._diverged("the loss", epoch, step)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self._update()
        if self.after_step is not None:
            self.after_step(self.model)
        self._loss += float(loss.detach())

    def _update(self) -> None:
        """Take the optimiser's step; none more than halves a scale, which must stay above zero."""
        least = [each.detach() / 2 for each in self._scales]
        self.optimiser.step()
        with torch.no_grad():
            for each, low in zip(self._scales, least, strict=True):
                each.clamp_(min=low)

    def _close(self, epoch: int, seconds: float) -> None:
        if not all(bool(torch.isfinite(each).all()) for each in self.model.parameters()):
            raise self._diverged("a parameter", epoch, self.steps - 1)
        right = accuracy(self.model, self.held_back, device=self.device)
        mean = self._loss / self.steps
        self.epochs.append(Epoch(self.stage, epoch + 1, mean, right, seconds))

    def _diverged(self, what: str, epoch: int, step: int) -> DescriptionError:
        where = f"{self.stage}, epoch {epoch + 1}, step {step + 1}"
        return DescriptionError(
            Diagnostic(
                "E451",
                f"training diverged in {where}: {what} is not finite",
                helps=(f"a lower learning rate than {self.recipe.rate:g}",),
            )
        )

    # kept

    def _keep(self) -> None:
        if self.kept is None:
            return
        file = io.BytesIO()
        torch.save(self._state(), file)
        with whole(self.kept) as place:
            place.write(file.getvalue())

    def _state(self) -> dict[str, Any]:
        return {
            "stage": self.stage,
            "model": self.model.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "done": self.done,
            "loss": self._loss,
            "epochs": [attrs.asdict(epoch) for epoch in self.epochs],
        }

    def _resume(self) -> None:
        if self.kept is None or not self.kept.exists():
            return
        try:
            state = torch.load(self.kept, weights_only=True)
            self.model.load_state_dict(state["model"])
            self.optimiser.load_state_dict(state["optimiser"])
            self.done, self._loss = state["done"], state["loss"]
            self.epochs = [Epoch(**epoch) for epoch in state["epochs"]]
        except _DAMAGED:
            raise damaged(self.kept) from None


_DAMAGED = (
    pickle.UnpicklingError, RuntimeError, EOFError, LookupError, ValueError, TypeError,
    AttributeError,
)  # fmt: skip
"""What torch raises of a state that is none, or of another model."""


def rate_at(step: int, total: int, warm: float) -> float:
    """The learning rate at a step, as a share of the highest."""
    rising = max(1, round(warm * total))
    if step < rising:
        return (step + 1) / rising
    return 0.5 * (1 + math.cos(math.pi * (step - rising) / max(1, total - rising)))


def _groups(model: nn.Module, recipe: Recipe) -> Iterator[dict[str, Any]]:
    """Weights decay; biases and norms do not; learned scales learn more slowly."""
    kinds: dict[str, list[nn.Parameter]] = {"weights": [], "plain": [], "scales": []}
    for name, parameter in model.named_parameters():
        kind = "scales" if name.endswith(SCALES) else "weights" if parameter.dim() > 1 else "plain"
        kinds[kind].append(parameter)
    for kind, rate, decay in (
        ("weights", recipe.rate, recipe.decay),
        ("plain", recipe.rate, 0.0),
        ("scales", recipe.rate * recipe.scale_rate, 0.0),
    ):
        if kinds[kind]:
            yield {"params": kinds[kind], "lr": rate, "highest": rate, "weight_decay": decay}


def accuracy(model: nn.Module, examples: Examples, batch: int = 500, device: str = "cpu") -> float:
    """Top-1 of a model in percent."""
    model.eval()
    right = 0
    with torch.inference_mode():
        for inputs, labels in examples.batches(batch):
            found = model(torch.from_numpy(inputs).to(device)).argmax(1).cpu()
            right += int((found == torch.from_numpy(labels)).sum())
    return 100 * right / len(examples)
