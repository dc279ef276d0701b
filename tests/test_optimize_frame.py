"""What all methods stand on: models that can be trained, a loop that resumes, parts of the data."""

from __future__ import annotations

import io
import json
import math
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest

import cimarch
import mutations
from cimarch.data.dataset import DataSet, Examples
from cimarch.data.normalisation import Normalise
from cimarch.diagnostics import DescriptionError

pytest.importorskip("torch")

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cimarch.optimize import METHODS
from cimarch.optimize.frame.going import Going
from cimarch.optimize.frame.model import Model
from cimarch.optimize.frame.options import Options, Trains, option
from cimarch.optimize.frame.record import Epoch, Record, Stand
from cimarch.optimize.frame.split import split
from cimarch.optimize.frame.task import archive_of
from cimarch.optimize.training import Recipe, Training, accuracy, rate_at
from cimarch.workload.zoo import build, default_input

MODELS = Path(__file__).resolve().parent.parent / "models"


def told(action: Callable[[], object]) -> Any:
    """The only diagnostic of what is refused."""
    with pytest.raises(DescriptionError) as caught:
        action()
    (diagnostic,) = caught.value.diagnostics
    return diagnostic


def is_refused(action: Callable[[], object]) -> bool:
    """Whether something is refused, with one diagnostic."""
    try:
        action()
    except DescriptionError as error:
        (_,) = error.diagnostics
        return True
    return False


# A file as a module


def settled(module: nn.Module) -> nn.Module:
    """A module whose norms have seen something."""
    generator = torch.Generator().manual_seed(0)
    for each in module.modules():
        if isinstance(each, nn.BatchNorm1d | nn.BatchNorm2d):
            each.running_mean.copy_(torch.randn(each.num_features, generator=generator) / 10)
            each.running_var.copy_(torch.rand(each.num_features, generator=generator) + 0.5)
    return module.eval()


