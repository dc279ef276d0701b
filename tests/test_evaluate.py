"""Evaluations: equal where nothing is lost, counted where it is, repeatable, and told with care."""

from __future__ import annotations

import json
import math
from pathlib import Path

import attrs
import numpy as np
import pytest

pytest.importorskip("torch")

import cimarch
from chips import mlp
from cimarch.data.dataset import DataSet, Examples
from cimarch.data.normalisation import Normalise
from cimarch.functional.converter import Ranges
from cimarch.functional.fit.quantise import Quantising
from cimarch.functional.fit.saved_ranges import with_placement
from cimarch.functional.run.answers import Answers
from cimarch.mapping.saved import to_dict
from cimarch.report.accuracy import LAYERS
from cimarch.report.accuracy_text import render
from cimarch.report.statistics import mcnemar, over_trials, paired, share, student
from weighted import refused, weighted


def chip(**settings: object) -> cimarch.System:
    """The plain bit-serial chip: `encoding` and other parameters of its array, `bits` and other
    parameters of its converter."""
    of_adc = ("bits", "step", "range_low", "range_high", "transfer")
    paths = {
        f"macro.{'adc' if name in of_adc else 'array'}.{name}": value
        for name, value in settings.items()
    }
    return cimarch.load("bit_serial", set=paths)


def data(judged: object, labels: object, train: object | None = None, classes: int = 2) -> DataSet:
    """Examples given as arrays; calibrated on `train`, or on those that judge."""
    test = Examples(np.asarray(judged, np.float32), np.asarray(labels, np.int64), Normalise())
    other = np.asarray(judged if train is None else train, np.float32)
    held = Examples(other, np.zeros(len(other), np.int64), Normalise())
    names = tuple(f"c{i}" for i in range(classes))
    return DataSet("given", test, names, lambda: held)


def drawn(count: int = 40, seed: int = 1) -> DataSet:
    generator = np.random.default_rng(seed)
    return data(
        generator.random((count, 12)), generator.integers(0, 3, count),
        generator.random((20, 12)), classes=3,
    )  # fmt: skip


NETWORK = weighted(mlp(12, 10, 3))


def evaluated(system: cimarch.System, **options: object) -> cimarch.Evaluation:
    return cimarch.evaluate(system, NETWORK, drawn(), **options)


def told(found: cimarch.Evaluation) -> dict[str, object]:
    """All that depends on the input alone."""
    plain = found.to_dict()
    del plain["seconds"], plain["examples_per_second"]
    return plain


# What the chip answers


@pytest.mark.parametrize(
    "encoding",
    ["offset", "offset_column", "flipped", "differential", "twos_complement", "signed_cell"],
)
def test_a_converter_that_loses_nothing_answers_as_the_quantised_model_does(encoding: str) -> None:
    found = evaluated(chip(encoding=encoding, bits=10))
    assert found.is_equal
    assert found.chip[0] == found.quantised
    assert found.difference.to_dict() == {"value": 0, "low": 0, "high": 0}
    assert found.layers["error"].tolist() == [0, 0]
    assert found.layers["clipped"].tolist() == [0, 0]


def four_ones() -> tuple[cimarch.Network, DataSet]:
    """Weights of 1 and -1, four inputs of 1: the sums are 4 and -4."""
    network = weighted(mlp(4, 2), l1=[[1, 1, 1, 1], [-1, -1, -1, -1]])
    return network, data([[1, 1, 1, 1]], [0])


def test_what_clips_is_counted_and_its_error_told() -> None:
    """Differential columns and 3 bits: -4 .. 3. Of sums 4 and -4 the first clips to 3: half of the
    conversions; the error's power is 1, that of the result 16 + 16. The two other converters of a
    weight's slices see 0."""
    network, given = four_ones()
    found = cimarch.evaluate(
        chip(encoding="differential", bits=3), network, given, weight_bits=2, input_bits=1
    )
    (row,) = found.to_dict()["layers"]
    assert row["conversions"] == 2
    assert (row["clipped"], row["rounded"], row["overflowed"]) == (0.5, 0, 0)
    assert row["error"] == row["error_to_here"] == 1 / 32
    assert (row["range_low"], row["range_high"], row["step"]) == (-4, 3, 1)
    assert row["range_source"] == "one unit a step"


