"""What the methods that change widths share: the budget, the surgery, the last training."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from functools import cached_property
from typing import Any

import attrs
import torch
from torch import Tensor, fx

from cimarch.diagnostics import suggestion
from cimarch.hardware.system import Part
from cimarch.mapping.pools import choices, pools_of
from cimarch.mapping.precision import Bits
from cimarch.optimize.frame.measure import At
from cimarch.optimize.frame.model import Model
from cimarch.optimize.frame.options import wrong
from cimarch.optimize.frame.record import Epoch, Record
from cimarch.optimize.frame.task import Task, archive_of
from cimarch.optimize.morph.expand import Budget
from cimarch.optimize.morph.options import Widths
from cimarch.optimize.morph.problems import no_norm
from cimarch.optimize.morph.resources import Macro, Resources, macros_of, resources
from cimarch.optimize.morph.shrink import scores_of
from cimarch.optimize.morph.surgery import choose, rebuild
from cimarch.optimize.morph.ties import Ties, ties_of
from cimarch.optimize.training import Training
from cimarch.simulate import simulate
from cimarch.workload.network import Network


@attrs.frozen(eq=False, slots=False)
class Run:
    """One change of the widths of one network."""

    task: Task
    options: Widths

    @cached_property
    def at(self) -> At:
        """The precision at which weights are counted and the network is judged."""
        root = self.task.system.root
        weights, inputs = self.options.weight_bits, self.options.input_bits
        return At(
            weight_bits=root.integer("weight_bits") if weights is None else weights,
            input_bits=root.integer("input_bits") if inputs is None else inputs,
        )

    @cached_property
    def shape(self) -> tuple[int, ...]:
        """Of one input."""
        network = self.task.network
        return network.tensors[network.inputs[0]].shape

    @cached_property
    def pool(self) -> Part:
        """The pool whose macros are counted."""
        pools = pools_of(self.task.system)
        paths = [pool.path for pool in pools]
        wanted = self.options.pool
        if wanted and wanted not in paths:
            known = ", ".join(f"`{path}`" for path in paths)
            raise wrong(f"`pool` is `{wanted}`, none of {known}", *suggestion(wanted, paths))
        return pools[paths.index(wanted) if wanted else min(self._homes.values())]

    @cached_property
    def _homes(self) -> dict[str, int]:
        """The first pool that serves each layer, by its place."""
        layers = [op for op in self.task.network.operations if op.is_matrix]
        bits = {op.name: Bits(self.at.weight_bits, self.at.input_bits) for op in layers}
        found = choices(layers, pools_of(self.task.system), bits)
        return {name: places[0] for name, places in found.items()}

    @cached_property
    def counted(self) -> frozenset[str]:
        """The layers whose bit lines are counted."""
        place = pools_of(self.task.system).index(self.pool)
        patterns = [each.strip() for each in self.options.uncounted.split(",") if each.strip()]
        for pattern in patterns:
            if not any(fnmatchcase(name, pattern) for name in self._homes):
                raise wrong(
                    f"`uncounted` names `{pattern}`, which no layer is called",
                    *suggestion(pattern, list(self._homes)),
                )
        found = frozenset(
            name
            for name, home in self._homes.items()
            if home == place and not any(fnmatchcase(name, pattern) for pattern in patterns)
        )
        if not found:
            raise wrong(f"no layer lies in `{self.pool.path}`", notes=("its macros are counted",))
        return found

    @cached_property
    def macro(self) -> Macro:
        """Of the pool."""
        return Macro.of(self.pool, self.at.weight_bits)

    @cached_property
    def first(self) -> Ties:
        """Of the network that was given; DescriptionError where nothing in it may change."""
        return self.ties(self.module())

    @cached_property
    def taken(self) -> int:
        """The bit lines of the network that was given."""
        return self.budget(self.first, 0).taken(self.first.widths)

    @cached_property
    def lines(self) -> int:
        """The budget in bit lines: as asked, else the macros of the description, as far as the
        network that was given takes them."""
        if self.options.bit_lines is not None:
            return self.options.bit_lines
        if self.options.budget is not None:
            return self.options.budget * self.macro.usable
        return min(self.pool.count, macros_of(self.taken, self.macro)) * self.macro.usable

    def ties(self, module: fx.GraphModule) -> Ties:
        """Of a network; DescriptionError where nothing in it may change."""
        found = ties_of(module, self.shape)
        if not found.free:
            raise no_norm(self.task.model.name)
        return found

    def budget(self, ties: Ties, lines: float) -> Budget:
        """A budget for these layers."""
        return Budget(ties, self.macro, int(lines), self.counted)

    def cut(
        self, module: fx.GraphModule, ties: Ties, scores: Mapping[int, Tensor],
        widths: Mapping[int, int], *, fresh: str = "keep", name: str = "",
    ) -> fx.GraphModule:  # fmt: skip
        """The network with other widths; its most important channels stay."""
        chosen = choose(ties, scores, widths)
        return rebuild(
            module, ties, chosen, generator=self.generator(f"new {name}"), fresh=fresh
        ).to(self.options.torch_device)

    def scores(self, module: fx.GraphModule, budget: Budget, name: str) -> dict[int, Tensor]:
        """What channels are chosen by, as the options say."""
        options = self.options
        return scores_of(
            options.importance, module, budget, self.task.split.train, self.generator(name),
            options.torch_device,
        )  # fmt: skip

    def generator(self, name: str) -> torch.Generator:
        """Draws for a part of the run, from the seed and its name alone."""
        mixed = self.options.seed
        for letter in name.encode():
            mixed = (mixed * 1_000_003 + letter + 1) % (2**61 - 1)
        return torch.Generator().manual_seed(mixed)

    def trained(self, module: fx.GraphModule) -> list[Epoch]:
        """Train with the last widths."""
        return Training(
            module, self.task.split.train, self.task.split.held_back,
            self.options.recipe(self.options.epochs, self.options.rate, self.task.data),
            stage="last widths", going=self.task.going, device=self.options.torch_device,
        ).run()  # fmt: skip

    def module(self) -> fx.GraphModule:
        """The network that was given, where it is trained."""
        return self.task.module().to(self.options.torch_device)

    # what came out

    def finished(
        self, module: fx.GraphModule, epochs: list[Epoch], *,
        details: dict[str, Any],
    ) -> tuple[Model, Record]:  # fmt: skip
        """The new model, judged, with its record."""
        model = self.task.model.trained(archive_of(_plain(module), torch.zeros(1, *self.shape)))
        before, after = self.first, ties_of(module, self.shape)
        stands = (
            self.task.stand(self.task.model.trained(self.task.model.archive), self.at,
                            name="before"),
            self.task.stand(model, self.at, name="after"),
        )  # fmt: skip
        record = self.task.record(
            *stands, epochs=epochs, notes=self._notes(before),
            details=self._details(before, after, model) | details,
        )  # fmt: skip
        return model.with_(record=record), record

    def _notes(self, before: Ties) -> list[str]:
        found = []
        if self.taken < self.lines:
            found.append(
                f"the budget of {self.lines} bit lines is above the {self.taken} that the network "
                "took: it may grow"
            )
        if self.options.budget is None and self.options.bit_lines is None:
            macros = -(-self.lines // self.macro.usable)
            found.append(
                f"the budget is {macros} of the {self.pool.count} macros of `{self.pool.path}`"
            )
        apart = sorted({use.path for use in before.uses} - self.counted)
        if apart:
            found.append(f"not counted: {', '.join(apart)}")
        if any(space.fixed and space.makers and not _is_last(before, number)
               for number, space in before.spaces.items()):  # fmt: skip
            names = [
                path for number, space in before.spaces.items()
                if space.fixed and not _is_last(before, number) for path in space.makers
            ]  # fmt: skip
            found.append(f"of fixed width, without batch norm: {', '.join(names)}")
        return found

    def _details(self, before: Ties, after: Ties, model: Model) -> dict[str, Any]:
        loads = self.task.going.once(
            "loads", lambda: [self._load(self.task.network), self._load(model.network())]
        )
        rows = [
            {"network": name, **_told(self._resources(ties)), **load}
            for name, ties, load in zip(("before", "after"), (before, after), loads, strict=True)
        ]
        conv = [self._conv_weights(ties) for ties in (before, after)]
        return {
            "budget_bit_lines": self.lines,
            "budget_macros": -(-self.lines // self.macro.usable),
            "conv_weights_removed_percent": 100 * (1 - conv[1] / max(1, conv[0])),
            "macros_left": rows[1]["macros"] / rows[0]["macros"],
            "aligned_macros_left": rows[1]["aligned_macros"] / rows[0]["aligned_macros"],
            "tiles_left": loads[1]["tiles"] / loads[0]["tiles"],
            "load_cycles_left": loads[1]["load_cycles"] / max(1, loads[0]["load_cycles"]),
            "macros": rows,
            "widths": [
                {"layer": one.path, "before": before.widths[one.makes],
                 "after": after.widths[other.makes]}
                for one, other in zip(before.uses, after.uses, strict=True)
            ],
        }  # fmt: skip

    def _resources(self, ties: Ties) -> Resources:
        return resources(self.budget(ties, self.lines).layers(ties.widths), self.macro)

    def _conv_weights(self, ties: Ties) -> int:
        layers = {layer.name: layer.weights for layer in ties.layers(ties.widths)}
        kinds = {op.name: op.kind for op in self.task.network.operations}
        return sum(count for name, count in layers.items() if kinds.get(name) == "conv2d")

    def _load(self, network: Network) -> dict[str, int]:
        """What the event simulation says of loading it: tiles placed, and cycles."""
        report = simulate(
            self.task.system, network,
            weight_bits=self.at.weight_bits, input_bits=self.at.input_bits,
        )  # fmt: skip
        return {"tiles": sum(map(int, report.layers["tiles"])), "load_cycles": report.load_cycles}


def _is_last(ties: Ties, number: int) -> bool:
    """Whether a space is what the network answers with."""
    return not any(use.reads == number for use in ties.uses)


def _told(found: Resources) -> dict[str, Any]:
    return {
        "bit_lines": found.bit_lines,
        "macros": found.macros,
        "packed_percent": round(100 * found.packed, 2),
        "aligned_macros": found.aligned_macros,
        "aligned_percent": round(100 * found.aligned, 2),
        "weights": found.weights,
    }


def _plain(module: fx.GraphModule) -> fx.GraphModule:
    module.cpu().to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    return module