def taken_up(module: nn.Module, shape: tuple[int, ...]) -> None:
    """A module, the trainee of its file, and that of the trainee's file compute the same."""
    settled(module)
    images = torch.randn(3, *shape[1:], generator=torch.Generator().manual_seed(1))
    made = Model.of_module(module, images[:1]).module()
    again = Model("again", archive_of(made, images[:1])).module()
    with torch.no_grad():
        torch.testing.assert_close(made(images), module(images), rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(again(images), module(images), rtol=1e-5, atol=1e-5)
    names = dict(again.named_parameters())
    for name, parameter in module.named_parameters():
        assert torch.equal(names[name], parameter)


@pytest.mark.parametrize("name", ["mlp", "digits", "resnet20", "vgg7", "mobilenetv2_cifar"])
def test_a_network_of_the_zoo_is_taken_up_under_its_own_names(name: str) -> None:
    torch.manual_seed(0)
    taken_up(build(name), default_input(name))


class Halves(nn.Module):
    """One half of the features gates the other."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(6, 8), nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        left, right = self.first(x).chunk(2, 1)
        return self.last(left * torch.sigmoid(right))


class Twice(nn.Module):
    """A layer that is used twice, a batch that is named."""

    def __init__(self) -> None:
        super().__init__()
        self.own, self.last = nn.Linear(6, 6), nn.Linear(6, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(F.relu(self.own(F.relu(self.own(x)))).view(x.shape[0], -1))


def convolved(layer: nn.Module, features: int, *after: nn.Module) -> nn.Module:
    return nn.Sequential(layer, *after, nn.ReLU(), nn.Flatten(), nn.Linear(features, 3))


ODD = {
    "norm of features": lambda: (
        nn.Sequential(nn.Linear(8, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Linear(6, 3)), (1, 8)
    ),
    "norm without scales": lambda: (
        convolved(nn.Conv2d(3, 4, 3), 144, nn.BatchNorm2d(4, affine=False)), (1, 3, 8, 8)
    ),
    "padding in a word": lambda: (convolved(nn.Conv2d(3, 4, 3, padding="same"), 256), (1, 3, 8, 8)),
    "uneven geometry": lambda: (
        convolved(nn.Conv2d(4, 8, (3, 1), (2, 1), (1, 0), (1, 2), 2, bias=False), 256),
        (1, 4, 8, 8),
    ),
    "lists of tensors": lambda: (Halves(), (1, 6)),
    "a layer used twice": lambda: (Twice(), (1, 6)),
}  # fmt: skip


@pytest.mark.parametrize("what", ODD)
def test_what_is_unusual_is_taken_up_too(what: str) -> None:
    torch.manual_seed(0)
    taken_up(*ODD[what]())


def test_norms_and_dropout_are_those_of_training_again() -> None:
    plain = convolved(nn.Conv2d(1, 2, 3), 72, nn.BatchNorm2d(2, 0.02, 0.3), nn.Dropout(0.25))
    made = Model.of_module(plain, torch.zeros(1, 1, 8, 8)).module()
    norm = made.get_submodule("1")
    assert isinstance(norm, nn.BatchNorm2d)
    assert (norm.eps, norm.momentum) == (0.02, 0.3)
    (dropout,) = (each for each in made.modules() if isinstance(each, nn.Dropout))
    assert dropout.p == 0.25
    made.train()
    made(torch.randn(4, 1, 8, 8))
    assert norm.running_mean.abs().min() > 0


# Where a model comes from


def test_a_module_and_its_weights_by_name_are_the_same_model(tmp_path: Path) -> None:
    torch.manual_seed(0)
    module = build("digits")
    torch.save(module.state_dict(), tmp_path / "state.pt")
    made = Model.of_module(module, torch.zeros(1, 1, 8, 8), "digits")
    read = Model.of(tmp_path / "state.pt", "digits")
    assert (read.name, read.source) == ("digits", str(tmp_path / "state.pt"))
    assert {k: v.tolist() for k, v in read.module().state_dict().items()} == {
        k: v.tolist() for k, v in made.module().state_dict().items()
    }
    assert [op.name for op in made.network().operations if op.is_matrix] == [
        "conv1", "conv2", "conv3", "linear",
    ]  # fmt: skip


def test_a_model_of_a_module_is_the_same_bytes_every_time() -> None:
    torch.manual_seed(0)
    module = build("digits")
    first, second = (Model.of_module(module, torch.zeros(1, 1, 8, 8)) for _ in range(2))
    assert first.digest == second.digest


def test_weights_without_a_network_and_a_network_without_weights_are_refused(
    tmp_path: Path,
) -> None:
    torch.save(build("digits").state_dict(), tmp_path / "state.pt")
    problem = told(lambda: Model.of(tmp_path / "state.pt"))
    assert problem.code == "E453"
    assert "weights without their network" in problem.headline
    problem = told(lambda: Model.of("vgg11"))
    assert problem.code == "E453"
    assert problem.helps == (
        "cimarch export cimarch.models.vgg:vgg11 --input 1x3x32x32 --weights state.pt -o vgg11.pt",
    )
    assert told(lambda: Model.of(tmp_path / "state.pt", "vgg7")).code == "E162"
    with pytest.raises(TypeError, match="of_module"):
        Model.of(build("digits"))  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["rows,columns\n1,2\n", "PK", "", "[[1]]", "system A {}"])
def test_what_is_no_model_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "model").write_text(text)
    assert told(lambda: Model.of(tmp_path / "model")).code.startswith("E")


def test_a_changed_file_is_read_or_refused_with_one_diagnostic() -> None:
    plain = Model.of(MODELS / "digits.pt")
    record = attrs.evolve(RECORD, epochs=())
    whole = plain.with_(precision={"conv1": [4, 4]}, record=record).to_bytes()
    source = random.Random(0)
    refused = 0
    for number in range(200):
        change = mutations.archive if number % 3 else mutations.raw
        data = change(whole, source)
        refused += any(is_refused(lambda data=data, do=do: do(_read(data))) for do in DO)
    assert 60 <= refused < 200


DO = (Model.network, lambda model: model.records, Model.module)


def _read(data: bytes) -> Model:
    from cimarch.workload.adapted import read_adapted

    read = read_adapted(memoryview(data), "changed")
    return Model(read.name, bytes(read.network), read.attached)


# Records

STAND = Stand(accuracy_float=91.5, cycles=12, joules=None, crossbars=3, utilisation=50.0)
RECORD = Record(
    method="qat", system="edge_macro", network="digits", data="digits", options={"seed": 1},
    split={"train": 10}, before=STAND, after=attrs.evolve(STAND, cycles=6),
    epochs=(Epoch("first", 1, 0.5, 90.0, 2.0),), notes=("one",), details={"widths": [1, 2]},
    digests={"model": "ab"},
)  # fmt: skip


def test_a_record_comes_back_from_plain_json() -> None:
    assert Record.from_dict(json.loads(json.dumps(RECORD.to_dict()))) == RECORD


def test_a_model_keeps_the_records_of_all_methods_and_of_the_rest_only_the_last() -> None:
    first = Model.of(MODELS / "digits.pt").with_(precision={"*": [4, 4]}, record=RECORD)
    assert first.precision == {"*": [4, 4]}
    second = first.trained(first.archive, record=attrs.evolve(RECORD, method="strips"))
    assert [each.method for each in second.records] == ["qat", "strips"]
    assert second.precision is None
    assert len({each.digest for each in (first, second, Model.of(MODELS / "digits.pt"))}) == 3
    read = _read(second.to_bytes())
    assert read.records == second.records
    assert read.digest == second.digest


# Data


def examples(count: int, seed: int = 0) -> Examples:
    """Images of 8 x 8, and whether their left or their right half is brighter."""
    generator = np.random.default_rng(seed)
    images = generator.normal(size=(count, 1, 8, 8)).astype(np.float32)
    labels = (images[..., :4].sum((1, 2, 3)) > images[..., 4:].sum((1, 2, 3))).astype(np.int64)
    return Examples(images, labels, Normalise())


def data_set(train: int) -> DataSet:
    return DataSet("halves", examples(20, 1), (), lambda: examples(train))


def of(part: Examples) -> set[bytes]:
    return {image.tobytes() for image in part.stored}


def test_what_is_held_back_does_not_train() -> None:
    found = split(data_set(100), held_back=30)
    assert (len(found.train), len(found.held_back)) == (70, 30)
    assert not of(found.train) & of(found.held_back)
    assert not of(data_set(100).test) & (of(found.train) | of(found.held_back))


def test_fewer_images_train_beside_the_same_that_are_held_back() -> None:
    whole, part = split(data_set(100)), split(data_set(100), images=10)
    assert len(whole.held_back) == 20  # a fifth
    assert part.held_back.digest == whole.held_back.digest
    assert part.train.digest == whole.train.take(slice(10)).digest
    assert part.told()["train_digest"] == part.train.digest
    assert whole.told()["train"] == 80


@pytest.mark.parametrize(
    ("train", "images", "held_back"),
    [(100, 81, None), (100, None, 100), (100, 1, 100), (4, None, None), (100, 91, 10)],
)
def test_more_than_there_is_is_refused(
    train: int, images: int | None, held_back: int | None
) -> None:
    problem = told(lambda: split(data_set(train), images, held_back))
    assert problem.code == "E454"
    assert str(train) in problem.headline


def test_a_set_without_examples_that_train_is_refused() -> None:
    told(lambda: split(attrs.evolve(data_set(10), load_train=lambda: None)))
    told(lambda: split(attrs.evolve(data_set(10), load_train=lambda: examples(0))))


# Training


def net() -> nn.Module:
    """A small network that draws numbers itself."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.2), nn.Flatten(),
        nn.Linear(256, 2),
    )  # fmt: skip