def test_much_clipping_that_nobody_chose_is_pointed_out() -> None:
    network, given = four_ones()
    of_chip = chip(encoding="differential", bits=3)
    found = cimarch.evaluate(of_chip, network, given, weight_bits=2, input_bits=1)
    assert found.notes == (
        "50 % of the conversions of `l1` clip at one unit a step: `--range-policy mse --per slice` "
        "chooses ranges from data",
    )
    options = {"range_policy": "mse", "per": "slice"}
    chosen = cimarch.evaluate(of_chip, network, given, weight_bits=2, input_bits=1, **options)
    assert chosen.notes == ()


def test_what_rounds_is_counted() -> None:
    """A step of 3 units: -12 .. 9. The sums 4 and -4 become 3 and -3."""
    network, given = four_ones()
    found = cimarch.evaluate(
        chip(encoding="differential", bits=3, step=3), network, given, weight_bits=2, input_bits=1
    )
    (row,) = found.to_dict()["layers"]
    assert (row["clipped"], row["rounded"]) == (0, 1)
    assert row["error"] == 2 / 32
    assert row["range_source"] == "stated"


def test_conversions_are_those_that_a_run_is_charged() -> None:
    system = chip(encoding="offset", bits=6)
    found = evaluated(system)
    charged = cimarch.simulate(system, NETWORK).layers
    of = dict(zip(charged["name"], charged["conversions"], strict=True))
    for name, count in zip(found.layers["name"], found.layers["conversions"], strict=True):
        assert of[name] == count


def test_the_same_input_gives_the_same_result_in_any_batch() -> None:
    one = evaluated(chip(bits=4), batch=1)
    other = evaluated(chip(bits=4), batch=40)
    assert told(one) == told(other)
    assert json.dumps(told(one), allow_nan=False)


def test_without_chance_all_trials_are_alike() -> None:
    found = evaluated(chip(bits=4), trials=3)
    assert found.trials == 3
    assert len(set(found.chip)) == 1
    assert found.spread is not None
    assert found.spread[0] == 0
    assert found.p_value is None


def test_trials_differ_by_chance_and_repeat_by_seed() -> None:
    noisy = chip(bits=6, program_noise=0.2)
    one, same = (evaluated(noisy, trials=3, seed=5) for _ in range(2))
    assert told(one) == told(same)
    assert len({score.top1.value for score in one.chip} | set(one.agreement)) > 1
    assert told(evaluated(noisy, trials=3, seed=6)) != told(one)


# What is chosen on data


def test_calibration_looks_at_no_image_that_judges() -> None:
    given = drawn()
    other = attrs.evolve(
        given, test=Examples(given.test.stored * 1000, given.test.labels, Normalise())
    )
    for how in ({"policy": "mse", "per": "column"}, {"policy": "percentile"}):
        one = cimarch.calibrate(chip(bits=4), NETWORK, given, **how)
        assert one.to_dict() == cimarch.calibrate(chip(bits=4), NETWORK, other, **how).to_dict()
    models = [cimarch.quantise(chip(), NETWORK, each) for each in (given, other)]
    scales = [[o.input_scale for o in model.operations.values()] for model in models]
    assert scales[0] == scales[1]


def test_a_set_that_is_not_divided_calibrates_on_none_that_judges() -> None:
    pytest.importorskip("sklearn")
    from cimarch.data.read import read_data

    digits = read_data("digits")
    judge = {each.tobytes() for each in digits.judging().stored}
    calibrate = {each.tobytes() for each in digits.calibrating().stored}
    assert not judge & calibrate


