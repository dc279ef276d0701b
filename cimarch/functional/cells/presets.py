"""Devices by name: published parameters, each with where they come from.

`read` says that numbers were read in the source that is named; `unverified`, that they are recalled
from it. What a source does not give stays ideal.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@attrs.frozen
class Preset:
    """The parameters of one kind of device."""

    name: str
    source: str
    curves: dict[str, Callable[[Floats], Floats]] = attrs.field(factory=dict)
    """Tables of levels, as functions of the conductance over the full one."""
    fixed: dict[str, float | str] = attrs.field(factory=dict)

    def values(self, top: int) -> dict[str, Any]:
        """The parameters of cells of levels 0 to `top`."""
        shares = np.arange(top + 1) / top
        tables = {name: tuple(map(float, curve(shares))) for name, curve in self.curves.items()}
        return {**self.fixed, **tables}


def _polynomial(*coefficients: float, over: float) -> Callable[[Floats], Floats]:
    """sum of c_i g^i, never negative, over the full conductance of the fit."""

    def curve(share: Floats) -> Floats:
        powers = share[:, None] ** np.arange(len(coefficients))
        made: Floats = np.maximum(powers @ np.array(coefficients), 0.0) / over
        return made

    return curve


def _logarithmic(
    slope: float, at_full: float, low: float, high: float
) -> Callable[[Floats], Floats]:
    """slope x ln(g) + at_full, held between two ends."""

    def curve(share: Floats) -> Floats:
        made: Floats = np.clip(slope * np.log(np.maximum(share, 1e-7)) + at_full, low, high)
        return made

    return curve


def _saturating(most: float, scale: float, over: float) -> Callable[[Floats], Floats]:
    """most x (1 - exp(-I / scale)), over the full current of the fit."""

    def curve(share: Floats) -> Floats:
        made: Floats = most / over * (1 - np.exp(-share * over / scale))
        return made

    return curve


def _pcm_reads(share: Floats) -> Floats:
    """1/f noise from a read pulse of 250 ns to 20 s after writing, a share of the full conductance:
    g x min(0.2, 0.0088 / g^0.65) x sqrt(ln((t + 250 ns) / (2 x 250 ns)))."""
    relative = np.minimum(0.2, 0.0088 / np.maximum(share**0.65, 1e-3))
    made: Floats = share * relative * np.sqrt(np.log((20 + 250e-9) / 500e-9))
    return made


PRESETS: dict[str, Preset] = {
    preset.name: preset
    for preset in (
        Preset("ideal", "none: no cell errs"),
        Preset(
            "reram",
            "deviation from the target 1 s after writing, against conductance, up to 40 uS: the "
            "fit of the figures of Wan et al., Nature 608 (2022), in IBM's aihwkit, reram.py "
            "(read); read noise of 1 %: the same file (read)",
            {"program_noise_table": _polynomial(0.348, 16.030, -43.853, 45.393, -16.815, over=40)},
            {"read_noise": 0.01, "on_resistance": 25e3},
        ),
        Preset(
            "pcm",
            "programming noise, drift and 1/f noise against conductance, up to 25 uS: the fits of "
            "Nandakumar et al., ICECS 2019, and Joshi et al., Nature Communications 11 (2020), in "
            "IBM's aihwkit, pcm.py (read)",
            {
                "program_noise_table": _polynomial(0.26348, 1.9650, -1.1731, over=25),
                "drift_table": _logarithmic(-0.0155, 0.0244, 0.049, 0.1),
                "drift_spread_table": _logarithmic(-0.0125, -0.0059, 0.008, 0.045),
                "read_noise_table": _pcm_reads,
            },
            {"drift_from": 20.0, "age": 20.0, "on_resistance": 40e3},
        ),
        Preset(
            "sram",
            "mismatch of metal capacitors of 1 fF or more, where cells share charge, of about 1 % "
            "(unverified, of the order that charge-domain macros such as Valavi et al., JSSC 2019, "
            "report)",
            {},
            {"program_noise": 0.01, "program_noise_kind": "proportional"},
        ),
        Preset(
            "sonos",
            "spread of written cells and read noise against current, up to 1.6 uA: the fits of "
            "Agrawal et al., IEDM 2022, in Sandia's CrossSim, SONOS.py (read)",
            {
                "program_noise_table": _saturating(19.88665, 176.3115, over=1600),
                "read_noise_table": _saturating(12.58037, 215.36557, over=1600),
            },
        ),
        Preset(
            "fefet",
            "on/off ratio 100 and 5 % variation of the current from device to device (unverified, "
            "of the order of Soliman et al., Nature Communications 14 (2023))",
            {},
            {
                "program_noise": 0.05,
                "program_noise_kind": "proportional",
                "on_off_ratio": 100.0,
                "off_current": "analog",
            },
        ),
    )
}
"""By the word of `device_model`."""