SHORT = Recipe(epochs=2, batch=16, rate=0.05, shift=1)


def training(
    module: nn.Module, going: Going | None = None, recipe: Recipe = SHORT, **how: Any
) -> Training:
    train, held_back = examples(48), examples(16, 2)
    return Training(module, train, held_back, recipe, stage="a stage", going=going, **how)


def test_a_run_stopped_after_any_step_ends_with_the_same_bits(tmp_path: Path) -> None:
    whole = net()
    epochs = training(whole).run()
    assert [(each.stage, each.epoch) for each in epochs] == [("a stage", 1), ("a stage", 2)]
    for last in range(1, 6):
        steps: list[float] = []
        folder = tmp_path / str(last)
        folder.mkdir()
        stopped = Going(lambda _, share, steps=steps: steps.append(share), folder)
        first = attrs.evolve(stopped, stopped=lambda steps=steps, last=last: len(steps) == last)
        with pytest.raises(KeyboardInterrupt):
            training(net(), first).run()
        assert steps[-1] == last / 6
        torch.manual_seed(last)  # whatever ran before
        module = net()
        again = training(module, stopped).run()
        assert [attrs.evolve(e, seconds=0.0) for e in again] == [
            attrs.evolve(e, seconds=0.0) for e in epochs
        ]
        for name, value in whole.state_dict().items():
            assert torch.equal(module.state_dict()[name], value), name


def test_a_run_that_is_over_is_not_run_again(tmp_path: Path) -> None:
    done = net()
    training(done, Going(kept=tmp_path)).run()
    module = net()
    training(module, Going(kept=tmp_path)).run()
    assert torch.equal(module[0].weight, done[0].weight)


