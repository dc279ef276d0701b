"""What `read_network` accepts and refuses, told by content and not by suffix."""

import hashlib
import subprocess
import sys

import numpy as np
import pytest

from cimarch import DescriptionError, read_network

EXPORT = "cimarch export package.module:factory --input 1x3x32x32 -o model.pt"


def problem(*arguments, **options):
    with pytest.raises(DescriptionError) as caught:
        read_network(*arguments, **options)
    return caught.value.diagnostics[0]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """One trained network in every form that it can have."""
    torch = pytest.importorskip("torch")
    safetensors = pytest.importorskip("safetensors.torch")
    from cimarch.workload import zoo
    from cimarch.workload.trace import export

    folder = tmp_path_factory.mktemp("models")
    torch.manual_seed(0)
    module = zoo.build("resnet20")
    state = module.state_dict()
    (folder / "whole.pt").write_bytes(export(module, torch.zeros(1, 3, 32, 32)))
    torch.save(state, folder / "state.pt")
    torch.save(state, folder / "legacy.pt", _use_new_zipfile_serialization=False)
    torch.save({"epoch": 3, "state_dict": state}, folder / "checkpoint.pt")
    torch.save({f"module.{key}": value for key, value in state.items()}, folder / "parallel.pt")
    torch.save(module, folder / "pickled.pt")
    torch.jit.save(torch.jit.trace(module.eval(), torch.zeros(1, 3, 32, 32)), folder / "script.pt")
    safetensors.save_file(state, folder / "state.safetensors")
    return folder


@pytest.mark.parametrize(
    "name", ["state.pt", "legacy.pt", "checkpoint.pt", "parallel.pt", "state.safetensors"]
)
def test_weights_with_a_network_named_are_the_same_as_the_whole(made, name):
    whole = read_network(made / "whole.pt")
    network = read_network(made / name, model="resnet20")
    assert network.operations == whole.operations
    for path, weight in whole.weights.items():
        assert np.array_equal(network.weights[path].data, weight.data)
    assert network.digest == hashlib.sha256((made / name).read_bytes()).hexdigest()


def test_the_suffix_does_not_matter(made, tmp_path):
    other = tmp_path / "network.txt"
    other.write_bytes((made / "whole.pt").read_bytes())
    assert read_network(other).operations == read_network(made / "whole.pt").operations


def test_reading_an_archive_imports_no_torch(made):
    code = f"import cimarch, sys; cimarch.read_network({str(made / 'whole.pt')!r}); "
    code += "print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_weights_alone_do_not_say_of_which_network(made):
    found = problem(made / "state.pt")
    assert found.code == "E163"
    assert found.helps[0] == "--model resnet20"


def test_weights_of_another_network_are_told_by_what_is_missing(made):
    found = problem(made / "state.pt", model="resnet32")
    assert found.headline == f"the weights of `{made / 'state.pt'}` are not those of `ResNet`"
    assert found.notes[0].startswith("missing: `layer1.3.conv1.weight`")
    found = problem(made / "state.pt", model="mlp")
    assert found.notes[1].startswith("not in the network: `conv1.weight`")


def test_a_whole_network_takes_no_name(made):
    assert problem(made / "whole.pt", model="resnet20").headline.endswith("it takes no `--model`")
    assert problem(made / "whole.pt", input="1x3x32x32").headline.endswith("it takes no `--input`")


@pytest.mark.parametrize(
    ("name", "says"),
    [("pickled.pt", "is a pickle, which could run anything"), ("script.pt", "is a TorchScript")],
)
def test_what_would_run_code_is_refused_with_the_command_that_does_not(made, name, says):
    found = problem(made / name)
    assert says in found.headline
    assert found.helps == (EXPORT,)


def test_the_class_that_a_pickled_module_would_import_is_named(made):
    assert "`cimarch.models.resnet.ResNet`" in problem(made / "pickled.pt").notes[0]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is empty"),
        (b"\x89HDF\r\n\x1a\n", "is an HDF5 file"),
        (b"\x1c\0\0\0TFL3\0\0", "is a TensorFlow Lite model"),
        (b"\x1f\x8b\x08\0\0\0\0\0", "is packed with gzip"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "is a Git LFS pointer"),
        (b"# a chip\nsystem tiny {\n}\n", "is a description of hardware, not a network"),
        (b"PK\x05\x06" + bytes(18), "is a zip archive, but no model"),
        (b"hello", "is no model file that is known here"),
        (bytes(100), "is no model file that is known here"),
    ],
)
def test_other_files_are_refused_for_what_they_are(tmp_path, content, says):
    path = tmp_path / "file"
    path.write_bytes(content)
    found = problem(path)
    assert found.headline.startswith(f"`{path}` {says}")
    assert found.helps or not content