def test_a_policy_chooses_on_the_fly_what_calibrate_chooses() -> None:
    system = chip(bits=3)
    made = cimarch.calibrate(system, NETWORK, drawn(), policy="mse", per="slice")
    one = evaluated(system, ranges=made)
    other = evaluated(system, range_policy="mse", per="slice")
    assert told(one)["layers"] == told(other)["layers"]
    assert one.layers["range_source"][0] == "mse per slice, 20 images"
    assert one.chip == other.chip


def test_a_stated_range_wins() -> None:
    found = evaluated(chip(bits=4, step=2), range_policy="mse")
    assert found.layers["range_source"].tolist() == ["stated", "stated"]
    assert found.layers["step"].tolist() == [2, 2]


def test_ranges_may_come_with_the_placement(tmp_path: Path) -> None:
    system = chip(bits=3)
    made = cimarch.calibrate(system, NETWORK, drawn(), policy="min_max")
    cimarch.save_ranges(made, tmp_path / "ranges.json")
    held = with_placement(made, to_dict(cimarch.map_network(system, NETWORK)))
    (tmp_path / "placement.json").write_text(json.dumps(held))
    one = evaluated(system, placement=tmp_path / "placement.json")
    assert told(one)["layers"] == told(evaluated(system, ranges=tmp_path / "ranges.json"))["layers"]
    assert one.layers["range_source"][0] == "min-max per layer, 20 images"


def test_ranges_for_another_precision_are_refused() -> None:
    made = cimarch.calibrate(chip(bits=3), NETWORK, drawn())
    with refused("E306", "are for weight_bits 8, and it has 4"):
        evaluated(chip(bits=3), ranges=made, weight_bits=4)
    with refused("E306", "are for converter_bits 3, and it has 5"):
        evaluated(chip(bits=5), ranges=made)
    with refused("E306", "another network than this"):
        cimarch.evaluate(chip(bits=3), weighted(mlp(12, 3)), drawn(), ranges=made)


def test_ranges_may_be_given_by_operation() -> None:
    by_hand = {"l1": Ranges.of(-3, 2, "by hand")}
    found = evaluated(chip(bits=5), ranges=by_hand)
    assert found.layers["range_source"].tolist() == ["by hand", "one unit a step"]
    assert (found.layers["range_low"][0], found.layers["range_high"][0]) == (-3, -3 + 2 * 31)
    with refused("E306", "the ranges name `l3`, which has no converters here"):
        evaluated(chip(bits=5), ranges={"l3": Ranges.of(0, 1)})


def test_ranges_for_other_lines_are_refused() -> None:
    made = cimarch.calibrate(chip(bits=3), NETWORK, drawn(), per="column", policy="mse")
    odd = attrs.evolve(
        made.ranges["l1"], low=np.zeros((1, 3)), step=np.ones((1, 3)), source="by hand"
    )
    with refused("E306", "the ranges of `l1` are 1 x 3, for 4 lines x 10 outputs"):
        evaluated(chip(bits=3), ranges=attrs.evolve(made, ranges={**made.ranges, "l1": odd}))


def test_a_saved_model_brings_its_scales_and_bits(tmp_path: Path) -> None:
    made = cimarch.quantise(
        chip(), NETWORK, drawn(), weight_bits=4, quantising=Quantising(per="channel")
    )
    cimarch.save_quantised(made, tmp_path / "model.safetensors")
    found = evaluated(chip(bits=5), quantised=tmp_path / "model.safetensors", calibrate=0)
    assert found.layers["weight_bits"].tolist() == [4, 4]
    assert (
        told(found)["layers"]
        == told(evaluated(chip(bits=5), weight_bits=4, quantising=Quantising(per="channel")))[
            "layers"
        ]
    )


def test_a_saved_model_for_other_inputs_is_refused() -> None:
    made = cimarch.quantise(chip(), NETWORK, drawn())
    with refused("E307", "inputs of `l1` are 0..255, and its pool takes -127..127"):
        evaluated(chip(inputs="sign_magnitude"), quantised=made)


# Tokens


