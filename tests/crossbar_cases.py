"""Products of one weight matrix on crossbars, in files: weights, inputs, results, and a `config`.

A case is an `.npz` with `W` (outputs, inputs), `X` (inputs, windows), the results `Y` or
`Y_crosssim` (outputs, windows) in units of weight times input, and `config`, a JSON text:

    mapping            OFFSET or BALANCED (differential; `analog_subtract` says where)
    weight_bits, num_slices, cell_bits      |weight| < 2^(weight_bits - 1)
    input_bits, input_signed                signed: magnitude and sign, one bit less to apply
    input_bitslicing, input_slice_bits      false: inputs enter whole
    adc_per_ibit       one conversion per input slice; false: of the sum of all slices
    adc_bits           0: exact sums
    adc_model          QuantizerADC (2^bits codes) or SignMagnitudeADC (one less)
    crosssim_adc_min_max_levels             of the converter: fractions of one row at full scale
    adc_lsb_units      optional: what a step is in units
    rows               of an array; inputs are split evenly where that comes out, else in arrays
                       filled one after the other
    digital_offset     false: a column of zero weights is converted and subtracted
    stats              optional: how many conversions there are, and how many clip

The form is that of CrossSim's results (https://github.com/sandialabs/cross-sim).
"""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from cimarch.functional.converter import Ranges
from cimarch.functional.lines import Lines, Section, lines_of, sections_of
from cimarch.functional.scheme import Converter, Scheme

Ints = NDArray[np.int64]
Config = dict[str, Any]


@attrs.frozen(eq=False)
class Case:
    """One file."""

    config: Config
    weights: Ints
    """(outputs, inputs)."""
    inputs: Ints
    """(windows, inputs)."""
    results: NDArray[np.float64]
    """(windows, outputs)."""

    @property
    def has_offset_column(self) -> bool:
        """Whether the offset is measured by a column like all others."""
        return self.config["mapping"] == "OFFSET" and not self.config.get("digital_offset", True)

    @property
    def lines(self) -> Lines:
        """The matrix on its arrays; the last output is the column that measures the offset."""
        weights = self.weights
        if self.has_offset_column:
            weights = np.concatenate([weights, np.zeros_like(weights[:1])])
        return lines_of(weights, scheme(self.config), sections(self.config, weights.shape[1]))

    @property
    def ranges(self) -> Ranges | None:
        """Those of the converters."""
        return ranges(self.config)

    def told(self, values: NDArray[np.generic]) -> NDArray[np.float64]:
        """Products (windows, outputs of `lines`) as the file gives them."""
        found = np.asarray(values, np.float64)
        if self.has_offset_column:
            found = found[:, :-1] - found[:, -1:]
        return found * gain(self.config)


def read(path: Path) -> Case:
    """The case of a file."""
    with np.load(path) as file:
        names = file.files
        results = file["Y_crosssim" if "Y_crosssim" in names else "Y"]
        return Case(
            json.loads(str(file["config"])),
            file["W"].astype(np.int64), file["X"].astype(np.int64).T, results.T,
        )  # fmt: skip


def scheme(config: Config) -> Scheme:
    """How its arrays multiply.

    A balanced weight has as many slices as the file says: its sign needs no bit of them.
    """
    offset, slices = config["mapping"] == "OFFSET", config["num_slices"]
    whole = not config["input_bitslicing"]
    return Scheme(
        encoding="offset" if offset else "differential",
        weight_bits=config["weight_bits"] if offset else slices * _cell_bits(config),
        input_bits=config["input_bits"],
        cell_bits=_cell_bits(config),
        dac_bits=config["input_bits"] if whole else config["input_slice_bits"],
        inputs="sign_magnitude" if config["input_signed"] else "unsigned",
        subtract="analog" if config["analog_subtract"] else "digital",
        input_accumulation="digital" if config["adc_per_ibit"] or whole else "analog",
        converter=converter(config),
    )


def converter(config: Config) -> Converter | None:
    """Its converter; None where sums are exact."""
    if not config["adc_bits"]:
        return None
    models = {"QuantizerADC": "mid_tread", "SignMagnitudeADC": "sign_magnitude"}
    made = Converter(config["adc_bits"], models[config["adc_model"]])
    assert made.codes == config["crosssim_adc_min_max_levels"][2]
    return made


def ranges(config: Config) -> Ranges | None:
    """The limits are fractions of what one row gives with its cell and its input at the highest."""
    if not config["adc_bits"]:
        return None
    low, high, codes = map(Fraction, config["crosssim_adc_min_max_levels"])
    top = _top_level(config) * _top_input(config)
    step = Fraction(config.get("adc_lsb_units") or top * (high - low) / (codes - 1))
    return Ranges.of(float(low * step * (codes - 1) / (high - low)), float(step))


def _cell_bits(config: Config) -> int:
    """Of a weight in one slice the cell has all bits, of a balanced one all but the sign."""
    bits: int = config["cell_bits"]
    if config["num_slices"] > 1:
        return bits
    return int(config["weight_bits"]) - (config["mapping"] == "BALANCED")


def _top_level(config: Config) -> int:
    levels: int = 2 ** _cell_bits(config)
    return levels - 1


def _top_input(config: Config) -> int:
    """Of what is converted at once: an input slice, or a whole input."""
    magnitude = config["input_bits"] - config["input_signed"]
    at_once = config["adc_per_ibit"] and config["input_bitslicing"]
    levels: int = 2 ** (config["input_slice_bits"] if at_once else magnitude)
    return levels - 1


def sections(config: Config, inputs: int) -> tuple[Section, ...]:
    """All rows of an array are read at once."""
    arrays = -(-inputs // config["rows"])
    rows = inputs // arrays if inputs % arrays == 0 else config["rows"]
    return sections_of(inputs, rows, rows)


def gain(config: Config) -> float:
    """An offset weight in a single slice is scaled to a level less than its cell has."""
    if config["mapping"] != "OFFSET" or config["num_slices"] > 1:
        return 1.0
    levels: int = 2 ** config["weight_bits"]
    return (levels - 2) / (levels - 1)
