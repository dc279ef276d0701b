"""Input steps as planes of single bits: bytes of the inputs, and what their bits add to a step."""

from __future__ import annotations

from functools import cached_property

import attrs
import numpy as np
from numpy.typing import NDArray

from cimarch.functional.scheme import Scheme
from cimarch.functional.steps import step_factors, step_range


@attrs.frozen
class Step:
    """What is converted at once."""

    place: int
    """What its codes count."""
    planes: tuple[tuple[int, int], ...]
    """(plane, weight): its levels are the weighted sum of these bits."""
    low: int
    """The least level."""
    high: int


@attrs.frozen(slots=False)
class BitPlanes:
    """The bits of the inputs of a scheme.

    An input is kept in *byte maps*: its bytes, the lowest first; sign-magnitude inputs have those
    of their positive part and then those of their negative part.
    """

    scheme: Scheme

    @cached_property
    def bits(self) -> int:
        """Bits of an input that steps are made of."""
        return max(1, self.scheme.input_bits - (self.scheme.inputs == "sign_magnitude"))

    @cached_property
    def bytes(self) -> int:
        """Bytes of one number."""
        return -(-self.bits // 8)

    @cached_property
    def maps(self) -> tuple[tuple[int, bool], ...]:
        """For each byte map: what one counts in an input, and whether its bytes are signed."""
        places = [256**n for n in range(self.bytes)]
        if self.scheme.inputs == "sign_magnitude":
            return tuple((sign * place, False) for sign in (1, -1) for place in places)
        last = self.bytes - 1 if self.scheme.inputs == "twos_complement" else -1
        return tuple((place, n == last) for n, place in enumerate(places))

    @cached_property
    def per_map(self) -> int:
        """Planes of a byte map: those of few bits are left 0, so that there are few kernels."""
        return 4 if self.bits <= 4 and len(self.maps) == 1 else 8

    def split(self, inputs: NDArray[np.integer]) -> NDArray[np.uint8]:
        """The byte maps (maps, *inputs.shape) of inputs within the scheme's range."""
        if len(self.maps) == 1 and inputs.dtype in (np.uint8, np.int8):
            return inputs.view(np.uint8)[None]
        parts: list[NDArray[np.int64]] = [np.asarray(inputs, np.int64)]
        if self.scheme.inputs == "sign_magnitude":
            parts = [np.maximum(parts[0], 0), np.maximum(-parts[0], 0)]
        shifts = [8 * n for n in range(self.bytes)]
        return np.stack([(part >> shift).astype(np.uint8) for part in parts for shift in shifts])

    @cached_property
    def steps(self) -> tuple[Step, ...]:
        """All steps, or the one that they are accumulated to in analog."""
        scheme = self.scheme
        if scheme.input_accumulation == "analog":
            return (Step(1, self._planes(0, self.bits), *scheme.input_range),)
        ends = [min((k + 1) * scheme.dac_bits, self.bits) for k in range(scheme.steps)]
        return tuple(
            Step(place, self._planes(k * scheme.dac_bits, end), *span)
            for k, (place, end, span) in enumerate(
                zip(step_factors(scheme), ends, step_range(scheme), strict=True)
            )
        )

    def _planes(self, first: int, end: int) -> tuple[tuple[int, int], ...]:
        """The planes of bits `first` to `end`, weighted from 1."""
        found = []
        for bit in range(first, end):
            plane, weight = bit // 8 * self.per_map + bit % 8, 1 << (bit - first)
            if self.scheme.inputs == "sign_magnitude":
                found += [(plane, weight), (plane + self.bytes * self.per_map, -weight)]
            elif self.scheme.inputs == "twos_complement" and bit == self.bits - 1:
                found.append((plane, -weight))
            else:
                found.append((plane, weight))
        return tuple(found)

    @cached_property
    def fits_bytes(self) -> bool:
        """Whether every step is a plane of the only byte map, at most the last plane negative."""
        if len(self.maps) > 1 or (self.last_is_negative and self.bits < self.per_map):
            return False
        wanted = [((k, 1),) for k in range(self.bits)]
        if self.last_is_negative:
            wanted[-1] = ((self.bits - 1, -1),)
        places = [2**k for k in range(self.bits)]
        return [step.planes for step in self.steps] == wanted and places == [
            step.place for step in self.steps
        ]

    @cached_property
    def last_is_negative(self) -> bool:
        """Whether the last step's bit counts negative."""
        return any(weight < 0 for _, weight in self.steps[-1].planes)

    @cached_property
    def left_empty(self) -> int:
        """What the planes that are always 0 count together."""
        return int(2**self.per_map - 2**self.bits)