def tokens() -> tuple[cimarch.Network, DataSet]:
    """An embedding of 8 tokens, and weights of 0: every token is as likely as every other."""
    import torch
    from torch import nn

    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed = nn.Embedding(8, 4)
            self.head = nn.Linear(4, 8, bias=False)
            nn.init.zeros_(self.head.weight)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.head(self.embed(x))

    network = cimarch.trace(Model(), (torch.zeros(1, 5, dtype=torch.int64),), name="tokens")
    rows = np.arange(20).reshape(4, 5) % 8
    labels = rows.copy()
    labels[0, 3:] = -1  # nothing is judged behind the end
    held = Examples(rows, labels, None)
    return network, DataSet("rows", held, (), lambda: held, "tokens")


def test_weights_of_zero_are_as_perplexed_as_there_are_tokens() -> None:
    network, given = tokens()
    found = cimarch.evaluate(chip(bits=8), network, given)
    for score in (found.float_model, found.quantised, *found.chip):
        assert score.judged == 18
        assert score.perplexity == pytest.approx(8)
        assert score.bits == pytest.approx(3)
    assert found.loss_difference is not None
    assert found.loss_difference.value == 0
    text = render(found)
    assert "perplexity 8.000" in text
    assert "4 rows of rows" in text


# Bad input


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        ({"trials": 0}, "E309", "`trials` is 0, not a whole number from 1 up"),
        ({"batch": 0}, "E309", "`batch` is 0"),
        ({"statistics": 1.5}, "E309", "`statistics` is 1.5"),
        ({"seed": -1}, "E309", "`seed` is -1, not a whole number from 0 up"),
        ({"calibrate": -1}, "E309", "`calibrate` is -1"),
        ({"images": 0}, "E325", "0 images"),
        ({"images": 41}, "E325", "41 images"),
        ({"range_policy": "best"}, "E304", "the range policy is `best`, none of `unit`"),
        ({"per": "row"}, "E304", "the granularity of ranges is `row`"),
        ({"device": "abacus"}, "E309", "`device` is 'abacus', which cannot be used here"),
        ({"path": "fast"}, "E309", "`fast`"),
        ({"path": "lossless"}, "E309", "`l1`"),
        ({"ranges": "nowhere.json"}, "E306", "`nowhere.json` cannot be read"),
        ({"quantised": "nowhere"}, "E307", "`nowhere` cannot be read"),
        ({"quantising": Quantising(per="row")}, "E301", "the choice `per`"),
    ],
)
def test_an_option_that_is_none_is_told(options: dict[str, object], code: str, said: str) -> None:
    with refused(code, said):
        evaluated(chip(bits=3), **options)


def test_a_model_that_was_never_quantised_takes_calibration_data() -> None:
    with refused("E300", "the model was never quantised, and there is no calibration data"):
        evaluated(chip(), calibrate=0)
    with refused("E300", "data set `given` has no examples that calibrate"):
        cimarch.evaluate(chip(), NETWORK, attrs.evolve(drawn(), load_train=lambda: None))


def test_weights_that_are_no_numbers_or_are_not_there_are_told() -> None:
    with refused("E303", "`l2` of `l2` holds 1 of 30 numbers that are not finite"):
        broken = np.full((3, 10), 1.0)
        broken[1, 1] = np.nan
        cimarch.evaluate(chip(), weighted(mlp(12, 10, 3), l2=broken), drawn())
    with refused("E302", "has no weights for `l1`"):
        cimarch.evaluate(chip(), mlp(12, 10, 3), drawn())


def test_answers_that_are_no_numbers_are_told() -> None:
    network = weighted(mlp(12, 10, 3), l1=np.full((10, 12), 1e30), l2=np.full((3, 10), 1e30))
    with refused("E303", "are not finite"):
        cimarch.evaluate(chip(), network, drawn())


def test_labels_of_which_none_is_judged_are_told() -> None:
    network, given = tokens()
    nothing = attrs.evolve(given.test, labels=np.full_like(given.test.labels, -1))
    with refused("E309", "no label of the examples that judge is to be judged"):
        cimarch.evaluate(chip(), network, attrs.evolve(given, test=nothing))


