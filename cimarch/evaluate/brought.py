"""What the file of an adapted model brings to an evaluation, where nothing else is asked for.

Bits, whole weights and converter ranges belong together: where bits, a quantised model or a way of
quantising is given, none of the file's is taken but its precision policy, if no other is given.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import attrs

from cimarch.diagnostics import DescriptionError
from cimarch.functional.fit.saved_quantised import from_bytes
from cimarch.functional.fit.saved_ranges import Calibration
from cimarch.functional.fit.saved_ranges import from_bytes as ranges_from_bytes
from cimarch.functional.quantised import QuantisedNetwork
from cimarch.mapping.precision import LIMIT, precision
from cimarch.workload.adapted import PRECISION, QUANTISED, RANGES, brought
from cimarch.workload.network import Network

OTHERWISE = {
    "E306": "choose ranges for this chip instead: `--range-policy mse`",
    "E307": "quantise the model for this chip instead: `--quantise per-channel`",
}
"""What to ask for where what a file brings does not fit, by the code that tells so."""


@attrs.frozen(eq=False)
class Brought:
    """What of the file is taken."""

    network: Network
    quantised: QuantisedNetwork | None = None
    ranges: Calibration | None = None
    has_precision: bool = False

    @classmethod
    def of(cls, network: Network, *, bits: bool, whole: bool, ranges: bool) -> Brought:
        """What the network's file brings of the bits, whole weights and ranges that are left to it.

        Raises DescriptionError where that is damaged.
        """
        whole = bits and whole
        has_precision = bits and PRECISION in network.attached
        if has_precision:
            precision(
                network, LIMIT, LIMIT
            )  # a damaged one is told where whole weights have bits too
        return cls(
            network,
            _quantised(network) if whole else None,
            _ranges(network) if whole and ranges else None,
            has_precision,
        )

    @property
    def notes(self) -> tuple[str, ...]:
        """A sentence that says what was taken; none where nothing was."""
        parts = [
            *(["bits"] if self.has_precision else []),
            *(["whole weights"] if self.quantised is not None else []),
            *(["converter ranges"] if self.ranges is not None else []),
        ]
        if not parts:
            return ()
        told = " and ".join([", ".join(parts[:-1]), parts[-1]] if parts[1:] else parts)
        return (f"{told} are those that `{self.network.source}` brings",)

    def told(self) -> dict[str, str]:
        """The members that were taken, by the options that they stand for."""
        return {
            option: brought(self.network, member)
            for option, member, is_taken in (
                ("precision", PRECISION, self.has_precision),
                ("quantised", QUANTISED, self.quantised is not None),
                ("ranges", RANGES, self.ranges is not None),
            )
            if is_taken
        }

    @contextmanager
    def fitting(self) -> Iterator[None]:
        """A block in which it is used: where it does not fit, the diagnostic says how to do
        without it."""
        try:
            yield
        except DescriptionError as error:
            taken = {"E306": self.ranges, "E307": self.quantised}
            raise DescriptionError(
                *(
                    attrs.evolve(d, helps=(*d.helps, OTHERWISE[d.code]))
                    if taken.get(d.code) is not None
                    else d
                    for d in error.diagnostics
                )
            ) from None


def _quantised(network: Network) -> QuantisedNetwork | None:
    held = network.attached.get(QUANTISED)
    return None if held is None else from_bytes(held, network, brought(network, QUANTISED))


def _ranges(network: Network) -> Calibration | None:
    held = network.attached.get(RANGES)
    return None if held is None else ranges_from_bytes(held, brought(network, RANGES))
