"""Write the cases of this folder anew: products of the plain reference, every form of the config.

    python tests/golden/make.py

Read the difference before you keep it: nothing here changes unless a rule does.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

import crossbar_cases  # noqa: E402, the helper lies beside the tests
from cimarch.functional.reference import product  # noqa: E402

BASE = {
    "mapping": "OFFSET", "weight_bits": 8, "num_slices": 4, "cell_bits": 2,
    "input_bits": 8, "input_signed": False, "input_bitslicing": True, "input_slice_bits": 1,
    "adc_per_ibit": True, "adc_bits": 5, "adc_model": "QuantizerADC", "rows": 20,
    "analog_subtract": True, "digital_offset": True,
}  # fmt: skip
BALANCED = {"mapping": "BALANCED", "adc_model": "SignMagnitudeADC"}

CASES = {
    "offset_clips_above_31": BASE | {"adc_lsb_units": 1},
    "offset_rounds_by_3": BASE | {"adc_lsb_units": 3},
    "offset_exact": BASE | {"adc_bits": 0},
    "offset_cells_of_3_bits": BASE | {"cell_bits": 3, "num_slices": 3, "adc_lsb_units": 2},
    "offset_in_one_slice": BASE
    | {"cell_bits": 8, "num_slices": 1, "adc_bits": 9, "adc_lsb_units": 7},
    "offset_by_a_column": BASE | {"digital_offset": False, "adc_lsb_units": 1},
    "offset_steps_of_3_bits": BASE | {"input_slice_bits": 3, "adc_bits": 8, "adc_lsb_units": 1},
    "offset_steps_added_in_analog": BASE
    | {"adc_per_ibit": False, "adc_bits": 7, "adc_lsb_units": 61.3},
    "offset_inputs_whole": BASE | {"input_bitslicing": False, "adc_bits": 8, "adc_lsb_units": 53},
    "offset_signed_inputs": BASE | {"input_signed": True, "adc_lsb_units": 1, "adc_bits": 6,
                                    "adc_model": "SignMagnitudeADC"},
    "balanced_in_analog": BASE | BALANCED | {"adc_lsb_units": 1},
    "balanced_in_analog_1_bit_cells": BASE | BALANCED
    | {"cell_bits": 1, "num_slices": 7, "adc_bits": 3, "adc_lsb_units": 1},
    "balanced_digitally": BASE | BALANCED
    | {"analog_subtract": False, "adc_model": "QuantizerADC", "adc_lsb_units": 1.5},
    "balanced_between_codes": BASE | BALANCED
    | {"adc_model": "QuantizerADC", "adc_bits": 4, "adc_lsb_units": 2},
    "balanced_signed_steps_of_2_bits": BASE | BALANCED
    | {"input_signed": True, "input_slice_bits": 2, "weight_bits": 6, "num_slices": 3,
       "adc_bits": 6, "adc_lsb_units": 2},
    "balanced_arrays_of_uneven_rows": BASE | BALANCED | {"rows": 31, "adc_lsb_units": 1},
}  # fmt: skip


def main() -> None:
    """Write every case."""
    for number, (name, config) in enumerate(CASES.items()):
        random = np.random.default_rng(number)
        top = 2 ** (config["weight_bits"] - 1) - 1
        weights = np.clip(np.rint(random.normal(0, top / 3, (5, 60))), -top, top)
        most = 2 ** (config["input_bits"] - config["input_signed"]) - 1
        least = -most if config["input_signed"] else 0
        inputs = random.integers(least, most + 1, (60, 4)) * random.integers(0, 2, (60, 4))
        write(name, with_limits(config), weights.astype(np.int16), inputs.astype(np.int16))


def with_limits(config: dict[str, object]) -> dict[str, object]:
    """A config with the limits of its converter: from 0, or about it where sums have a sign."""
    if not config["adc_bits"]:
        return config | {"crosssim_adc_min_max_levels": None}
    assert isinstance(config["adc_bits"], int)
    codes = 2 ** config["adc_bits"] - (config["adc_model"] == "SignMagnitudeADC")
    signed = config["input_signed"] or (
        config["mapping"] == "BALANCED" and config["analog_subtract"]
    )
    limits = (-0.5, 0.5) if signed else (0.0, 1.0)  # the step in units says what they are
    return config | {"crosssim_adc_min_max_levels": [*limits, codes]}


def write(name: str, config: dict[str, object], weights: object, inputs: object) -> None:
    """One file, its results by the plain reference."""
    made = crossbar_cases.Case(
        config, np.asarray(weights, np.int64), np.asarray(inputs, np.int64).T, np.zeros((0, 0))
    )
    sums = product(made.inputs, made.lines, made.ranges)
    assert sums.counts is not None
    stats = {"conv": sums.counts.conversions, "clip": sums.counts.clipped}
    np.savez_compressed(
        HERE / f"{name}.npz", W=weights, X=inputs, Y=made.told(sums.values).T,
        config=json.dumps(config | {"stats": stats}),
    )  # fmt: skip


if __name__ == "__main__":
    main()
