"""Windows, products, conversions and writes of every layer, against closed forms from the papers.

The shapes are written down here from the papers' tables, not taken from the networks; a chip is the
few numbers that its counts depend on. So a layer's counts are arithmetic that can be done by hand:
products = windows x tiles, conversions = windows x steps x row blocks x sense lines, one write a
tile.
"""

from collections.abc import Iterator

import attrs
import pytest

import cimarch
from cimarch.workload import zoo
from cimarch.workload.shapes import shapes_only


@attrs.frozen
class Layer:
    """A matrix product: of `groups` matrices, in `side` x `side` positions of the output map."""

    outputs: int
    inputs: int
    kernel: int = 1
    side: int = 1
    groups: int = 1

    @property
    def rows(self) -> int:
        return self.inputs // self.groups * self.kernel**2

    @property
    def columns(self) -> int:
        return self.outputs // self.groups


@attrs.frozen
class Chip:
    """What the counts of a chip depend on, at 8-bit weights and inputs."""

    rows: int
    columns: int
    slices: int
    """Cells of a weight, side by side, each with a sense line."""
    steps: int
    """Input steps of a product."""
    settings: dict

    def tiles(self, layer: Layer) -> int:
        across = -(-layer.columns // (self.columns // self.slices))
        down = -(-layer.rows // self.rows)
        if layer.groups > 1:  # depthwise: blocks on the diagonal, as many as fit
            assert layer.columns == across == down == 1
            fit = min(self.rows // layer.rows, self.columns // self.slices)
            return -(-layer.groups // fit)
        return across * down

    def conversions(self, layer: Layer) -> int:
        """Of one window: every sense line of every row block, once in each step."""
        down = -(-layer.rows // self.rows)
        return self.steps * down * layer.outputs * self.slices


ROOM = {"weights.size": "256 MiB", "maps.size": "64 MiB"}
CHIPS = {
    "isaac": Chip(128, 128, slices=4, steps=8, settings={}),  # 2-bit cells, 1-bit inputs
    "edge_macro": Chip(256, 256, slices=2, steps=2, settings=ROOM),  # 4-bit cells and inputs
}


def plain(blocks: int) -> Iterator[Layer]:
    """He et al., section 4.2: stages of 16, 32 and 64 channels, shortcuts without parameters."""
    yield Layer(16, 3, 3, 32)
    inputs = 16
    for channels, side in ((16, 32), (32, 16), (64, 8)):
        for _ in range(blocks):
            yield Layer(channels, inputs, 3, side)
            yield Layer(channels, channels, 3, side)
            inputs = channels
    yield Layer(10, 64)


def stages(side: int) -> Iterator[tuple[int, int, bool]]:
    """Channels and map of table 1's four stages, and whether the stage halves the map before."""
    for index, channels in enumerate((64, 128, 256, 512)):
        yield channels, side >> index, index > 0


def basic(blocks: tuple[int, ...], side: int, stem: Layer, classes: int) -> Iterator[Layer]:
    """He et al., table 1, with blocks of two 3 x 3 convolutions."""
    yield stem
    inputs = 64
    for (channels, size, _), count in zip(stages(side), blocks, strict=True):
        for _ in range(count):
            yield Layer(channels, inputs, 3, size)
            yield Layer(channels, channels, 3, size)
            if inputs != channels:
                yield Layer(channels, inputs, 1, size)
            inputs = channels
    yield Layer(classes, 512)


def bottlenecks(side: int, stem: Layer, classes: int, *, late: bool) -> Iterator[Layer]:
    """He et al., table 1, with bottlenecks; `late`: the 3 x 3 convolution halves the map."""
    yield stem
    inputs = 64
    for (channels, size, halves), count in zip(stages(side), (3, 4, 6, 3), strict=True):
        for index in range(count):
            before = 2 * size if late and halves and index == 0 else size
            yield Layer(channels, inputs, 1, before)
            yield Layer(channels, channels, 3, size)
            yield Layer(4 * channels, channels, 1, size)
            if index == 0:
                yield Layer(4 * channels, inputs, 1, size)
            inputs = 4 * channels
    yield Layer(classes, 2048)


def inverted(sides: tuple[int, ...], classes: int) -> Iterator[Layer]:
    """Sandler et al., table 2: (expansion, channels, blocks), and the map of each stage."""
    yield Layer(32, 3, 3, sides[0])
    inputs, before = 32, sides[0]
    table = ((1, 16, 1), (6, 24, 2), (6, 32, 3), (6, 64, 4), (6, 96, 3), (6, 160, 3), (6, 320, 1))
    for (expansion, channels, blocks), side in zip(table, sides[1:], strict=True):
        for _ in range(blocks):
            wide = inputs * expansion
            if expansion > 1:
                yield Layer(wide, inputs, 1, before)
            yield Layer(wide, wide, 3, side, groups=wide)
            yield Layer(channels, wide, 1, side)
            inputs, before = channels, side
    yield Layer(1280, 320, 1, before)
    yield Layer(classes, 1280)


def pooled(stages: str, side: int, head: tuple[int, ...]) -> Iterator[Layer]:
    """Simonyan & Zisserman, table 1: channels by stage, a pooling after each, then the head."""
    inputs = 3
    for stage in stages.split("/"):
        for channels in map(int, stage.split()):
            yield Layer(channels, inputs, 3, side)
            inputs = channels
        side //= 2
    inputs *= side * side
    for width in head:
        yield Layer(width, inputs)
        inputs = width


LARGE, SMALL = Layer(64, 3, 7, 112), Layer(64, 3, 3, 32)
A = "64/128/256 256/512 512/512 512"
D = "64 64/128 128/256 256 256/512 512 512/512 512 512"
NETWORKS = {
    "mlp": [Layer(256, 784), Layer(128, 256), Layer(10, 128)],
    "digits": [Layer(16, 1, 3, 8), Layer(32, 16, 3, 4), Layer(32, 32, 3, 2), Layer(10, 128)],
    "resnet20": list(plain(3)),
    "resnet32": list(plain(5)),
    "resnet44": list(plain(7)),
    "resnet56": list(plain(9)),
    "resnet18": list(basic((2, 2, 2, 2), 56, LARGE, 1000)),
    "resnet34": list(basic((3, 4, 6, 3), 56, LARGE, 1000)),
    "resnet50": list(bottlenecks(56, LARGE, 1000, late=False)),
    "resnet50_v15": list(bottlenecks(56, LARGE, 1000, late=True)),
    "resnet18_cifar": list(basic((2, 2, 2, 2), 32, SMALL, 10)),
    "resnet34_cifar": list(basic((3, 4, 6, 3), 32, SMALL, 10)),
    "resnet50_cifar": list(bottlenecks(32, SMALL, 10, late=True)),
    "mobilenetv2": list(inverted((112, 112, 56, 28, 14, 14, 7, 7), 1000)),
    "mobilenetv2_cifar": list(inverted((32, 32, 32, 16, 8, 8, 4, 4), 10)),
    "vgg7": list(pooled("64 64/128 128/256 256", 32, (10,))),
    "vgg8": list(pooled("128 128/256 256/512 512", 32, (1024, 10))),
    "vgg11": list(pooled(A, 32, (512, 512, 10))),
    "vgg16": list(pooled(D, 224, (4096, 4096, 1000))),
    "vgg16_cifar": list(pooled(D, 32, (512, 512, 10))),
}
LONG = {
    ("isaac", name)
    for name in ("resnet18", "resnet34", "resnet50", "resnet50_v15", "resnet34_cifar",
                 "resnet50_cifar", "mobilenetv2", "vgg8", "vgg16")
} | {
    ("edge_macro", name)
    for name in ("resnet18", "resnet34", "resnet50", "resnet50_v15", "mobilenetv2", "vgg16")
}  # fmt: skip
"""Runs of more than about two seconds."""
CASES = [
    pytest.param(chip, name, marks=[pytest.mark.long] if (chip, name) in LONG else [])
    for chip in CHIPS
    for name in NETWORKS
    if (chip, name) != ("isaac", "vgg16")  # 5 GB
]


def products(network):
    return [operation for operation in network.operations if operation.macs]


def counts(layer: Layer, chip: Chip) -> dict[str, int]:
    windows = layer.side**2
    return {
        "windows": windows,
        "rows": layer.rows,
        "columns": layer.columns,
        "tiles": chip.tiles(layer),
        "products": windows * chip.tiles(layer),
        "conversions": windows * chip.conversions(layer),
        "writes": chip.tiles(layer),
    }


def test_the_list_of_networks_is_complete():
    assert set(zoo.models().MODELS) == set(NETWORKS)


@pytest.mark.parametrize("name", NETWORKS)
def test_the_shapes_of_a_network_are_those_of_its_paper(name):
    found = [(o.rows, o.columns, o.groups, o.windows) for o in products(shapes_only(name))]
    assert found == [(x.rows, x.columns, x.groups, x.side**2) for x in NETWORKS[name]]


@pytest.mark.parametrize(("chip", "name"), CASES)
def test_every_layers_counts_are_its_geometrys(chip, name):
    settings = dict(CHIPS[chip].settings)
    system = cimarch.load(chip, set=settings)
    report = cimarch.simulate(system, shapes_only(name), weights="cold")
    table = report.layers
    matrices = [index for index, rows in enumerate(table["rows"]) if rows]
    expected = [counts(layer, CHIPS[chip]) for layer in NETWORKS[name]]
    found = [{key: int(table[key][index]) for key in expected[0]} for index in matrices]
    assert found == expected
    assert sum(layer["conversions"] for layer in expected) == sum(table["conversions"])


# Schedules, copies, word lines ------------------------------------------------------------------


SMALL = ("mlp", "resnet20", "mobilenetv2_cifar")


def simulated(chip, name, **options):
    given = dict(CHIPS[chip].settings) | options.pop("set", {})
    system = cimarch.load(chip, set=given)
    return cimarch.simulate(system, shapes_only(name), weights="cold", **options)


def found(report, *columns):
    table = report.layers
    matrices = [index for index, rows in enumerate(table["rows"]) if rows]
    return [tuple(int(table[key][index]) for key in columns) for index in matrices]


def total(report, part, action):
    ledger = zip(
        report.ledger["part"], report.ledger["action"], report.ledger["count"], strict=True
    )
    return sum(int(count) for path, done, count in ledger if (path, done) == (part, action))


@pytest.mark.parametrize("schedule", ["layers", "pipeline"])
@pytest.mark.parametrize(
    ("chip", "name"),
    [("edge_macro", name) for name in SMALL]
    + [
        ("isaac", "mlp"),
        pytest.param("isaac", "resnet20", marks=pytest.mark.long),
        pytest.param("isaac", "mobilenetv2_cifar", marks=pytest.mark.long),
    ],
)
def test_no_schedule_and_no_batch_changes_a_layers_counts(chip, name, schedule):
    once = [counts(layer, CHIPS[chip]) for layer in NETWORKS[name]]
    expected = [(2 * each["products"], 2 * each["conversions"]) for each in once]
    report = simulated(chip, name, schedule=schedule, batch=2)
    assert [pair[0] for pair in expected] == [row[0] for row in found(report, "products")]
    assert sum(pair[1] for pair in expected) == sum(report.layers["conversions"])


@pytest.mark.parametrize("schedule", ["layers", "pipeline"])
def test_copies_are_written_each_and_share_the_windows(schedule):
    # 3 copies of every layer of ResNet-20 that has so many windows: all but the last.
    network, chip = shapes_only("resnet20"), CHIPS["isaac"]
    copies = {o.name: min(3, o.windows) for o in products(network)}
    report = simulated("isaac", "resnet20", schedule=schedule, duplicate=copies)
    expected = []
    for layer in NETWORKS["resnet20"]:
        once, each = counts(layer, chip), min(3, layer.side**2)
        expected.append((each, each * once["tiles"], once["products"], each * once["writes"]))
    assert found(report, "copies", "tiles", "products", "writes") == expected
    conversions = sum(counts(layer, chip)["conversions"] for layer in NETWORKS["resnet20"])
    assert sum(report.layers["conversions"]) == conversions


def groups(layer, lines, rows):
    """Groups of word lines of a window: of full arrays of rows, and of the last one."""
    full, rest = divmod(layer.rows, rows)
    across = -(-layer.columns // 32)  # 128 columns, 4 a weight
    return across * (full * -(-rows // lines) + -(-rest // lines))


def test_half_the_word_lines_take_twice_the_groups_and_spread_rows_undo_it():
    """ISAAC with 64 of 128 word lines at once: a tile of more than 64 rows takes two groups.
    Spread, it lies on two arrays, and each product takes one."""
    layers, few = NETWORKS["resnet20"], {"tile.ima.xbar.word_lines": 64}
    one = sum(8 * layer.side**2 * groups(layer, 128, 128) for layer in layers)
    two = sum(8 * layer.side**2 * groups(layer, 64, 128) for layer in layers)
    # rows: 27, 144, 288, 576 and 64; 1, 2, 3, 5 and 1 groups of 128, 1, 3, 5, 9 and 1 of 64
    shapes = [(groups(Layer(16, rows), 128, 128), groups(Layer(16, rows), 64, 128))
              for rows in (27, 144, 288, 576, 64)]  # fmt: skip
    assert shapes == [(1, 1), (2, 3), (3, 5), (5, 9), (1, 1)]
    whole = simulated("isaac", "resnet20")
    half = simulated("isaac", "resnet20", set=few)
    spread = simulated("isaac", "resnet20", set=few, spread_rows=True)
    reads = [total(report, "tile.ima.xbar", "read") for report in (whole, half, spread)]
    assert reads == [one, two, two]
    tiles = [row[0] for row in found(spread, "tiles")]
    assert tiles == [groups(layer, 64, 64) for layer in layers]
    assert sum(spread.layers["conversions"]) == sum(half.layers["conversions"])
    assert spread.cycles < half.cycles