def test_training_draws_nothing_from_and_leaves_alone_what_others_draw() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    module = net()
    torch.manual_seed(5)
    training(module).run()
    assert torch.equal(torch.rand(3), expected)


def test_another_seed_or_stage_trains_otherwise() -> None:
    base, seed = net(), net()
    training(base).run()
    training(seed, recipe=attrs.evolve(SHORT, seed=1)).run()
    assert not torch.equal(base[0].weight, seed[0].weight)


def test_training_learns_which_half_is_brighter() -> None:
    module = net()
    recipe = attrs.evolve(SHORT, epochs=8, shift=0, mirror=False)
    first = accuracy(module, examples(200, 3))
    found = training(module, recipe=recipe).run()
    assert accuracy(module, examples(200, 3)) > first + 10
    assert found[-1].loss < found[0].loss


def one_step(penalty: Any = None) -> nn.Module:
    module = net()
    recipe = attrs.evolve(SHORT, epochs=1, batch=48, rate=0.1)
    training(module, recipe=recipe, penalty=penalty).run()
    return module


def test_a_penalty_is_part_of_what_is_descended() -> None:
    """One step at rate 0.1 with Nesterov momentum 0.9 moves by 0.19 of the gradient."""
    without, with_one = one_step(), one_step(lambda module: 2 * module[5].bias.sum())
    torch.testing.assert_close(with_one[5].bias, without[5].bias - 0.19 * 2)
    torch.testing.assert_close(with_one[0].weight, without[0].weight)


def test_no_step_more_than_halves_a_scale_that_is_learned() -> None:
    module = net()
    module.weight_scale = nn.Parameter(torch.tensor([1.0, 8.0]))
    recipe = attrs.evolve(SHORT, epochs=1, batch=48, rate=1.0)
    training(module, recipe=recipe, penalty=lambda module: 100 * module.weight_scale[0]).run()
    assert module.weight_scale.tolist() == [0.5, 8.0]


def test_what_is_held_where_it_belongs_after_each_step_stays_there() -> None:
    calls: list[int] = []

    def hold(module: nn.Module) -> None:
        calls.append(1)
        with torch.no_grad():
            module[5].weight.clamp_(-0.01, 0.01)

    module = net()
    training(module, after_step=hold).run()
    assert len(calls) == 6
    assert float(module[5].weight.detach().abs().max()) == pytest.approx(0.01)


@pytest.mark.parametrize("where", ["images", "penalty", "weights"])
def test_what_is_not_finite_ends_training_with_a_diagnostic(where: str) -> None:
    module = net()
    how: dict[str, Any] = {}
    if where == "penalty":
        how["penalty"] = lambda module: torch.tensor(math.inf)
    if where == "weights":
        how["after_step"] = lambda module: module[5].bias.data.fill_(math.nan)
    run = training(module, recipe=attrs.evolve(SHORT, batch=48, epochs=1), **how)
    if where == "images":
        stored = run.train.stored.copy()
        stored[7] = np.nan
        run.train = attrs.evolve(run.train, stored=stored)
    problem = told(run.run)
    assert problem.code == "E451"
    assert "a stage, epoch 1, step 1" in problem.headline
    assert problem.helps == ("a lower learning rate than 0.05",)


def test_the_rate_rises_and_falls_along_a_cosine() -> None:
    assert [rate_at(step, 100, 0.05) for step in range(6)] == pytest.approx(
        [0.2, 0.4, 0.6, 0.8, 1.0, 1.0]
    )
    assert rate_at(50, 95, 0.05) == pytest.approx(0.5)  # halfway: 5 steps rise, 90 fall
    assert rate_at(99, 100, 0.05) < 0.001


def test_fewer_examples_than_a_batch_are_one_step() -> None:
    run = training(net(), recipe=attrs.evolve(SHORT, batch=500))
    assert run.steps == 1
    assert len(run.run()) == 2


# What is around a run


def test_a_folder_is_of_one_run(tmp_path: Path) -> None:
    going = Going(kept=tmp_path / "run")
    going.begin({"data": "a", "options": {"seed": 0, "rate": 0.1}})
    going.begin({"options": {"rate": 0.1, "seed": 0}, "data": "a"})
    problem = told(lambda: going.begin({"data": "b", "options": {"seed": 1, "rate": 0.1}}))
    assert problem.code == "E452"
    assert problem.headline.endswith("another run has kept: `data`, `seed` differ")
    (tmp_path / "run" / "asked.json").write_text("[]")
    assert told(lambda: going.begin({"data": "a"})).code == "E456"
    (tmp_path / "file").write_text("")
    assert told(lambda: Going(kept=tmp_path / "file").begin({})).code == "E452"


