"""The result of an evaluation: how often three models are right, and where the chip departs.

Plain frozen data, as a report is. Shares are of 1; what each column of the layers means is in
`LAYERS`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import attrs

from cimarch import __version__
from cimarch.report.columns import Columns, checked, to_rows
from cimarch.report.definitions import NAN, Column
from cimarch.report.statistics import Interval, over_trials

if TYPE_CHECKING:
    import pandas

SCHEMA = "cimarch.evaluation/1"

LAYERS = (
    Column("name", "text", "operation with a stored weight matrix that lies on arrays; a row for"
           " each precision of its strips, where they have several"),
    Column("path", "text", "what computed it: `lossless` (one exact integer product), `bit planes`,"
           " `products` or `reference`, all with the same numbers; two of them where some outputs"
           " alone are lossless"),
    Column("weight_bits", "int", "precision of the weights"),
    Column("input_bits", "int", "precision of the inputs"),
    Column("encoding", "text", "how cells keep the sign of a weight"),
    Column("converter_bits", "int", "of its converters; 0 where there is none", 0),
    Column("range_low", "float", "least low end of its converters' ranges, in units", NAN),
    Column("range_high", "float", "greatest high end of its converters' ranges, in units", NAN),
    Column("step", "float", "largest step of its converters, in units", NAN),
    Column("range_source", "text", "where its ranges come from"),
    Column("conversions", "int", "conversions of one inference"),
    Column("clipped", "float", "share of conversions whose sum lay outside the range", NAN),
    Column("rounded", "float", "share of conversions whose sum lay inside the range and whose code"
           " stands for another number", NAN),
    Column("overflowed", "float", "share of sums in adders of limited width that did not fit", NAN),
    Column("error", "float", "power of the difference between the operation's result and the exact"
           " product of the same inputs, over the power of that product; 0: equal", NAN),
    Column("error_to_here", "float", "power of the difference between the operation's result on the"
           " chip and in the quantised model, over the power of the latter: with what operations"
           " before it did", NAN),
    Column("input_density", "float", "mean level that enters the word lines over the highest, over"
           " all used rows and input steps, signs left aside", NAN),
    Column("weight_density", "float", "mean level of the cells that hold its weights over the"
           " highest, signs left aside", NAN),
)  # fmt: skip
"""The columns of the table of layers."""


@attrs.frozen
class Score:
    """How well one model did."""

    judged: int
    """Images, or tokens."""
    top1: Interval
    """Share whose label is the answer."""
    top5: float | None = None
    """Share whose label is among the five best; None with fewer than ten classes."""
    loss: float | None = None
    """Mean of -ln(probability of the label), nats; None where no answer has a probability."""

    @property
    def perplexity(self) -> float | None:
        """e^loss."""
        return None if self.loss is None else math.exp(min(self.loss, 700.0))

    @property
    def bits(self) -> float | None:
        """Bits per token: loss / ln 2."""
        return None if self.loss is None else self.loss / math.log(2)

    def to_dict(self) -> dict[str, Any]:
        """The same as plain JSON values."""
        return {
            "top1": self.top1.value,
            "top1_low": self.top1.low,
            "top1_high": self.top1.high,
            "top5": self.top5,
            "loss": self.loss,
            "perplexity": self.perplexity,
            "bits": self.bits,
        }


def _layers(given: Mapping[str, Any]) -> Columns:
    return checked(LAYERS, given)


@attrs.frozen(eq=False, kw_only=True)
class Evaluation:
    """Accuracy of a network in float, quantised, and on a chip, over the same examples."""

    system: str
    """Name of the system."""
    network: str
    """Name of the network."""
    data: str
    """Name of the data set."""
    kind: str = "images"
    """`images` or `tokens`."""
    examples: int
    """Images, or rows of tokens, that judged."""
    float_model: Score
    """The network as it was read."""
    quantised: Score
    """Whole weights and inputs, exact products."""
    chip: tuple[Score, ...]
    """The same through cells and converters; one a trial."""
    agreement: tuple[float, ...]
    """Of each trial: share of the answers that are those of the quantised model."""
    difference: Interval
    """Share right on the chip (mean of the trials) less that of the quantised model, paired."""
    loss_difference: Interval | None = None
    """The same of the loss, in nats."""
    p_value: float | None = None
    """McNemar's, exact: that chip and quantised model are equally good; None with trials."""
    layers: Columns = attrs.field(converter=_layers, repr=False)
    """One row an operation, or one for each precision of its strips; columns as in `LAYERS`."""
    runs: int = 1
    """Of the chip: the trials, or one where cells and converters are ideal."""
    statistics: int
    """The first examples, on which clipping, rounding, overflow and errors were measured."""
    seconds: Mapping[str, float] = attrs.field(factory=dict)
    """What running each model took: `float`, `quantised`, `chip` (all trials)."""
    quantisation: str = ""
    """How weights and inputs became whole."""
    assumed: tuple[str, ...] = ()
    """What the description leaves open and the run filled in, a sentence each."""
    notes: tuple[str, ...] = ()
    """What was left out, or done otherwise, a sentence each."""
    options: Mapping[str, object] = attrs.field(factory=dict)
    """The options of the run as plain JSON values."""
    digests: Mapping[str, str] = attrs.field(factory=dict)
    """SHA-256 of every file read, by its name."""
    version: str = __version__
    """Of cimarch."""

    schema = SCHEMA

    @property
    def trials(self) -> int:
        """Runs of the chip, each with its own chance."""
        return len(self.chip)

    @property
    def top1(self) -> float:
        """Share right on the chip, mean of the trials."""
        return math.fsum(score.top1.value for score in self.chip) / self.trials

    @property
    def loss(self) -> float | None:
        """Loss on the chip, mean of the trials."""
        found = [score.loss for score in self.chip if score.loss is not None]
        return math.fsum(found) / len(found) if found else None

    @property
    def spread(self) -> tuple[float, Interval] | None:
        """Standard deviation of `top1` over the trials, and Student's interval of its mean, as far
        as a share can be."""
        if self.trials < 2:
            return None
        deviation, mean = over_trials([score.top1.value for score in self.chip])
        return deviation, Interval(mean.value, max(0.0, mean.low), min(1.0, mean.high))

    @property
    def densities(self) -> dict[str, dict[str, float]]:
        """How full inputs and weights of each operation are: what `simulate` takes as its
        `densities`; measured on the first `statistics` examples. Of strips of several precisions,
        the mean over their conversions."""
        found: dict[str, dict[str, float]] = {}
        names, counts = self.layers["name"].tolist(), self.layers["conversions"].tolist()
        total = dict.fromkeys(names, 0.0)
        for name, count in zip(names, counts, strict=True):
            total[name] += count
        for field in ("input_density", "weight_density"):
            for name, count, value in zip(names, counts, self.layers[field].tolist(), strict=True):
                share = count / total[name] if total[name] else 1 / names.count(name)
                mean = found.setdefault(name, {})
                mean[field] = value if share == 1 else mean.get(field, 0.0) + share * value
        return found

    @property
    def is_equal(self) -> bool:
        """Whether every answer of the chip is that of the quantised model."""
        return all(share == 1 for share in self.agreement)

    def rate(self, model: str = "chip") -> float | None:
        """Examples per second of `float`, `quantised` or `chip`; None where it took no time."""
        runs = self.examples * (self.runs if model == "chip" else 1)
        return runs / self.seconds[model] if self.seconds.get(model) else None

    def to_dict(self) -> dict[str, Any]:
        """The whole result as plain JSON values; all but `seconds` and rates depend on the input
        alone."""
        spread = self.spread
        return {
            "schema": self.schema,
            "system": self.system,
            "network": self.network,
            "data": self.data,
            "kind": self.kind,
            "examples": self.examples,
            "judged": self.float_model.judged,
            "float": self.float_model.to_dict(),
            "quantised": self.quantised.to_dict(),
            "chip": {
                "top1": self.top1,
                "loss": self.loss,
                "top1_deviation": None if spread is None else spread[0],
                "top1_low": None if spread is None else spread[1].low,
                "top1_high": None if spread is None else spread[1].high,
                "trials": [
                    {**score.to_dict(), "agreement": agreement}
                    for score, agreement in zip(self.chip, self.agreement, strict=True)
                ],
            },
            "difference": self.difference.to_dict(),
            "loss_difference": self.loss_difference and self.loss_difference.to_dict(),
            "p_value": self.p_value,
            "statistics_examples": self.statistics,
            "layers": to_rows(self.layers),
            "quantisation": self.quantisation,
            "assumed": list(self.assumed),
            "notes": list(self.notes),
            "seconds": dict(self.seconds),
            "examples_per_second": {model: self.rate(model) for model in self.seconds},
            "manifest": {
                "cimarch": self.version,
                "options": dict(self.options),
                "digests": dict(self.digests),
            },
        }

    def to_pandas(self) -> pandas.DataFrame:
        """The table of layers as a DataFrame; ImportError where pandas is not installed."""
        try:
            import pandas
        except ImportError as error:
            raise ImportError("to_pandas() needs pandas: pip install 'cimarch[data]'") from error
        return pandas.DataFrame(dict(self.layers))

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        from html import escape

        from cimarch.report.accuracy_text import render

        return f"<pre>{escape(render(self))}</pre>"
