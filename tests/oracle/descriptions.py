"""Tiny chips, each with something that the others have not."""

from __future__ import annotations

import re
from collections.abc import Callable
from random import Random

BARE = """
from std import crossbar, dac, adc, sample_hold
system Bare {
    clock = 1 GHz
    part dac[64]: dac { bits = 2 }
    part x[4]: crossbar {
        rows = 16, columns = 12, cell_bits = 2, encoding = signed_cell
        action read { latency = 3 ns }
    }
    part adc[8]: adc { rate = 1 GHz }
    connect dac[*] -> x[*] -> adc[*]
}
"""

HELD = BARE.replace("-> adc[*]", "-> hold[*] -> adc[*]").replace(
    "    connect", "    part hold[48]: sample_hold\n    connect"
)

MACRO = """
from std import crossbar, dac, sample_hold, adc, accumulator, buffer, unit
system Macro {
    clock = 250 MHz
    part weights: buffer { size = 64 KiB, width = 24 bit }
    part input: buffer { size = 2 * 32 * 4 bit, width = 16 bit }
    part dac[6, 32]: dac { bits = 4 }
    part array[6]: crossbar {
        rows = 32, columns = 32, word_lines = 16, cell_bits = 4, encoding = signed_cell
        action read { latency = 4 ns }
        action write { latency = 12 ns }
    }
    part hold[6, 32]: sample_hold
    part adc[6, 8]: adc { bits = 5, rate = 250 MHz }
    part psum: accumulator { bits = 24 }
    part vector: unit { does = [relu, add, max_pool, average_pool], lanes = 2, stages = 3 }
    part maps: buffer { size = 64 KiB, width = 32 bit }
    connect weights -> array[*].write
    connect maps -> input
    connect input -> dac[*, *] -> array[*] -> hold[*, *] -> adc[*, *] -> psum
    connect psum -> vector -> maps
    connect maps -> vector
}
"""

TILES = """
from std import crossbar, dac, sample_hold, adc, shift_add, buffer, unit, bus, mesh, link
component Ima {
    part input: buffer { size = 64 B, width = 32 bit }
    part dac[2, 16]: dac { bits = 1 }
    part xbar[2]: crossbar {
        rows = 16, columns = 16, cell_bits = 2, encoding = flipped
        action read { latency = 20 ns }
        action write { latency = 30 ns }
    }
    part hold[2, 16]: sample_hold
    part adc[2]: adc { bits = 8, rate = 0.9 GHz }
    part add[1]: shift_add { bits = 24 }
    part output: buffer { size = 32 B, width = 16 bit }
    connect input -> dac[*, *] -> xbar[*] -> hold[*, *] -> adc[*] -> add[*] -> output
}
component Tile {
    part edram: buffer { size = 2 KiB, width = 64 bit }
    part bus: bus { width = 24 bit }
    part ima[3]: Ima
    part add: shift_add
    part sigmoid[2]: unit { does = [relu, sigmoid, tanh, mul] }
    part pool: unit { does = [max_pool, average_pool], lanes = 2 }
    part output: buffer { size = 128 B, width = 32 bit }
    connect edram -> bus -> ima[*].input
    connect ima[*].output -> bus -> add -> sigmoid[*] -> pool -> output -> edram
}
system Tiles {
    clock = 1 GHz
    part tile[2, 2]: Tile
    part noc: mesh { nodes = 4, width = 8 bit }
    part hyper[2]: link { width = 16 bit, rate = 0.8 GHz }
    connect tile[*, *].edram <-> noc <-> hyper[*]
}
"""

LINKED = """
from std import crossbar, dac, adc, buffer, unit, link, accumulator
system Linked {
    clock = 500 MHz
    part port: link { width = 8 bit, rate = 250 MHz }
    part host: link { width = 16 bit, rate = 500 MHz }
    part maps: buffer { size = 4 KiB, width = 64 bit }
    part dac[2, 20]: dac { bits = 4 }
    part x[2]: crossbar {
        rows = 20, columns = 12, cell_bits = 4, encoding = differential
        action read { latency = 4 ns }
        action write { latency = 20 ns }
    }
    part adc[2, 3]: adc { rate = 0.5 GHz }
    part acc: accumulator { bits = 20 }
    part vec: unit { does = [relu, add, max_pool, average_pool], ii = 2 cycle }
    connect port -> x[*].write
    connect host <-> maps -> dac[*, *] -> x[*] -> adc[*, *] -> acc -> vec -> maps
    connect maps -> vec
    connect maps -> acc
}
"""