def test_a_part_that_was_done_is_not_done_again(tmp_path: Path) -> None:
    going = Going(kept=tmp_path)
    calls: list[int] = []

    def make() -> dict[str, Any]:
        calls.append(1)
        return {"a": (1, 2)}

    assert going.once("part", make) == {"a": [1, 2]}
    assert going.once("part", make) == {"a": [1, 2]}
    assert len(calls) == 1
    assert going.within("other").once("part", make) == {"a": [1, 2]}
    assert len(calls) == 2
    (tmp_path / "part.json").write_text("{")
    assert told(lambda: going.once("part", make)).code == "E456"


def test_a_run_that_is_to_stop_keeps_what_it_has_just_done(tmp_path: Path) -> None:
    going = Going(kept=tmp_path, stopped=lambda: True)
    with pytest.raises(KeyboardInterrupt):
        going.once("part", lambda: 3)
    assert json.loads((tmp_path / "part.json").read_text()) == 3


# Options


@attrs.frozen(kw_only=True)
class Some(Options):
    """Options of every kind."""

    whole: int = option(3, "A whole number.", least=1, most=5)
    share: float = option(0.5, "A number.", least=0, most=1)
    least: int | None = option(None, "A whole number, or none.", least=2)
    word: str = option("a", "A word.", words=("a", "b"))


@pytest.mark.parametrize(
    "wrong",
    [
        *({"whole": each} for each in (0, 6, 2.5, True, "3", None, math.nan, math.inf)),
        *({"share": each} for each in (-0.1, 1.1, math.nan, -math.inf, "x", None)),
        *({"least": each} for each in (1, 2.5, math.inf, False)),
        *({"word": each} for each in ("c", None, 1)),
        *({"seed": -1}, {"images": 0}, {"held_back": 0}, {"judge": 0}, {"seed": 2**31}),
    ],
)
def test_a_value_outside_of_what_an_option_may_be_is_refused(wrong: dict[str, Any]) -> None:
    (name,) = wrong
    problem = told(Some(**wrong).check)
    assert problem.code == "E450"
    assert f"`{name}`" in problem.headline


@pytest.mark.parametrize(
    "right",
    [{}, {"whole": 1}, {"whole": 5.0}, {"share": 0}, {"share": 1}, {"least": 2}, {"word": "b"}],
)
def test_a_value_at_the_limit_is_taken(right: dict[str, Any]) -> None:
    Some(**right).check()
    assert json.loads(json.dumps(Some(**right).told())) == Some(**right).told()


@pytest.mark.parametrize("method", METHODS)
def test_every_option_of_every_method_is_held_to_its_limits(method: str) -> None:
    _, options = METHODS[method].load()
    options().check()
    for field in attrs.fields(options):
        assert field.metadata, f"`{field.name}` does not say what it is"
        limits = field.metadata
        wrong = [] if limits["least"] is None else [limits["least"] - 1]
        wrong += [] if limits["most"] is None else [limits["most"] + 1]
        wrong += ["none of these"] if limits["words"] else []
        for value in wrong:
            assert told(options(**{field.name: value}).check).code == "E450"


def test_a_model_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    model = Model.of(MODELS / "digits.pt")
    model.save(tmp_path / "a.adapted")
    assert (tmp_path / "a.adapted").read_bytes() == model.to_bytes()
    told(lambda: model.save(tmp_path / "nowhere" / "a.adapted"))
    assert io.BytesIO(model.to_bytes()).read(2) == b"PK"


@pytest.mark.parametrize(
    ("word", "mirrors", "found"),
    [
        ("auto", True, {"shift": 4, "mirror": True}),
        ("auto", False, {"shift": 4, "mirror": False}),
        ("shift", True, {"shift": 4, "mirror": False}),
        ("mirror", False, {"shift": 4, "mirror": True}),
        ("none", True, {"shift": 0, "mirror": False}),
    ],
)
def test_images_are_mirrored_where_that_keeps_their_class(
    word: str, mirrors: bool, found: dict[str, object]
) -> None:
    images = Examples(np.zeros((2, 3, 32, 32), np.uint8), np.zeros(2, np.int64), None)
    assert Trains(augment=word).augmented(DataSet("some", images, (), mirrors=mirrors)) == found


def test_digits_are_not_known_to_mirror() -> None:
    assert not cimarch.read_data("digits").mirrors