def test_data_of_another_shape_or_class_count_is_told() -> None:
    with refused("E324"):
        cimarch.evaluate(chip(), weighted(mlp(12, 4)), drawn())
    with refused("E323"):
        cimarch.evaluate(chip(), weighted(mlp(11, 3)), drawn())


def test_there_is_no_range_to_choose_without_converters() -> None:
    from chips import round_trip

    network = weighted(mlp(8, 2))
    given = data(np.ones((2, 8)), [0, 1])
    with refused("E305", "no converter stands behind"):
        cimarch.calibrate(round_trip(arrays=4), network, given, weight_bits=4, input_bits=4)


# What is printed


def test_an_evaluation_as_text_says_all_of_it() -> None:
    found = evaluated(chip(bits=2))
    text = render(found)
    for word in ("float", "quantised", "chip - quantised", "paired", "one unit a step", "clipped",
                 "Per operation (measured on the first 40 images)", "departs most in"):  # fmt: skip
        assert word in text
    assert max(map(len, render(found, width=80).splitlines())) <= 80
    assert "no room for" in render(found, width=80)


def test_a_lossless_evaluation_says_that_it_is_equal() -> None:
    text = render(evaluated(chip(bits=10)))
    assert "equal, answer by answer" in text
    assert "exact" in text


def test_trials_are_told_with_their_mean_and_spread() -> None:
    text = render(evaluated(chip(bits=4), trials=2))
    assert "mean of 2 trials" in text


# Statistics


def test_answers_are_ranked_and_the_first_of_equal_ones_wins() -> None:
    found = Answers.of(np.array([[0.0, 2, 2], [3, 1, 2], [1, 1, 1]]), np.array([2, 0, 1]))
    assert found.best.tolist() == [1, 0, 0]
    assert found.rank.tolist() == [1, 0, 1]
    assert found.loss[2] == pytest.approx(math.log(3))


def test_the_score_interval_of_a_share() -> None:
    """9 of 10: 0.596 to 0.982 (Wilson)."""
    found = share(9, 10)
    assert (found.low, found.high) == pytest.approx((0.5958, 0.9821), abs=1e-4)
    assert share(10, 10).high == 1


def test_paired_differences_take_the_discordant_pairs() -> None:
    """Of 100 images 9 got worse and 1 better: -0.08, and a variance of 10/99 - 0.64/99."""
    differences = np.array([-1.0] * 9 + [1.0] + [0.0] * 90)
    found = paired(differences, np.ones(100))
    assert found.value == pytest.approx(-0.08)
    assert found.high - found.value == pytest.approx(1.959964 * math.sqrt((10 - 0.64) / 99 / 100))
    assert mcnemar(9, 1) == pytest.approx(2 * 11 / 1024)
    assert mcnemar(0, 0) == 1
    assert mcnemar(700, 640) == pytest.approx(0.107, abs=0.002)


@pytest.mark.parametrize(
    ("freedom", "value"), [(1, 12.7062), (2, 4.3027), (3, 3.1824), (9, 2.2622), (30, 2.0423)]
)
def test_students_quantiles_are_those_of_the_tables(freedom: int, value: float) -> None:
    assert student(freedom) == pytest.approx(value, abs=1e-4)


def test_trials_have_a_mean_and_an_interval() -> None:
    """0.8, 0.9, 1.0: mean 0.9, deviation 0.1, 4.3027 x 0.1 / sqrt(3) on either side."""
    deviation, mean = over_trials([0.8, 0.9, 1.0])
    assert deviation == pytest.approx(0.1)
    assert (mean.value, mean.high) == pytest.approx((0.9, 0.9 + 0.24841), abs=1e-4)


def test_every_column_of_the_layers_stands_on_the_page() -> None:
    page = (Path(__file__).parent.parent / "docs" / "functional.md").read_text()
    for column in LAYERS:
        assert f"| `{column.name}` | {column.definition} |" in page
