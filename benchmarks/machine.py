"""The machine that a benchmark ran on, and how busy it was: the first lines of every benchmark."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version


def machine(*packages: str) -> str:
    """Processor, cores, load, and the versions of Python and of `packages`."""
    load = os.getloadavg()[0]
    versions = ", ".join(f"{name} {version(name)}" for name in packages)
    return (
        f"{processor()}, {os.cpu_count()} cores, load {load:.2f} before\n"
        f"Python {platform.python_version()}" + (f", {versions}" if versions else "")
    )


def processor() -> str:
    """The name of the processor, where the system tells it."""
    try:
        with open("/proc/cpuinfo") as lines:
            return next(line.split(":")[1].strip() for line in lines if "model name" in line)
    except (OSError, StopIteration):
        return platform.processor() or "unknown processor"


FEATURES = (
    "avx2",
    "avx512bw",
    "avx512_bitalg",
    "avx512vbmi",
    "avx512_vnni",
    "amx_int8",
    "asimddp",
)
"""Instructions that the arithmetic of products of small whole numbers makes use of."""


def features() -> str:
    """Which of `FEATURES` the processor has, where the system tells it."""
    try:
        with open("/proc/cpuinfo") as lines:
            names = ("flags", "Features")
            found = next((line.split() for line in lines if line.startswith(names)), [])
    except OSError:
        return "its features are not told"
    return "with " + (", ".join(name for name in FEATURES if name in found) or "none of them")


def verdict(value: float, target: float) -> str:
    """`met`, or by how much a time misses the target that it should stay under."""
    return "met" if value <= target else f"missed by {value / target - 1:.0%}"


def verdict_of_rate(rate: float, target: float) -> str:
    """`met`, or by how much a rate misses the target that it should reach."""
    return "met" if rate >= target else f"missed by {1 - rate / target:.0%}"