def test_a_directory_and_a_missing_file_are_told_apart(tmp_path):
    assert problem(tmp_path).headline == f"`{tmp_path}` is a directory, not a model file"
    assert problem(tmp_path / "x.pt").headline == f"there is no file `{tmp_path / 'x.pt'}`"


def test_the_name_of_a_network_that_is_no_file_is_its_shapes():
    by_path, by_name = read_network("vgg16"), read_network(None, model="vgg16")
    assert by_path.operations == by_name.operations
    assert by_path.digest == by_name.digest
    assert all(weight.data is None for weight in by_path.weights.values())
    assert read_network("resnet20").weights["conv1.weight"].data is not None


def test_the_name_of_a_network_in_a_folder_is_no_network():
    assert problem("nets/vgg16").headline == "there is no file `nets/vgg16`"
    assert problem("nets/vgg16").helps == ("--model vgg16 (its shapes, without weights)",)


def test_a_shipped_file_is_found_by_its_bare_name(monkeypatch, made, tmp_path):
    from cimarch import share

    (tmp_path / "resnet20.pt").write_bytes((made / "whole.pt").read_bytes())
    monkeypatch.setattr(share, "folder", lambda name: tmp_path)
    for name in ("resnet20", "resnet20.pt", "models/resnet20.pt"):
        assert read_network(name).name == "resnet20"


def test_a_damaged_safetensors_file_is_refused(made, tmp_path):
    path = tmp_path / "cut"
    path.write_bytes((made / "state.safetensors").read_bytes()[:-100])
    assert problem(path, model="resnet20").headline == f"`{path}` is a damaged safetensors file"


def test_shapes_alone_hold_no_arrays():
    network = read_network(None, model="vgg16", input=(1, 3, 224, 224))
    assert all(weight.data is None for weight in network.weights.values())
    assert network.digest == read_network(None, model="vgg16").digest
    assert network.digest != read_network(None, model="vgg11").digest


@pytest.mark.parametrize(
    ("shape", "says"),
    [
        ("3x32x32", "input `3x32x32` has a batch of 3, not 1"),
        ("1x0x4", "input `1x0x4` is not a shape: whole numbers from 1, with x between"),
        ("1x-3", "input `1x-3` is not a shape: whole numbers from 1, with x between"),
        ("", "input `` is not a shape: whole numbers from 1, with x between"),
        ((2, 5), "input `2x5` has a batch of 2, not 1"),
    ],
)
def test_an_input_is_a_shape_with_a_batch_of_one(shape, says):
    assert problem(None, model="mlp", input=shape).headline == says


def test_an_input_that_the_network_cannot_take_names_the_one_that_it_can():
    found = problem(None, model="vgg16", input="1x3x32x32")
    assert found.helps == ("`vgg16` is made for --input 1x3x224x224",)


def test_a_misspelt_network_is_guessed():
    assert problem(None, model="resnet21").helps[0].startswith("--model resnet")


def test_no_network_at_all_is_a_diagnostic():
    assert problem(None).headline == "no network is given"


def test_without_torch_it_is_said_how_to_get_it(made, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    for arguments in (
        (made / "state.pt", "resnet20"),
        (made / "state.safetensors", "resnet20"),
    ):
        found = problem(*arguments)
        assert found.code == "E160"
        assert found.helps == ("pip install 'cimarch[torch]'",)
    assert len(read_network(made / "whole.pt").operations) == 56


@pytest.mark.parametrize("layout", ["torch 2.8", "torch 2.6"])
def test_older_layouts_read_as_the_newest(made, tmp_path, layout):
    """Both keep the weights in one state_dict; the graph is the same JSON."""
    import zipfile

    torch = pytest.importorskip("torch")
    with zipfile.ZipFile(made / "whole.pt") as archive:
        names = {name.partition("/")[2]: name for name in archive.namelist()}
        program = archive.read(names["models/model.json"])
    state = (made / "state.pt").read_bytes()
    empty = tmp_path / "empty.pt"
    torch.save({}, empty)
    members = {
        "torch 2.8": {
            "m/models/model.json": program,
            "m/data/weights/model.pt": state,
            "m/data/constants/model.pt": empty.read_bytes(),
        },
        "torch 2.6": {
            "version": b"8.7",
            "serialized_exported_program.json": program,
            "serialized_state_dict.pt": state,
            "serialized_constants.pt": empty.read_bytes(),
        },
    }[layout]
    path = tmp_path / "old.pt2"
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    assert read_network(path).operations == read_network(made / "whole.pt").operations
