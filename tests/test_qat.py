"""Quantisation-aware training: what is trained is what the chip computes, to the last bit."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("sklearn")

import cimarch  # noqa: E402
from cimarch.functional.converter import Ranges  # noqa: E402
from cimarch.functional.lines import lines_of, sections_of  # noqa: E402
from cimarch.functional.matrix import matrix_of, path_of  # noqa: E402
from cimarch.functional.reference import product  # noqa: E402
from cimarch.functional.run.execute import Executor  # noqa: E402
from cimarch.functional.scheme import Converter, Scheme  # noqa: E402
from cimarch.functional.train.modules import Arrays, Chip, from_float  # noqa: E402
from cimarch.functional.train.starts import full_range  # noqa: E402
from cimarch.functional.train.torch_models import layers, trained_ranges  # noqa: E402
from cimarch.functional.windows import Windows  # noqa: E402
from cimarch.optimize.frame.model import Model  # noqa: E402
from cimarch.optimize.frame.task import archive_of  # noqa: E402
from cimarch.optimize.inloop import onchip  # noqa: E402
from cimarch.optimize.inloop.codes import _use_of_one  # noqa: E402
from cimarch.optimize.inloop.qat import Qat, qat  # noqa: E402

FEW = {"images": 256, "held_back": 64, "batch": 64, "judge": 100, "augment": "none"}
QUICK = {"epochs_scales": 1, "epochs_converters": 1, "rate": 0.01, "rate_converters": 0.002, **FEW}


class Normed(torch.nn.Module):
    """Two convolutions with norms, one of them beside a residual, and a classifier."""

    def __init__(self):
        super().__init__()
        self.first = torch.nn.Conv2d(1, 8, 3, padding=1, bias=False)
        self.norm1 = torch.nn.BatchNorm2d(8)
        self.second = torch.nn.Conv2d(8, 8, 3, padding=1)
        self.norm2 = torch.nn.BatchNorm2d(8)
        self.out = torch.nn.Linear(8, 10)

    def forward(self, x):
        x = torch.relu(self.norm1(self.first(x)))
        x = torch.relu(self.norm2(self.second(x)) + x)
        return self.out(x.mean((2, 3)))


def normed():
    torch.manual_seed(1)
    model = Normed()
    with torch.no_grad():
        for norm in (model.norm1, model.norm2):
            norm.weight.uniform_(-1, 1.5)  # a gain may be negative
            norm.bias.uniform_(-0.2, 0.2)
    return Model("normed", archive_of(model, torch.zeros(1, 1, 8, 8)))


def edge(name="EdgeMacroDigital", **settings):
    return cimarch.load(f"edge_macro:{name}", set=settings)


@pytest.fixture
def kept(monkeypatch):
    """The module that a run has trained."""
    found = {}
    plain = onchip.adapted

    def adapted(given, module, *rest):
        found["module"] = module
        return plain(given, module, *rest)

    monkeypatch.setattr(onchip, "adapted", adapted)
    return found


def answers(system, model, images):
    """Of the chip that the file of an adapted model describes."""
    network, quantised = model.network(), model.quantised()
    placement = cimarch.map_network(system, network, precision=model.precision)
    read = cimarch.functional.fit.saved_ranges.from_bytes(model.attached["ranges.json"], "ranges")
    paths = {
        name: matrix_of(placement, name, each, read.ranges.get(name)).path
        for name, each in quantised.operations.items()
    }
    return Executor(quantised, paths).run(images)


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"step_per": "macro", "power_of_two": True},
        {"step_per": "column", "weight_bits": 2, "input_bits": 3},
        {"per": "channel", "start": "min_max"},
    ],
    ids=["as it is", "a power of two for each array", "a step for each column", "per channel"],
)
def test_the_chip_answers_as_the_trained_model_does_to_the_last_bit(kept, given):
    system = edge(**{"macro.adc.bits": "4", "macro.rows": "32"})
    model, record = qat(normed(), system, "digits", Qat(**QUICK, **given))
    assert record.details["answers_that_differ"] == 0
    images = cimarch.read_data("digits").test.inputs(0, 200)
    with torch.no_grad():
        mine = kept["module"].eval()(torch.from_numpy(images)).numpy()
    assert np.array_equal(mine, answers(system, model, images))


def test_a_network_without_norms_answers_alike_too_and_the_record_says_so(kept):
    system = edge(**{"macro.adc.bits": "5"})
    model, record = qat("models/digits.pt", system, "digits", Qat(**QUICK))
    judged = cimarch.read_data("digits").test.take(slice(100))
    with torch.no_grad():
        mine = kept["module"].eval()(torch.from_numpy(judged.inputs())).argmax(1).numpy()
    assert record.after.accuracy_chip == pytest.approx(100 * (mine == judged.labels).mean())
    assert record.after.accuracy_chip > 90
    assert [(e.stage, e.epoch) for e in record.epochs] == [("scales", 1), ("converters", 1)]
    assert model.records == (record,)


def test_the_first_and_the_last_operation_keep_8_bits_unless_a_policy_says_otherwise():
    model, _ = qat("models/digits.pt", edge(), "digits", Qat(**QUICK | {"epochs_scales": 0}))
    bits = {name: tuple(each.values()) for name, each in model.precision.items()}
    assert bits == {"conv1": (8, 8), "conv2": (4, 4), "conv3": (4, 4), "linear": (8, 8)}
    policy = {"conv2": [3, 4]}
    model, _ = qat(
        "models/digits.pt", edge(), "digits",
        Qat(precision=policy, **QUICK | {"epochs_scales": 0, "epochs_converters": 0}),
    )  # fmt: skip
    assert {name: e.bits.weight for name, e in model.quantised().operations.items()} == {
        "conv1": 4, "conv2": 3, "conv3": 4, "linear": 4,
    }  # fmt: skip


def test_methods_chain_the_second_run_begins_with_the_scales_of_the_first(kept):
    asked = {**FEW, "epochs_converters": 0}
    first, one = qat(normed(), edge(), "digits", Qat(epochs_scales=1, converters="off", **asked))
    before = {name: each.weight_scale.item() for name, each in layers(kept["module"]).items()}
    _, two = qat(first, edge(), "digits", Qat(epochs_scales=0, **asked))
    assert two.before.accuracy_quantised == one.after.accuracy_quantised
    after = {name: each.weight_scale.item() for name, each in layers(kept["module"]).items()}
    assert after == pytest.approx(before, rel=1e-5)


def test_learned_steps_are_powers_of_two_where_asked(kept):
    system = edge(**{"macro.adc.bits": "4"})
    qat("models/digits.pt", system, "digits", Qat(power_of_two=True, **QUICK))
    steps = [each.step.item() for each in trained_ranges(kept["module"]).values()]
    assert steps == [2.0 ** round(np.log2(step)) for step in steps]


def test_starts_are_judged_before_training_with_norms_kept_and_estimated_anew():
    asked = Qat(untrained=True, **QUICK | {"epochs_converters": 0})
    _, record = qat(normed(), edge(**{"macro.adc.bits": "4"}), "digits", asked)
    found = [(e["start"], e["batch_norm_images"]) for e in record.details["untrained"]]
    starts = ("full_range", "min_max", "mse")
    assert found == [(start, images) for start in starts for images in (0, 1000)]
    assert set(record.details["converters"]) == {"second"}
    told = {"step_before", "step_after", "dead", "unused", "clipped"}
    assert set(record.details["converters"]["second"]) == told


@pytest.mark.parametrize("inputs", ["unsigned", "twos_complement"])
@pytest.mark.parametrize("bits", range(1, 9))
def test_a_layer_of_1_to_8_bits_is_its_whole_numbers_and_scales(bits, inputs):
    torch.manual_seed(bits)
    scheme = Scheme(
        encoding="binary" if bits == 1 else "signed_cell", weight_bits=bits, cell_bits=bits,
        input_bits=max(2, bits), dac_bits=8, inputs=inputs,
    )  # fmt: skip
    layer = from_float(torch.nn.Linear(6, 3), Chip(Arrays(scheme, rows=4), "merged", "channel"))
    x = torch.randn(50, 6)
    layer.train()(x)
    held = layer.quantised()
    whole = np.rint(x.numpy() * np.float32(1 / held.input_scale)) + held.input_zero
    whole = np.clip(whole, *held.input_range) - held.input_zero
    expected = whole @ held.weights[0].T * (held.input_scale * held.weight_scale) + held.bias
    assert np.abs(held.weights).max() == (1 if bits == 1 else 2 ** (bits - 1) - 1)
    assert (held.input_zero != 0) == (inputs == "unsigned")  # they are of both signs
    with torch.no_grad():
        assert np.allclose(layer.eval()(x).numpy(), expected, rtol=1e-5, atol=1e-6)


# ------------------------------------------------------------------ by hand


def test_full_range_holds_every_sum_of_either_sign():
    # 9 rows x 15 x 7 = 945; 16 codes from -8 to 7: 7 steps of 135 hold it above 0
    low, step = full_range(Converter(bits=4), 945.0, np.array([True]))
    assert (low.item(), step.item()) == (-8 * 135.0, 135.0)
    low, step = full_range(Converter(bits=4), 945.0, np.array([False]))
    assert (low.item(), step.item()) == (0.0, 63.0)


def test_dead_codes_and_unused_range_by_hand():
    # codes 0 1 2 3 of sums 0 1 2 3: of sums 0, 1 and 5 (four times) the last clips
    values, counts = np.array([0.0, 1.0, 5.0]), np.array([1, 1, 4])
    found = _use_of_one(Converter(bits=2), values, counts, Ranges.of(0, 1))
    assert found == (0.25, 0.0, 4 / 6)
    found = _use_of_one(Converter(bits=2), np.array([0.0, 1.0]), counts[:2], Ranges.of(0, 1))
    assert found == (0.5, pytest.approx(2 / 3), 0.0)


def tiled():
    """Two inputs, an array each: steps of 2 on one and of 4 on the other, from -8 steps."""
    scheme = Scheme(
        encoding="signed_cell", weight_bits=4, input_bits=4, cell_bits=4, dac_bits=4,
        converter=Converter(bits=4),
    )  # fmt: skip
    lines = lines_of(np.array([[3, 5]]), scheme, sections_of(2, 1, 1))
    step = np.array([[[2.0, 4.0]]])
    return lines, Ranges(-8 * step, step)


def test_each_array_converts_with_its_own_step():
    lines, ranges = tiled()
    # 3 x 3 = 9: 9 / 2 = 4.5 to even 4, 8; 5 x 2 = 10: 10 / 4 = 2.5 to even 2, 8
    assert product(np.array([[3, 2]]), lines, ranges).values.tolist() == [[16.0]]


def test_all_paths_take_ranges_of_each_array_alike():
    lines, ranges = tiled()
    inputs = np.array([[a, b] for a in range(16) for b in range(16)])
    path = path_of([lines], ranges, Windows(2))
    assert path.name == "products"
    assert np.array_equal(path(inputs), product(inputs, lines, ranges).values)


# ------------------------------------------------------------------ what it refuses, and tells


def refused(code, act):
    with pytest.raises(cimarch.DescriptionError) as caught:
        act()
    (problem,) = caught.value.diagnostics
    assert problem.code == code
    return problem


def test_training_that_diverges_is_told():
    asked = Qat(**QUICK | {"rate": 1e9, "epochs_scales": 2})
    problem = refused("E451", lambda: qat("models/digits.pt", edge(), "digits", asked))
    assert "scales" in problem.headline


def test_weights_of_one_bit_need_cells_that_hold_a_sign():
    asked = Qat(weight_bits=1, **QUICK)
    refused("E301", lambda: qat("models/digits.pt", edge(), "digits", asked))


def test_options_outside_their_range_are_refused():
    refused("E450", lambda: qat("models/digits.pt", edge(), "digits", Qat(weight_bits=9)))
    refused("E450", lambda: qat("models/digits.pt", edge(), "digits", Qat(start="best")))


def test_a_chip_that_cuts_weights_trains_through_every_slice_and_says_so(kept):
    system = cimarch.load("bit_serial", set={"macro.adc.bits": "5"})
    asked = Qat(weight_bits=8, input_bits=8, **QUICK)
    model, record = qat("models/digits.pt", system, "digits", asked)
    assert any("every slice and step is converted" in note for note in record.notes)
    images = cimarch.read_data("digits").test.inputs(0, 50)
    with torch.no_grad():
        mine = kept["module"].eval()(torch.from_numpy(images)).numpy()
    assert np.array_equal(mine, answers(system, model, images))


def test_a_chip_without_converters_trains_scales_alone_and_says_so():
    _, record = qat("models/digits.pt", cimarch.load("tsmc_22nm"), "digits", Qat(**QUICK))
    assert {epoch.stage for epoch in record.epochs} == {"scales"}
    assert any("no converter" in note for note in record.notes)


def sliced(converter):
    """4-bit weights in slices of 2 bits, 4-bit inputs in steps of 2, of either sign: on 3 rows."""
    scheme = Scheme(
        encoding="offset", weight_bits=4, cell_bits=2, input_bits=4, dac_bits=2,
        converter=converter,
    )  # fmt: skip
    ranges = None if converter is None else Ranges(np.zeros((2, 1)), np.ones((2, 1)))
    torch.manual_seed(5)
    plain = torch.nn.Conv2d(2, 3, 3, padding=1)
    mode = "merged" if converter is None else "sliced"
    return from_float(plain, Chip(Arrays(scheme, rows=3), mode, ranges=ranges))


def test_slices_and_steps_that_lose_nothing_have_the_gradients_of_the_plain_product():
    x = torch.randn(4, 2, 5, 5)
    found = []
    for converter in (None, Converter(bits=8)):
        layer, inputs = sliced(converter), x.clone().requires_grad_()
        made = layer.train()(inputs)
        made.square().sum().backward()
        found.append((made, inputs.grad, layer.weight.grad, layer.input_scale.grad))
    for mine, theirs in zip(*found, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-4)


def test_slices_and_steps_train_to_what_the_exact_path_computes():
    layer, x = sliced(Converter(bits=3)), torch.randn(4, 2, 5, 5)
    made = layer.train()(x)
    made.square().sum().backward()
    assert layer.converter_step.grad.shape == (2, 1)
    assert (layer.converter_step.grad != 0).all()
    with torch.no_grad():
        torch.testing.assert_close(layer.eval()(x), made.detach(), rtol=1e-5, atol=1e-5)


def test_cells_that_are_not_ideal_are_trained_with_and_the_record_says_so():
    system = edge(**{"macro.adc.bits": "6", "macro.array.program_noise": "0.02"})
    _, record = qat("models/digits.pt", system, "digits", Qat(**QUICK))
    assert any("not ideal" in note for note in record.notes)
    assert record.after.accuracy_chip > 80


def test_full_range_is_refused_where_slices_are_converted_one_by_one():
    system = cimarch.load("bit_serial", set={"macro.adc.bits": "5"})
    asked = Qat(start="full_range", **QUICK | {"epochs_scales": 0})
    refused("E450", lambda: qat("models/digits.pt", system, "digits", asked))


# ------------------------------------------------------------------ the chip


def layer(outputs, inputs):
    return {"kind": "linear", "name": "a", "outputs": outputs, "inputs": inputs}


def test_exact_arrays_take_what_keeps_more_than_4_bits():
    network = cimarch.Network.from_table([{**layer(8, 16), "name": name} for name in "ab"])
    placement = cimarch.map_network(
        edge(), network, weight_bits=4, input_bits=4, precision={"b": [8, 8]}
    )
    assert [plan.pool.path for plan in placement.plans] == ["macro.array", "exact.array"]


def test_rows_of_several_macros_are_read_at_once_and_added_up():
    network = cimarch.Network.from_table([layer(256, 512)])
    bits = {"weight_bits": 4, "input_bits": 4}
    one, two = (
        cimarch.simulate(edge("EdgeMacros", macros=str(macros)), network, **bits)
        for macros in (1, 2)
    )
    assert (one.crossbars, two.crossbars) == (1, 2)
    assert two.cycles < one.cycles
