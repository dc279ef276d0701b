"""Compare chips: run the same networks on each, by the same options and the same definitions."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence

import attrs

from cimarch.diagnostics import DescriptionError, Diagnostic, listing, suggestion
from cimarch.explore.comparing.comparison import Chip, Comparison, Policy, Result
from cimarch.explore.comparing.scale import no_area, scaled
from cimarch.hardware.system import System
from cimarch.language import load
from cimarch.mapping.duplicate import Duplicate
from cimarch.mapping.pools import Wanted
from cimarch.simulate import Progress
from cimarch.workload.network import Network
from cimarch.workload.read import read_network

__all__ = ["Comparison", "apart", "compare"]

Given = System | str | os.PathLike[str]
"""A chip: elaborated, or what `cimarch.load` takes."""


def compare(
    systems: Sequence[Given] | Mapping[str, Given],
    *,
    models: Sequence[Network | str | os.PathLike[str]],
    weight_bits: int = 8,
    input_bits: int = 8,
    precision: object = None,
    batch: int = 1,
    weights: str = "preloaded",
    schedule: str | None = None,
    duplicate: Duplicate = "none",
    spread_rows: bool = False,
    attention: str | None = None,
    granularity: str = "product",
    overlap: bool = False,
    allow_unmapped: bool = False,
    iso_area: bool = False,
    scale: Mapping[str, str] | None = None,
    place: Mapping[str, Wanted] | None = None,
    densities: Mapping[str, object] | None = None,
    power: bool = False,
    jobs: int = 1,
    progress: Progress | None = None,
) -> Comparison:
    """Run the same networks on several chips, and put what comes out side by side.

    `systems` are Systems, or what `cimarch.load` takes; a mapping gives them names. `models` are
    Networks, or what `cimarch.read_network` takes. With `iso_area` every other chip gets as many
    arrays as have room in the area of the first (`cimarch.explore.comparing.scale`); `scale` names
    the parameter, by the chip's name, where there are several. `place` and `densities` are those of
    `cimarch.simulate` by the chip's name. With `power` each report has its power over time
    (`report.drawn`), and the most that is drawn is a figure. With more than one of `jobs`, so many
    runs go on at a time, each in a process of its own (a script then keeps its own work under
    `if __name__ == "__main__"`); nothing else changes. The other options are those of
    `cimarch.simulate`, and the same for all. A chip that cannot run a network is a Result with its
    problems. Raises DescriptionError where a description or a network cannot be read, where a chip
    cannot be scaled, or where no chip runs any of the networks.
    """
    policy = Policy(
        weight_bits=weight_bits, input_bits=input_bits, precision=precision, batch=batch,
        weights=weights, schedule=schedule, duplicate=duplicate, spread_rows=spread_rows,
        attention=attention, granularity=granularity, overlap=overlap,
        allow_unmapped=allow_unmapped, power=bool(power),
    )  # fmt: skip
    chips = [
        attrs.evolve(chip, place=(place or {}).get(chip.name),
                     densities=(densities or {}).get(chip.name))
        for chip in _chips(systems)
    ]  # fmt: skip
    _all_known(chips, {"scale": scale, "place": place, "densities": densities})
    networks = _networks(models, allow_unmapped)
    if iso_area:
        chips = _of_one_area(chips, scale or {})
    runs = [(chip, name, network) for name, network in networks.items() for chip in chips]
    results = (
        _in_turn(runs, policy, progress) if jobs == 1 else _at_once(runs, policy, jobs, progress)
    )
    if not any(result.report for result in results):
        raise DescriptionError(*dict.fromkeys(p for r in results for p in r.problems))
    return Comparison(
        chips=tuple(chips), networks=tuple(networks), results=tuple(results),
        options={**policy.to_dict(), "iso_area": iso_area}, digests=_digests(chips, networks),
    )  # fmt: skip


def _result(
    chip: Chip, name: str, network: Network, policy: Policy, progress: Progress | None = None
) -> Result:
    def tell(stage: str, share: float) -> None:
        if progress is not None:
            progress(f"{name} on {chip.name}: {stage}", share)

    try:
        return Result(chip.name, name, policy.run(chip, network, tell))
    except DescriptionError as error:
        return Result(chip.name, name, problems=error.diagnostics)


_Run = tuple[Chip, str, Network]
"""A chip, and the name of a network and the network."""


def _in_turn(runs: Sequence[_Run], policy: Policy, progress: Progress | None) -> list[Result]:
    return [_result(chip, name, network, policy, progress) for chip, name, network in runs]


def _at_once(
    runs: Sequence[_Run], policy: Policy, jobs: int, progress: Progress | None
) -> list[Result]:
    """The same results, from several processes."""
    from concurrent.futures import ProcessPoolExecutor, as_completed
    from multiprocessing import get_context

    # Not forked: the threads of numba and OpenMP would be missing there.
    with ProcessPoolExecutor(min(jobs, len(runs)), get_context("spawn")) as pool:
        waiting = [pool.submit(_result, *run, policy) for run in runs]
        for done, finished in enumerate(as_completed(waiting), start=1):
            if progress is not None:
                result = finished.result()
                progress(f"{result.network} on {result.chip}", done / len(runs))
        return [each.result() for each in waiting]


def _chips(systems: Sequence[Given] | Mapping[str, Given]) -> list[Chip]:
    if isinstance(systems, (str, System)):
        raise TypeError("give the chips as a list, or as a mapping of names to chips")
    given = systems.values() if isinstance(systems, Mapping) else systems
    loaded = [each if isinstance(each, System) else load(each) for each in given]
    if not loaded:
        raise DescriptionError(_nothing("chip"))
    names = list(systems) if isinstance(systems, Mapping) else [each.name for each in loaded]
    return [Chip(name, system) for name, system in zip(apart(names), loaded, strict=True)]


def _networks(
    models: Sequence[Network | str | os.PathLike[str]], allow_unmapped: bool
) -> dict[str, Network]:
    if isinstance(models, (str, Network)):
        raise TypeError("give the models as a list")
    read = [
        each if isinstance(each, Network) else read_network(each, allow_unmapped=allow_unmapped)
        for each in models
    ]
    if not read:
        raise DescriptionError(_nothing("model"))
    return dict(zip(apart([network.name for network in read]), read, strict=True))


def _all_known(chips: Sequence[Chip], given: Mapping[str, Mapping[str, object] | None]) -> None:
    """Raise DescriptionError where an option is given for a chip that is not compared."""
    names = [chip.name for chip in chips]
    for option, by_chip in given.items():
        for name in by_chip or {}:
            if name not in names:
                headline = f"`{option}` is given for `{name}`, which is not compared"
                notes = (f"the chips are {listing(names)}",)
                helps = suggestion(str(name), names)
                raise DescriptionError(Diagnostic("E440", headline, notes=notes, helps=helps))


def _nothing(noun: str) -> Diagnostic:
    return Diagnostic("E440", f"there is no {noun} to compare with", helps=(f"name a {noun}",))


def apart(names: Sequence[str]) -> list[str]:
    """Names of which each is another: `Chip`, `Chip (2)`."""
    times: Counter[str] = Counter()
    apart: list[str] = []
    for name in names:
        times[name] += 1
        apart.append(name if times[name] == 1 else f"{name} ({times[name]})")
    return apart


def _of_one_area(chips: Sequence[Chip], scale: Mapping[str, str]) -> list[Chip]:
    first = chips[0]
    area = first.system.total("area")
    if not area:
        raise DescriptionError(no_area(first.name))
    made = [first]
    problems: list[Diagnostic] = []
    for chip in chips[1:]:
        try:
            system, how = scaled(chip.system, area, first.name, by=scale.get(chip.name))
            made.append(attrs.evolve(chip, system=system, scaled=how))
        except DescriptionError as error:
            problems += error.diagnostics
    if problems:
        raise DescriptionError(*problems)
    return made


def _digests(chips: Sequence[Chip], networks: Mapping[str, Network]) -> dict[str, str]:
    found = {file: digest for chip in chips for file, digest in chip.system.sources}
    return found | {n.source or name: n.digest for name, n in networks.items()}
