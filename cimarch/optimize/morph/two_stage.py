"""Two-stage adaptation (Lin & Chang, arXiv 2510.14379): shrink, expand, train; then quantise.

A round trains with a regulariser that knows bit lines (`shrink`), takes the channels whose scale is
below a threshold as spent, and expands the widths that are left to the round's budget (`expand`);
of each layer the most important channels stay, with their weights (`surgery`). Budgets fall by the
same factor from round to round, so that the last one is what was asked. After the last round the
network is trained; the second stage is the method `qat`.
"""

from __future__ import annotations

from typing import Any

from torch import fx

from cimarch.data.dataset import DataSet
from cimarch.hardware.system import System
from cimarch.optimize.frame.going import Going
from cimarch.optimize.frame.model import Model
from cimarch.optimize.frame.record import Epoch, Record
from cimarch.optimize.frame.task import Task
from cimarch.optimize.inloop.qat import Qat, qat
from cimarch.optimize.morph.expand import Budget, filled, widest
from cimarch.optimize.morph.options import TwoStage, UniformWidth
from cimarch.optimize.morph.problems import too_large
from cimarch.optimize.morph.resources import macros_of
from cimarch.optimize.morph.run import Run
from cimarch.optimize.morph.shrink import COSTS, survivors, threshold_for
from cimarch.optimize.training import Training


def two_stage(
    model: Model | str,
    system: System,
    data: DataSet | str,
    options: TwoStage | None = None,
    going: Going | None = None,
) -> tuple[Model, Record]:
    """A network whose widths fit the macros of a system, trained, and its record.

    The bit lines of what comes back are within the budget, always. Raises DescriptionError where no
    width is, where there is no batch norm, or where channels cannot be followed.
    """
    chosen = options or TwoStage()
    task = Task.of("two_stage", model, system, data, chosen, going)
    run = Run(task, chosen)
    module = run.module()
    _check_size(run)
    run.budget(run.first, run.lines).check()
    epochs: list[Epoch] = []
    rounds = []
    for number, lines in enumerate(_budgets(run, chosen.rounds)):
        module, told = _round(run, chosen, module, number, lines, epochs)
        rounds.append(told)
    epochs += run.trained(module)
    made, record = run.finished(module, epochs, details={"rounds": rounds})
    return (_quantised(run, made) if chosen.then_qat else made), record


def uniform_width(
    model: Model | str,
    system: System,
    data: DataSet | str,
    options: UniformWidth | None = None,
    going: Going | None = None,
) -> tuple[Model, Record]:
    """A network whose widths are all scaled by the largest factor that fits: what a shape is held
    against. Its most important channels stay; it is trained as `two_stage` trains at the end.

    Raises DescriptionError as `two_stage` does.
    """
    chosen = options or UniformWidth()
    task = Task.of("uniform_width", model, system, data, chosen, going)
    run = Run(task, chosen)
    module = run.module()
    _check_size(run)
    ties = run.ties(module)
    budget = run.budget(ties, run.lines)
    omega, widths = widest(budget, ties.widths)
    scores = run.scores(module, budget, "scores")
    module = run.cut(module, ties, scores, widths)
    epochs = run.trained(module)
    return run.finished(module, epochs, details={"omega": omega})


MOST_WEIGHTS = 200_000_000
"""Of a network that is trained: some 3 GB with gradients and momenta."""


def _check_size(run: Run) -> None:
    """Raise DescriptionError where the network that fills the budget is too large to be trained."""
    macros = macros_of(run.lines, run.macro)
    macro = run.macro
    weights = macros * macro.cells // (macro.across * macro.down * macro.beside)
    if weights > MOST_WEIGHTS:
        raise too_large(macros, weights, MOST_WEIGHTS)


def _budgets(run: Run, rounds: int) -> list[float]:
    """The bit lines of each round: from what the network takes to the budget, by equal factors;
    the budget in every round where the network is within it."""
    factor = min(1.0, run.lines / run.taken)
    first = max(run.taken, run.lines)
    falling = [first * factor ** (number / rounds) for number in range(1, rounds)]
    return [*falling, float(run.lines)]


def _round(
    run: Run, options: TwoStage, module: fx.GraphModule, number: int, lines: float,
    epochs: list[Epoch],
) -> tuple[fx.GraphModule, dict[str, Any]]:  # fmt: skip
    """Shrink and expand once; the network with its new widths, and what was found."""
    ties = run.ties(module)
    budget = run.budget(ties, lines)
    _shrink(run, options, module, budget, f"shrink {number + 1}", epochs)
    scores = run.scores(module, budget, f"scores {number + 1}")
    threshold = options.threshold
    if threshold is None:
        threshold = threshold_for(budget, scores, options.shrink_to * lines, options.least)
    shape = survivors(scores, threshold, options.least)
    omega, widths = widest(budget, shape)
    if number == options.rounds - 1:
        widths = filled(budget, shape)
    told = {
        "round": number + 1, "budget": int(lines), "threshold": threshold,
        "left": budget.taken(budget.widths(shape, 1.0)), "omega": round(omega, 4),
        "bit_lines": budget.taken(widths),
        "shape": " ".join(str(round(shape[each])) for each in ties.free),
        "widths": " ".join(str(widths[each]) for each in ties.free),
    }  # fmt: skip
    made = run.cut(module, ties, scores, widths, fresh=options.fresh, name=str(number))
    return made, told


def _shrink(
    run: Run, options: TwoStage, module: fx.GraphModule, budget: Budget, stage: str,
    epochs: list[Epoch],
) -> None:  # fmt: skip
    cost = COSTS[options.form](budget)
    epochs += Training(
        module, run.task.split.train, run.task.split.held_back,
        options.recipe(options.shrink_epochs, options.shrink_rate, run.task.data),
        stage=stage, going=run.task.going, device=options.torch_device,
        penalty=lambda trained: options.strength * cost(trained).to(options.torch_device),
    ).run()  # fmt: skip


def _quantised(run: Run, model: Model) -> Model:
    """The second stage: quantisation-aware training of what the first one made."""
    asked = run.options
    options = Qat(
        weight_bits=run.at.weight_bits, input_bits=run.at.input_bits, batch=asked.batch,
        augment=asked.augment, seed=asked.seed, images=asked.images, held_back=asked.held_back,
        judge=asked.judge, device=asked.device,
    )  # fmt: skip
    made, _ = qat(model, run.task.system, run.task.data, options, run.task.going.within("qat"))
    return made
