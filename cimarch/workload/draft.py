"""A network under construction: operations added one by one, each checked against its tensors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod

import attrs

from cimarch.workload.naming import Names
from cimarch.workload.network import Geometry, Network, Operation, Setting, Tensor, Weight

Settings = tuple[tuple[str, Setting], ...]


class Draft:
    """Operations in order, with the tensors between them and the weights that they hold.

    `stored` are weights by path, each (outputs, inputs) as stored; where there are none, a weight
    has a shape of `dtype` and nothing else. Every method returns the name of the tensor it makes.
    """

    def __init__(
        self, stored: Mapping[str, Weight] | None = None, *, dtype: str = "float32"
    ) -> None:
        self.stored = stored
        self.dtype = dtype
        self.operations: list[Operation] = []
        self.tensors: dict[str, Tensor] = {}
        self.weights: dict[str, Weight] = {}
        self.states: dict[str, str] = {}
        self.names = Names()
        self.missing: list[str] = []
        """Parameters that are not among the stored ones."""
        self.misshapen: list[str] = []
        """Those that have another shape there, a line each."""

    def input(self, name: str, *shape: int) -> str:
        """A tensor that comes from outside, or from the inference before."""
        name = self.names.fresh(name)
        self.tensors[name] = Tensor(name, shape)
        return name

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape of a tensor."""
        return self.tensors[name].shape

    def parameter(self, path: str, *shape: int, turned: bool = False) -> str:
        """Keep a parameter; `turned` says that it is stored with its two dimensions swapped."""
        if path not in self.weights:
            self.weights[path] = self._weight(path, shape, turned=turned)
        return path

    def _weight(self, path: str, shape: tuple[int, ...], *, turned: bool) -> Weight:
        if self.stored is None:
            return Weight(path, shape, self.dtype)
        found = self.stored.get(path)
        wanted = shape[::-1] if turned else shape
        if found is None:
            self.missing.append(path)
        elif found.shape != wanted:
            self.misshapen.append(f"`{path}` is {_by(found.shape)}, not {_by(wanted)}")
        if found is None or found.shape != wanted:
            return Weight(path, shape, self.dtype)
        data = found.data.T if turned and found.data is not None else found.data
        return attrs.evolve(found, path=path, shape=shape, data=data)

    def linear(
        self, path: str, x: str, outputs: int, *, bias: bool | str = False, turned: bool = False,
        weight: str = "",
    ) -> str:  # fmt: skip
        """(tokens, inputs) or (inputs,) times a stored matrix; `weight` and `bias` may be paths."""
        *tokens, inputs = self.shape(x)
        windows = prod(tokens)
        shift = bias if isinstance(bias, str) else f"{path}.bias" if bias else ""
        return self.add(
            path,
            "linear",
            (x,),
            (*tokens, outputs),
            weight=self.parameter(weight or f"{path}.weight", outputs, inputs, turned=turned),
            bias=self.parameter(shift, outputs) if shift else None,
            rows=inputs,
            columns=outputs,
            windows=windows,
            window_rows=windows,
        )

    def norm(self, path: str, x: str, function: str, eps: float) -> str:
        """Each token by its own statistics, times a stored gain, plus a stored shift (`layer`)."""
        features = self.shape(x)[-1]
        return self.add(
            path,
            "norm",
            (x,),
            self.shape(x),
            function,
            weight=self.parameter(f"{path}.weight", features),
            bias=self.parameter(f"{path}.bias", features) if function == "layer" else None,
            settings=(("eps", eps), ("dims", 1)),
        )

    def elementwise(self, name: str, kind: str, *inputs: str, function: str = "") -> str:
        """A function of each element, or of the same element of two tensors."""
        return self.add(name, kind, inputs, self.shape(inputs[0]), function)

    def rows(self, name: str, x: str, path: str, *shape: int, first: int, count: int) -> str:
        """Add `count` rows of a stored table to the rows of a tensor, from `first` on."""
        weight = self.parameter(path, *shape)
        settings: Settings = (("first", first), ("count", count))
        return self.add(
            name, "add", (x,), self.shape(x), "constant", weight=weight, settings=settings
        )

    def slice(self, name: str, x: str, dim: int, start: int, length: int) -> str:
        """`length` elements from `start` on along a dimension."""
        sizes = self.shape(x)
        cut = (*sizes[:dim], length, *sizes[dim + 1 :])
        settings: Settings = (("sizes", sizes), ("dim", dim), ("start", start), ("step", 1))
        return self.add(name, "slice", (x,), cut, settings=settings)

    def concat(self, name: str, inputs: Sequence[str], dim: int) -> str:
        """Tensors behind each other along a dimension."""
        joined = list(self.shape(inputs[0]))
        joined[dim] = sum(self.shape(x)[dim] for x in inputs)
        settings: Settings = (("sizes", tuple(joined)), ("dim", dim))
        return self.add(name, "concat", tuple(inputs), tuple(joined), settings=settings)

    def reshape(self, name: str, x: str, *shape: int) -> str:
        """The same elements in order, under another shape."""
        return self.add(name, "reshape", (x,), shape)

    def add(
        self,
        name: str,
        kind: str,
        inputs: tuple[str, ...],
        shape: tuple[int, ...],
        function: str = "",
        *,
        weight: str | None = None,
        bias: str | None = None,
        geometry: Geometry | None = None,
        rows: int = 0,
        columns: int = 0,
        windows: int = 1,
        window_rows: int = 1,
        settings: Settings = (),
    ) -> str:
        """Any operation; a name that is taken gets a number behind it."""
        name = self.names.fresh(name)
        self.operations.append(
            Operation(
                name=name,
                kind=kind,
                inputs=inputs,
                outputs=(name,),
                function=function,
                geometry=geometry,
                weight=weight,
                bias=bias,
                rows=rows,
                columns=columns,
                windows=windows,
                window_rows=window_rows,
                settings=settings,
            )
        )
        self.tensors[name] = Tensor(name, shape)
        return name

    def network(
        self, name: str, inputs: tuple[str, ...], *outputs: str, source: str = "", digest: str = ""
    ) -> Network:
        """What was drafted."""
        return Network(
            name=name,
            operations=tuple(self.operations),
            tensors=self.tensors,
            weights=self.weights,
            inputs=inputs,
            outputs=outputs,
            source=source,
            digest=digest,
            states=self.states,
        )


def _by(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape)) or "a single number"
