"""Input steps: the parts of an input that the DACs apply one after the other."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cimarch.functional.scheme import Scheme

Ints = NDArray[np.int64]


def step_factors(scheme: Scheme) -> tuple[int, ...]:
    """What one level of each step stands for, the lowest bits first: 2^(dac bits x step)."""
    return tuple(2 ** (scheme.dac_bits * k) for k in range(scheme.steps))


def step_digits(inputs: Ints, scheme: Scheme) -> Ints:
    """The levels that are applied in each step, shape (steps, *inputs.shape).

    sum over k of `step_factors[k]` x digits[k] is the input again. Unsigned: bits of the number.
    Sign-magnitude: bits of the magnitude, each with the sign. Two's complement: bits of the number,
    of which the last step's are signed (its highest bit counts negative).
    """
    masks = 2**scheme.dac_bits - 1
    shifts = scheme.dac_bits * np.arange(scheme.steps).reshape(-1, *(1,) * inputs.ndim)
    if scheme.inputs == "sign_magnitude":
        signed: Ints = np.sign(inputs) * ((np.abs(inputs) >> shifts) & masks)
        return signed
    digits: Ints = (inputs >> shifts) & masks
    if scheme.inputs == "unsigned":
        return digits
    digits[-1] = inputs >> int(shifts.ravel()[-1])
    return digits


def step_range(scheme: Scheme) -> tuple[tuple[int, int], ...]:
    """The least and the largest level of each step."""
    low, high = scheme.input_range
    found = []
    for k in range(scheme.steps):
        shift, mask = scheme.dac_bits * k, 2**scheme.dac_bits - 1
        if scheme.inputs == "twos_complement" and k == scheme.steps - 1:
            found.append((low >> shift, high >> shift))
        elif scheme.inputs == "sign_magnitude":
            found.append((-min(mask, high >> shift), min(mask, high >> shift)))
        else:
            top = scheme.input_bits - shift
            found.append((0, min(mask, 2**top - 1)))
    return tuple(found)