ANALOG = """
from std import crossbar, dac, sample_hold, adc, shift_add, buffer, unit
system Analog {
    clock = 500 MHz
    part maps: buffer { size = 4 KiB, width = 64 bit }
    part dac[6, 20]: dac { bits = 1 }
    part x[6]: crossbar {
        rows = 20, columns = 16, word_lines = 6, cell_bits = 4, encoding = differential
        subtract = analog, input_accumulation = analog, inputs = sign_magnitude
        action read { latency = 2 ns }
    }
    part hold[6, 16]: sample_hold
    part adc[6, 2]: adc {
        rate = 0.25 GHz, mux = interleaved
        action convert { latency = 10 ns }
    }
    part acc[3]: shift_add { action add { latency = 6 ns } }
    part vec: unit { does = [relu, add, max_pool, average_pool], clock = 200 MHz }
    connect maps -> dac[*, *] -> x[*] -> hold[*, *] -> adc[*, *] -> acc[*] -> vec -> maps
    connect maps -> vec
}
"""

DIGITAL = """
from std import digital_array, buffer, unit, bus, adder_tree
system Digital {
    clock = 500 MHz
    part maps: buffer { size = 4 KiB, width = 64 bit }
    part bus: bus { width = 24 bit }
    part stage[4]: buffer { size = 32 B, width = 8 bit }
    part x[4]: digital_array {
        rows = 20, columns = 16, cell_bits = 4, encoding = signed_cell, word_lines = 5
        action read { latency = 2 ns }
    }
    part tree: adder_tree
    part vec: unit { does = [relu, add, max_pool, average_pool] }
    connect maps -> bus -> stage[*] -> x[*] -> tree -> vec -> maps
    connect maps -> vec
}
"""

CHIPS = {
    "bare": BARE,
    "bare, fractions of cycles": BARE.replace("3 ns", "2.4 ns").replace("= 1 GHz }", "= 1.3 GHz }"),
    "hold": HELD,
    "hold, slow reads": HELD.replace("3 ns", "9 ns"),
    "hold, fractions of cycles": HELD.replace("3 ns", "2.4 ns").replace("= 1 GHz }", "= 1.3 GHz }"),
    "shared converters": BARE.replace("adc[8]", "adc[2]"),
    "shared converters, hold": HELD.replace("adc[8]", "adc[2]"),
    "macro": MACRO,
    "macro, slow staging": MACRO.replace("width = 16 bit", "width = 2 bit").replace(
        "2 * 32 * 4 bit", "32 * 4 bit"
    ),
    "macro, columns kept": MACRO.replace("size = 2 *", "reuse = columns, size = 2 *"),
    "macro, rows kept": MACRO.replace("size = 2 *", "reuse = rows, size = 2 *"),
    "macro, narrow wires": MACRO.replace("maps -> input", "maps -> input { width = 8 bit }"),
    "tiles": TILES,
    "tiles in beats": TILES.replace("component Tile {", "component Tile {\n    beat = 20 ns"),
    "linked": LINKED,
    "linked, written by cells": LINKED.replace(
        "rows = 20,", "rows = 20, write_per = cell, pulses = 2,"
    ),
    "analog": ANALOG,
    "analog, slow maps": ANALOG.replace("size = 4 KiB", "clock = 150 MHz, size = 4 KiB"),
    "digital": DIGITAL,
    "digital, a tree of wires": DIGITAL.replace("bus: bus {", "bus: htree { hop = 3 ns,").replace(
        ", bus", ", htree"
    ),
}
"""By what is special about each."""

ENCODINGS = ("offset", "offset_column", "differential", "twos_complement", "binary")


def any_chip(draw: Random) -> str:
    """One of the chips, with other widths, latencies, word lines, converters and encodings."""
    text = draw.choice([BARE, HELD, MACRO, TILES, LINKED, ANALOG, DIGITAL])
    changes = (
        (1.0, r"width = \d+ bit", lambda _: f"width = {draw.choice([2, 4, 8, 16, 24, 40])} bit"),
        (1.0, r"latency = \d+ ns", lambda _: f"latency = {4 * draw.randint(1, 6)} ns"),
        (1.0, r"word_lines = \d+", lambda _: f"word_lines = {draw.randint(3, 16)}"),
        (1.0, r"lanes = \d+", lambda _: f"lanes = {draw.randint(1, 5)}"),
        (1.0, r"stages = \d+", lambda _: f"stages = {draw.randint(1, 6)}"),
        (0.4, r"dac \{ bits = \d", lambda _: f"dac {{ bits = {draw.randint(1, 4)}"),
        (0.3, r"encoding = \w+", lambda _: f"encoding = {draw.choice(ENCODINGS)}"),
        (0.3, r"mux = interleaved", lambda _: "mux = adjacent"),
        (0.2, r"cell_bits", lambda _: "packing = straddle, cell_bits"),
    )
    for likely, pattern, new in changes:
        if draw.random() < likely:
            text = re.sub(pattern, new, text)
    return text


