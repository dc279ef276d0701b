"""Compiled parts of `lockstep`: colours of slots, refined until they are stable, and the proof.

The colours are 64-bit hashes, so two that differ could be taken for one; `same_sources` compares
what was hashed, exactly.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cimarch.engine.compiled import compiled, compiled_part
from cimarch.engine.tasks import JOIN, Ints

Numbers = NDArray[np.int32]
Hashes = NDArray[np.uint64]


@compiled_part
def mix(left: int | np.uint64, right: int | np.uint64) -> np.uint64:
    """A hash of an ordered pair: the last steps of MurmurHash3."""
    key = np.uint64(left) * np.uint64(0x9E3779B97F4A7C15) ^ np.uint64(right)
    key ^= key >> np.uint64(33)
    key *= np.uint64(0xFF51AFD7ED558CCD)
    key ^= key >> np.uint64(33)
    key *= np.uint64(0xC4CEB9FE1A85EC53)
    return key ^ (key >> np.uint64(33))


@compiled("void(int32[::1], int64[::1], int64, int32[::1])", allocates=True)
def ranks(resource: Numbers, first_slot: Ints, resources: int, rank: Numbers) -> None:
    """Of each slot: how many slots of its template hold the same resource before it."""
    count = np.zeros(resources, np.int32)
    for template in range(len(first_slot) - 1):
        for slot in range(first_slot[template], first_slot[template + 1]):
            if resource[slot] == JOIN:
                rank[slot] = 0
            else:
                rank[slot] = count[resource[slot]]
                count[resource[slot]] += 1
        for slot in range(first_slot[template], first_slot[template + 1]):
            if resource[slot] != JOIN:
                count[resource[slot]] = 0


@compiled("void(uint64[::1], int64[::1])", allocates=False)
def colour_by(colour: Hashes, column: Ints) -> None:
    """Mix a column into the colours."""
    for slot in range(len(colour)):
        colour[slot] = mix(colour[slot], column[slot])


@compiled("void(uint64[::1], int32[::1], uint64[::1])", allocates=False)
def colour_resources(colour: Hashes, resource: Numbers, held: Hashes) -> None:
    """The colour of each resource: of all slots that hold it, which differ by their ranks."""
    held[:] = 0
    for slot in range(len(colour)):
        if resource[slot] != JOIN:
            held[resource[slot]] += mix(colour[slot], 1)


@compiled_part
def sort(values: Hashes | Ints, begin: int, length: int) -> None:
    """Sort a stretch in place, by Shell's method with the gaps of Tokuda's 9/4."""
    gap = 1
    while gap < length // 3:
        gap = gap * 9 // 4 + 1
    while gap > 0:
        for place in range(begin + gap, begin + length):
            value, before = values[place], place - gap
            while before >= begin and values[before] > value:
                values[before + gap] = values[before]
                before -= gap
            values[before + gap] = value
        gap = gap * 4 // 9


@compiled("void(int64[::1], int64[::1], int32[::1], uint64[::1], uint64[::1], uint64[::1])")
def colour_by_sources(
    first: Ints, kind: Ints, source: Numbers, of_source: Hashes, colour: Hashes, buffer: Hashes
) -> None:
    """Mix the set of (kind, colour of the source) of each list into the colours."""
    for row in range(len(colour)):
        begin, length = first[row], first[row + 1] - first[row]
        for place in range(length):
            buffer[place] = mix(of_source[source[begin + place]], kind[begin + place])
        sort(buffer, 0, length)
        total = np.uint64(0)
        for place in range(length):
            if place == 0 or buffer[place] != buffer[place - 1]:
                total += mix(buffer[place], 2)
        colour[row] = mix(colour[row], total)


@compiled("void(uint64[::1], int32[::1], uint64[::1])", allocates=False)
def colour_by_resource(colour: Hashes, resource: Numbers, held: Hashes) -> None:
    """Mix the colour of what a slot holds into its own."""
    for slot in range(len(colour)):
        if resource[slot] != JOIN:
            colour[slot] = mix(colour[slot], held[resource[slot]])


@compiled_part
def distinct(
    first: Ints, kind: Ints, source: Numbers, of_source: Ints, row: int, out: Ints, begin: int
) -> int:
    """Put the set of a list in `out` from a place on, in order; how many there are."""
    length = first[row + 1] - first[row]
    for place in range(length):
        wait = first[row] + place
        out[begin + place] = (kind[wait] << 32) + of_source[source[wait]]
    sort(out, begin, length)
    size = 0
    for place in range(begin, begin + length):
        if place == begin or out[place] != out[begin + size - 1]:
            out[begin + size] = out[place]
            size += 1
    return size


@compiled("boolean(int64[::1], int64[::1], int32[::1], int64[::1], int64[::1], int64[::1])")
def same_sources(
    first: Ints, kind: Ints, source: Numbers, of_source: Ints, like: Ints, spare: Ints
) -> bool:
    """Whether every list has the same set of (kind, class of the source) as that of `like`.

    Classes and kinds are below 2^31, so a pair of them is one number. `spare` is as long as twice
    the longest list.
    """
    half = len(spare) // 2
    for row in range(len(like)):
        if like[row] != row:
            mine = distinct(first, kind, source, of_source, row, spare, 0)
            theirs = distinct(first, kind, source, of_source, like[row], spare, half)
            if mine != theirs:
                return False
            for place in range(mine):
                if spare[place] != spare[half + place]:
                    return False
    return True
