"""What is too large or of the wrong type is told, before it fills the memory."""

from __future__ import annotations

import numpy as np
import pytest

import cimarch
from chips import chip, table
from cimarch import DescriptionError, simulate
from cimarch.hardware.system import System


def one(read: str = "1 ns", arrays: int = 1, more: str = "") -> System:
    return chip(f"""
    part array[{arrays}]: crossbar {{
        rows = 16
        columns = 16
        cell_bits = 8
        encoding = signed_cell
        action read {{ latency = {read} }}
    }}
    {more}
    """)


@pytest.mark.parametrize("read", ["1e8 s", "1e10 s"])
def test_a_task_longer_than_the_engines_count_is_told(read: str) -> None:
    with pytest.raises(DescriptionError, match="one task would take"):
        simulate(one(read), table((10, 10, 100)))


def test_a_run_of_too_many_tasks_is_told() -> None:
    with pytest.raises(DescriptionError, match="tasks or more"):
        simulate(one(), table((10, 10, 10**12)))
    with pytest.raises(DescriptionError, match="the run has 1000000000 pieces of work"):
        simulate(one(), table((10, 10, 10)), batch=10**9)


def test_whole_numbers_of_numpy_are_whole_numbers() -> None:
    found = simulate(one(), table((10, 10)), batch=np.int64(2), weight_bits=np.int64(4))
    assert found.cycles == 2


@pytest.mark.parametrize("batch", [2.5, True, None, 0, -1])
def test_a_batch_that_is_none_is_told(batch: object) -> None:
    with pytest.raises(DescriptionError, match="`batch` is"):
        simulate(one(), table((10, 10)), batch=batch)


@pytest.mark.parametrize("network", [None, "models/resnet20.pt", object()])
def test_what_is_no_network_is_told(network: object) -> None:
    with pytest.raises(DescriptionError, match=r"not a `cimarch\.Network`"):
        simulate(one(), network)


def test_an_engine_that_does_not_exist_is_told() -> None:
    for engine in ("slow", ["fast"]):
        with pytest.raises(DescriptionError, match="`engine` is"):
            simulate(one(), table((10, 10)), engine=engine)


def test_a_precision_file_that_names_a_layer_twice_is_told(tmp_path) -> None:
    path = tmp_path / "bits.json"
    path.write_text('{"l1": [4, 4], "l1": [5, 5]}')
    with pytest.raises(DescriptionError, match="names `l1` twice"):
        simulate(one(), table((10, 10)), precision=str(path))


def test_work_that_is_left_out_is_not_credited() -> None:
    # Two linears of 5 x 3 x 4 are 120 multiply-accumulates; their product with each other, of
    # 5 x 4 x 5, is no weight's and is left out where a system has units, but none that multiplies.
    torch = pytest.importorskip("torch")

    class Scores(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a = torch.nn.Linear(3, 4)
            self.b = torch.nn.Linear(3, 4)

        def forward(self, x):
            return self.a(x) @ self.b(x).transpose(1, 2)

    network = cimarch.trace(Scores(), torch.zeros(1, 5, 3))
    system = one(arrays=2, more="part relu: unit { does = [relu] }\nconnect array[*] -> relu")
    assert simulate(system, network, allow_unmapped=True).macs == 120


def test_a_weight_that_two_layers_share_is_placed_for_each_and_told() -> None:
    torch = pytest.importorskip("torch")

    class Twice(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a = torch.nn.Linear(4, 4)

        def forward(self, x):
            return self.a(self.a(x))

    found = simulate(one(arrays=2), cimarch.trace(Twice(), torch.zeros(1, 4)))
    assert found.crossbars == 2
    assert any("which share it" in line for line in found.assumed)