# Chips for pipelines of rows: SIZE of the buffers that rows are held in is to be filled in

SHARED = """
from std import crossbar, dac, sample_hold, adc, accumulator, buffer, unit, link
system Shared {
    clock = 500 MHz
    part port: link { width = 16 bit, rate = 250 MHz }
    part maps: buffer { size = SIZE, width = 32 bit }
    part input[12]: buffer { size = 48 B, width = 32 bit }
    part dac[12, 40]: dac { bits = 4 }
    part x[12]: crossbar {
        rows = 40, columns = 16, cell_bits = 4, encoding = signed_cell
        action read { latency = 4 ns }
        action write { latency = 6 ns }
    }
    part hold[12, 16]: sample_hold
    part adc[12, 4]: adc { rate = 1 GHz }
    part psum[3]: accumulator { bits = 20 }
    part vec: unit { does = [relu, add, max_pool, average_pool], lanes = 2, stages = 2 }
    connect port -> maps -> input[*] -> dac[*, *] -> x[*] -> hold[*, *] -> adc[*, *] -> psum[*]
    connect psum[*] -> vec -> maps
    connect vec -> port
    connect maps -> vec
    connect port -> x[*].write
}
"""

APART = """
from std import crossbar, adc, accumulator, buffer, unit, bus, host
system Apart {
    clock = 1 GHz
    part desk: host { width = 8 bit, rate = 500 MHz }
    part bus: bus { width = 24 bit }
    part near[6]: buffer { size = SIZE, width = 16 bit }
    part x[12]: crossbar {
        rows = 40, columns = 16, cell_bits = 4, encoding = signed_cell
        action read { latency = 3 ns }
    }
    part adc[12]: adc { rate = 2.5 GHz }
    part psum[6]: accumulator { bits = 20 }
    part vec[6]: unit { does = [relu, add, max_pool, average_pool] }
    connect desk <-> bus -> near[*] -> x[*] -> adc[*] -> psum[*] -> vec[*] -> bus
    connect near[*] -> vec[*]
}
"""

POOLS = """
from std import crossbar, digital_array, dac, adc, accumulator, adder_tree, buffer, unit, link
system Pools {
    clock = 1 GHz
    part port: link { width = 8 bit, rate = 1 GHz }
    part maps: buffer { size = SIZE, width = 32 bit }
    part dac[6, 40]: dac { bits = 2 }
    part x[6]: crossbar {
        rows = 40, columns = 16, cell_bits = 4, encoding = signed_cell
        serves = columns > 3
        action read { latency = 5 ns }
    }
    part adc[6]: adc { rate = 4 GHz }
    part psum: accumulator { bits = 20 }
    part stage: buffer { size = 64 B, width = 16 bit }
    part y[6]: digital_array {
        rows = 40, columns = 16, cell_bits = 4, encoding = signed_cell
        action read { latency = 2 ns }
    }
    part tree: adder_tree
    part vec: unit { does = [relu, add, max_pool, average_pool], lanes = 4 }
    connect port <-> maps -> dac[*, *] -> x[*] -> adc[*] -> psum -> vec -> maps
    connect maps -> stage -> y[*] -> tree -> vec
    connect maps -> vec
}
"""

ROWS = {"shared": SHARED, "apart": APART, "pools": POOLS}
"""By where rows are: in one buffer, in a buffer of each two arrays, read by two kinds of arrays."""


def any_rows(draw: Random) -> str:
    """One of the chips for rows, with other widths and times; SIZE is still to be filled in."""
    text = draw.choice(list(ROWS.values()))
    changes: tuple[tuple[str, Callable[[re.Match[str]], str]], ...] = (
        (r"width = \d+ bit", lambda _: f"width = {draw.choice([4, 8, 16, 24, 40])} bit"),
        (r"latency = \d+ ns", lambda _: f"latency = {2 * draw.randint(1, 20)} ns"),
        (r"lanes = \d+", lambda _: f"lanes = {draw.randint(1, 5)}"),
        (r"size = 48 B", lambda _: f"size = {draw.choice([1, 20, 48])} B"),
        (r"rate = [\d.]+ .Hz", lambda _: f"rate = {draw.choice([100, 250, 500, 1000])} MHz"),
    )
    for pattern, new in changes:
        text = re.sub(pattern, new, text)
    return text
