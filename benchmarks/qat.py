"""What training behind coarse converters gains: ResNet-20 on the edge macro, untrained and trained.

    python benchmarks/qat.py --data cifar10:PATH --kept FOLDER [--seeds 0,1,2] [--write]

trains `models/resnet20.pt` once for 4-bit weights and inputs with exact sums (LSQ; the first
convolution and the classifier at 8 bits, on exact arrays), then puts converters of 5, 4 and 3 bits
behind the sums: with ranges of every start, batch norms kept and estimated anew, and trained, for
each seed. All test images judge. What is done lies in FOLDER, a line of `results.jsonl` for each
figure, and is not done again; `--table` prints what is there. `--write` puts the table on the page.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import cimarch
from cimarch.optimize.frame.going import Going
from cimarch.optimize.frame.model import Model
from cimarch.optimize.inloop.qat import Qat, qat

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "optimize.md"
BLOCK = re.compile(r"(```text\n\$ python benchmarks/qat\.py .*\n)(?:.*\n)*?(```)")
CHIP = "edge_macro:EdgeMacroDigital"
BITS = (5, 4, 3)
LSQ = Qat(images=16_000, epochs_scales=4, rate=0.02, converters="off")
BEHIND = {
    "images": 8_000, "epochs_scales": 0, "epochs_converters": 2, "rate_converters": 0.01,
    "reestimate": 1_000,
}  # fmt: skip
STARTS = (("full_range", "full range"), ("min_max", "min-max"), ("mse", "MSE"))


def main() -> None:
    """Do what is not done yet, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", help="cifar10:PATH")
    parser.add_argument("--kept", required=True, type=Path, help="the folder of what is done")
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--table", action="store_true", help="only print what is there")
    parser.add_argument("--write", action="store_true", help="put the table on the page")
    asked = parser.parse_args()
    seeds = [int(each) for each in asked.seeds.split(",")]
    results = Results(asked.kept / "results.jsonl")
    if not asked.table:
        asked.kept.mkdir(parents=True, exist_ok=True)
        Runs(asked.data, asked.kept, results).all(seeds)
    text = "\n".join(table(results)) + "\n"
    print(text, end="")
    if asked.write:
        command = "$ python benchmarks/qat.py --data cifar10:PATH --kept FOLDER\n"
        page = PAGE.read_text()
        PAGE.write_text(BLOCK.sub(lambda m: f"```text\n{command}{text}{m[2]}", page))


class Results:
    """Figures, a line of JSON each."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def all(self, **named: Any) -> list[dict[str, Any]]:
        """Those whose fields have some values."""
        lines = self.place.read_text().splitlines() if self.place.exists() else []
        rows = [json.loads(line) for line in lines]
        return [row for row in rows if all(row.get(k) == v for k, v in named.items())]

    def add(self, **row: Any) -> None:
        """Keep one."""
        with self.place.open("a") as file:
            file.write(json.dumps(row) + "\n")


class Runs:
    """The runs, each done once."""

    def __init__(self, data: str, kept: Path, results: Results) -> None:
        self.data, self.kept, self.results = data, kept, results

    def all(self, seeds: list[int]) -> None:
        """Every run, the first seed whole before the next."""
        start = self.lsq()
        for seed in seeds:
            for bits in BITS:
                self.behind(start, bits, seed)

    def lsq(self) -> Model:
        """The model with exact sums."""
        file = self.kept / "lsq.adapted"
        if not file.exists():
            model = str(ROOT / "models" / "resnet20.pt")
            system = cimarch.load(CHIP)
            found, record = qat(model, system, self.data, LSQ, Going(kept=self.kept / "lsq"))
            found.save(file)
            self.results.add(job="lsq", seed=0, test=record.after.accuracy_quantised)
        return Model.of(file)

    def behind(self, start: Model, bits: int, seed: int) -> None:
        """The model behind converters of so many bits, before and after training."""
        if self.results.all(job="converters", bits=bits, seed=seed):
            return
        judged = bool(self.results.all(job="untrained", bits=bits))
        system = cimarch.load(CHIP, set={"macro.adc.bits": str(bits)})
        asked = Qat(seed=seed, untrained=not judged, **BEHIND)
        going = Going(kept=self.kept / f"{bits}_{seed}")
        found, record = qat(start, system, self.data, asked, going)
        found.save(self.kept / f"{bits}_{seed}.adapted")
        for row in record.details.get("untrained", ()):
            self.results.add(job="untrained", bits=bits, **row)
        self.results.add(
            job="converters", bits=bits, seed=seed, test=record.after.accuracy_chip,
            details=dict(record.details),
        )  # fmt: skip


def table(results: Results) -> Iterator[str]:
    """A row for each variant, a column for each number of converter bits."""
    exact = results.all(job="lsq", seed=0)[-1]["test"]
    yield f"LSQ 4/4, sums exact: {exact:.2f} %"
    yield ""
    yield f"  {'':<30}" + "".join(f"{bits} bits".rjust(26) for bits in BITS)
    for start, told in STARTS:
        for images, norms in ((0, "norms kept"), (1000, "norms anew")):
            cells = [_untrained(results, exact, bits, start, images) for bits in BITS]
            yield f"  {f'{told}, {norms}':<30}" + "".join(cell.rjust(26) for cell in cells)
    cells = [_trained(results, exact, bits) for bits in BITS]
    yield f"  {'trained':<30}" + "".join(cell.rjust(26) for cell in cells)
    yield ""
    yield f"  {'codes never used / range never reached':<30}"
    for start, told in STARTS:
        cells = [_untrained_use(results, bits, start) for bits in BITS]
        yield f"  {f'{told}, norms kept':<30}" + "".join(cell.rjust(26) for cell in cells)
    cells = [_use(results, bits) for bits in BITS]
    yield f"  {'trained':<30}" + "".join(cell.rjust(26) for cell in cells)


def _untrained(results: Results, exact: float, bits: int, start: str, images: int) -> str:
    rows = results.all(job="untrained", bits=bits, start=start, batch_norm_images=images)
    if not rows:
        return "-"
    right = rows[-1]["accuracy_chip"]
    return f"{right:.2f} % ({right - exact:+.2f})"


def _trained(results: Results, exact: float, bits: int) -> str:
    """The mean of all seeds, its difference, and the standard deviation between seeds."""
    found = [row["test"] for row in results.all(job="converters", bits=bits)]
    if not found:
        return "-"
    mean = statistics.mean(found)
    spread = f" +- {statistics.stdev(found):.2f}" if len(found) > 1 else ""
    return f"{mean:.2f}{spread} % ({mean - exact:+.2f})"


def _untrained_use(results: Results, bits: int, start: str) -> str:
    rows = results.all(job="untrained", bits=bits, start=start, batch_norm_images=0)
    return _shares([row for row in rows if "dead" in row][-1:])


def _use(results: Results, bits: int) -> str:
    """The mean over layers and seeds."""
    rows = results.all(job="converters", bits=bits)
    return _shares(each for row in rows for each in row["details"]["converters"].values())


def _shares(rows: Iterable[dict[str, Any]]) -> str:
    pairs = [(row["dead"], row["unused"]) for row in rows]
    if not pairs:
        return "-"
    dead, unused = (100 * statistics.mean(each) for each in zip(*pairs, strict=True))
    return f"{dead:.1f} % / {unused:.1f} %"


if __name__ == "__main__":
    main()
