"""What a method begins with: the model, the chip and the data, read and checked, and what it ends
with: the changed model and its record.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import attrs
from torch import Tensor, fx, nn

from cimarch.data.dataset import DataSet
from cimarch.data.read import read_data
from cimarch.hardware.system import System
from cimarch.optimize.frame.going import Going
from cimarch.optimize.frame.measure import At, stand
from cimarch.optimize.frame.model import Model
from cimarch.optimize.frame.options import Options
from cimarch.optimize.frame.record import Epoch, Record, Stand
from cimarch.optimize.frame.split import Split, split
from cimarch.workload.network import Network
from cimarch.workload.trace import export


@attrs.frozen(eq=False, slots=False)
class Task:
    """One method that is to be done once."""

    method: str
    model: Model
    system: System
    data: DataSet
    options: Options
    going: Going

    @classmethod
    def of(
        cls,
        method: str,
        model: Any,
        system: System,
        data: DataSet | str,
        options: Options,
        going: Going | None,
    ) -> Task:
        """Read what was given, and begin (or go on with) the run that keeps what is done.

        Raises DescriptionError where an option, the model or the data cannot be used, or the folder
        of the run is of another one.
        """
        options.check()
        model, going = Model.of(model), going or Going()
        network = model.network()
        found = read_data(data, network) if isinstance(data, str) else data.fitted(network)
        task = cls(method, model, system, found, options, going)
        found.judging(options.judge)  # what there is too little of is told before anything is kept
        assert task.split
        going.begin(task.asked())
        return task

    def asked(self) -> dict[str, Any]:
        """All that the result depends on, as plain JSON values."""
        return {
            "method": self.method,
            "options": self.options.told(),
            "model": self.model.digest,
            "system": self.system.name,
            "sources": dict(self.system.sources),
            "set": {each.path: each.text for each in self.system.overrides},
            "data": self.data.digest,
        }

    @cached_property
    def network(self) -> Network:
        """Of the model that was given."""
        return self.model.network()

    @cached_property
    def split(self) -> Split:
        """The training examples in two parts."""
        return split(self.data, self.options.images, self.options.held_back)

    def module(self) -> fx.GraphModule:
        """The model that was given, to train."""
        return self.model.module()

    def stand(self, model: Model, at: At, *, name: str) -> Stand:
        """Where a model stands, judged by the test examples; kept under a name of its own."""
        judge = self.options.judge

        def tell(stage: str, share: float) -> None:
            self.going.tell(f"{name}: {stage}", share)
            if self.going.stopped():  # nothing of a stand is kept but all of it
                raise KeyboardInterrupt

        self.going.tell(name, 0.0)
        found = self.going.once(
            f"stand {name}".replace(" ", "_"),
            lambda: attrs.asdict(
                stand(
                    self.system, model.network(), self.data, at,
                    judge=judge, device=self.options.torch_device, progress=tell,
                )
            ),
        )  # fmt: skip
        return Stand(**found)

    def record(
        self,
        before: Stand,
        after: Stand,
        *,
        epochs: Sequence[Epoch] = (),
        notes: Sequence[str] = (),
        details: Mapping[str, Any] | None = None,
    ) -> Record:
        """The record of the method, done."""
        return Record(
            method=self.method,
            system=self.system.name,
            network=self.model.name,
            data=self.data.name,
            options=self.options.told(),
            split=self.split.told(),
            before=before,
            after=after,
            epochs=tuple(epochs),
            notes=tuple(notes),
            details=dict(details or {}),
            digests={"model": self.model.digest, "data": self.data.digest}
            | dict(self.system.sources),
        )


def archive_of(module: nn.Module, example: Tensor) -> bytes:
    """The archive of a module whose layers are torch's own, for a `Model`."""
    return export(module.cpu().eval(), example.cpu())
