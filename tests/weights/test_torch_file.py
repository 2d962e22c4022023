"""PyTorch's files without PyTorch: real ones, those of Python 2, and what must not be taken for a tensor."""

from __future__ import annotations

import argparse
import pickle
import pickletools
from collections import Counter, defaultdict
from datetime import datetime
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest

from minisrgan.weights.foreign.torch_file import interpret, read_torch
from tests.weights.files import (
    MACHINE,
    WRITERS,
    call,
    dictionary,
    number,
    storage,
    tensor,
    tensors,
    text,
    tuple_of,
    write_old,
    write_zip,
)
from tests.weights.make_fixtures import FOLDER, STATE

ARRAY = np.arange(6, dtype=np.float32).reshape(2, 3)
formats = pytest.mark.parametrize("format_", ["zip", "old"])


@formats
@pytest.mark.parametrize("name", ["state", "checkpoint"])
def test_files_that_pytorch_wrote(format_: str, name: str) -> None:
    """A reader that is tested on files of its own writer only reads its own mistakes: strides, bfloat16, views."""
    arrays = read_torch(FOLDER / f"{name}_{format_}.pth")
    if name == "checkpoint":
        assert arrays.pop("optimizer/state/0/mean").shape == (2,)
        arrays = {key.removeprefix("state_dict/"): array for key, array in arrays.items()}
    assert arrays.keys() == STATE.keys()
    for key, array in STATE.items():
        assert arrays[key].dtype == array.dtype, key
        np.testing.assert_array_equal(arrays[key], array)


@formats
def test_a_module_that_pytorch_wrote(format_: str) -> None:
    """A module's state dict carries its _metadata along, as an attribute of a dictionary."""
    arrays = read_torch(FOLDER / f"module_{format_}.pth")
    assert {name: array.shape for name, array in arrays.items()} == {
        "0.weight": (2, 1, 1, 1), "0.bias": (2,), "1.weight": (2,), "1.bias": (2,), "1.running_mean": (2,),
        "1.running_var": (2,), "1.num_batches_tracked": (),
    }  # fmt: skip
    assert (arrays["1.running_var"] == 1).all()


@formats
def test_our_writers_agree_with_pytorch(format_: str, tmp_path: Path) -> None:
    """The broken files of the other tests start from these: they must be right but for what is broken."""
    path = WRITERS[format_](tmp_path / "x.pth", tensors({"a": ARRAY, "b": ARRAY[:1] + 7}), [ARRAY, ARRAY[:1] + 7])
    arrays = read_torch(path)
    np.testing.assert_array_equal(arrays["a"], ARRAY)
    np.testing.assert_array_equal(arrays["b"], ARRAY[:1] + 7)


@pytest.mark.parametrize(("format_", "name"), [(f, n) for f in WRITERS for n in ("state", "checkpoint", "module")])
def test_the_fixtures_are_what_pytorch_reads(format_: str, name: str) -> None:
    """Our reading of a file is right if PyTorch reads the same from it."""
    torch = pytest.importorskip("torch", reason="torch is not installed: its files are compared with fixtures only")
    theirs = torch.load(FOLDER / f"{name}_{format_}.pth", weights_only=True)
    theirs = theirs.get("state_dict", theirs)
    ours = read_torch(FOLDER / f"{name}_{format_}.pth")
    ours = {key.removeprefix("state_dict/"): array for key, array in ours.items() if "optimizer" not in key}
    assert ours.keys() == theirs.keys()
    for key, value in theirs.items():
        np.testing.assert_array_equal(ours[key], value.detach().to(torch.float64).numpy(), err_msg=key)


def test_what_python_2_wrote(tmp_path: Path) -> None:
    """Weights of 2017 have byte strings, dictionaries as lists of pairs, and tensors without hooks."""
    text_2 = b"U\x01a"
    old = call("torch._utils._rebuild_tensor", storage("FloatStorage", "0", 6, b"N"), number(0),
               tuple_of(number(2), number(3)), tuple_of(number(3), number(1)))  # fmt: skip
    program = call("collections.OrderedDict", b"](](" + text_2 + old + b"ee")
    np.testing.assert_array_equal(read_torch(write_old(tmp_path / "x.pth", program, [ARRAY]))["a"], ARRAY)


PROGRAMS = {
    b"K\xff": 255, b"M\xff\xff": 65535, b"J\xff\xff\xff\xff": -1, b"J\xff\xff\xff\x7f": 2**31 - 1, b"\x8a\x01\xff": -1,
    b"\x8a\x02\xff\x00": 255, b"\x8a\x00": 0, b"G\xbf\xe0" + bytes(6): -0.5, b"N": None, b"\x88": True, b"\x89": False,
    b"K\1\x85": (1,), b"K\1K\2\x86": (1, 2), b"K\1K\2K\3\x87": (1, 2, 3), b"(K\1(K\2tt": (1, (2,)), b")": (),
    b"](K\1K\2e": [1, 2], b"]K\1a": [1], b"}K\1K\2s": {1: 2}, b"}(K\1K\2K\3K\4u": {1: 2, 3: 4}, b"U\1a": "a",
    b"T\2\0\0\0ab": "ab", b"X\2\0\0\0\xc3\xa4": "\u00e4", b"K\1q\7K\2h\7\x86": (2, 1),
    b"K\1r\0\1\0\0K\2j\0\1\0\0\x86": (2, 1), b"}}b": {},
}  # fmt: skip


@pytest.mark.parametrize("program", PROGRAMS, ids=repr)
def test_every_instruction(program: bytes) -> None:
    """The files above use most of them; what is rare in a file must not be wrong in it. Pickle says what is right."""
    file = BytesIO(b"\x80\x02" + program + b"." + b"N.")
    assert (interpret(file), file.tell()) == (PROGRAMS[program], len(program) + 3)
    assert pickle.loads(b"\x80\x02" + program.replace(b"}}b", b"}") + b".") == PROGRAMS[program]


@pytest.mark.parametrize("code", sorted({op.code.encode("latin1") for op in pickletools.opcodes}))
def test_no_other_instruction(code: bytes) -> None:
    """Of pickle's instructions those that make objects in other ways must not be understood at all."""
    known = {program[i : i + 1] for program in PROGRAMS for i in range(len(program))}
    if code in known | {b"c", b"R", b"Q", b"\x80", b"\x81"}:
        return
    if code != b".":
        with pytest.raises(ValueError, match="instruction"):
            interpret(BytesIO(b"N" * 4 + code + bytes(20)))


@pytest.mark.parametrize("program", [b"](" + tensors({"a": ARRAY}) + b"e", tensor(ARRAY, "0"), b"N", number(3)])
def test_no_dictionary_at_all(program: bytes, tmp_path: Path) -> None:
    """A list of state dicts, or one tensor: arrays without names, of which nobody knows which is which."""
    with pytest.raises(ValueError, match="save the state_dict of one model"):
        read_torch(write_zip(tmp_path / "x.pth", program, [ARRAY]))


def test_a_tensor_of_another_kind(tmp_path: Path) -> None:
    """Sparse and quantized tensors, and those of 8 bits, are made by functions of PyTorch that we do not have."""
    with pytest.raises(ValueError, match=r"not read here \(torch\._utils\._rebuild_tensor_v3\)"):
        read_torch(write_zip(tmp_path / "x.pth", dictionary({"a": call("torch._utils._rebuild_tensor_v3")}), []))


@pytest.mark.parametrize("name", ["os.system", "builtins.eval", "torch.load", "torchvision._utils.f", "a"])
def test_no_other_function(name: str) -> None:
    """The names are the point at which a file reaches out of itself."""
    with pytest.raises(ValueError, match=f"wants to run .*{name}"):
        interpret(BytesIO(call(name, text("touch canary")) + b"."))


def pickled(value: object) -> bytes:
    """Return the instructions by which pickle makes a value."""
    return pickle.dumps(value, 2)[2:-1]


NOTES = {
    "best_psnr": np.float64(31.5), "psnr": np.float32(31.5), "losses": np.arange(9.0), "milestones": Counter({5: 1}),
    "options": argparse.Namespace(lr=1e-4, folder=Path("data")), "history": defaultdict(list, a=[1.0]),
    "when": datetime(2020, 1, 31), "names": {1: ("a", None, True)}, "epoch": 7,
}  # fmt: skip


@formats
def test_notes_beside_weights(format_: str, tmp_path: Path) -> None:
    """A checkpoint holds a score of NumPy's type, options, a schedule: of no use here, and no reason to refuse it."""
    program = dictionary({name: pickled(value) for name, value in NOTES.items()} | {"params": tensors({"a": ARRAY})})
    arrays = read_torch(WRITERS[format_](tmp_path / "x.pth", program, [ARRAY]))
    assert list(arrays) == ["params/a"]
    np.testing.assert_array_equal(arrays["params/a"], ARRAY)


class Net:
    """Stands for a module that somebody has pickled whole."""

    def __init__(self) -> None:
        self.weight = 1.0


def old_module() -> bytes:
    """Return how PyTorch refers to the source of a module in its old format."""
    return tuple_of(text("module"), b"cmodels\nGenerator\n", text("models.py"), text("class ...")) + b"Q"


WHOLE = {
    "a module": (pickled(Net()), "test_torch_file.Net"),
    "a module in a checkpoint": (dictionary({"generator": pickled(Net())}), "test_torch_file.Net"),
    "a module of Python 2": (call("copy_reg._reconstructor", b"cmodels\nGenerator\n", b"N", b"N"), "models.Generator"),
    "a module with its source": (old_module(), "models.Generator"),
}


@formats
@pytest.mark.parametrize("name", WHOLE)
def test_a_whole_module_is_told_so(name: str, format_: str, tmp_path: Path) -> None:
    """`torch.save(model)` is the commonest mistake: who is told to "get the file again" gets the same file again."""
    program, class_ = WHOLE[name]
    with pytest.raises(ValueError, match=rf"(?s)whole object, of the class .*{class_}.*save\(model\.state_dict\(\)"):
        read_torch(WRITERS[format_](tmp_path / "x.pth", program, []))


def test_a_dictionary_in_two_places_is_read_once(tmp_path: Path) -> None:
    """A program can put one large dictionary into thousands of places."""
    program = b"}" + text("a") + tensors({"x": ARRAY}) + b"q\1s" + text("b") + b"h\1s"
    assert list(read_torch(write_zip(tmp_path / "x.pth", program, [ARRAY]))) == ["a/x"]


def shape(*sizes: int) -> bytes:
    return tuple_of(*map(number, sizes))


# What is wrong with a file, its program, and other parts.
REFUSED = {
    "a tensor beyond the end of its storage": tensor(ARRAY, "0", offset=number(1)),
    "a tensor before the start of its storage": tensor(ARRAY, "0", offset=number(-1)),
    "a tensor larger than its storage": tensor(ARRAY, "0", shape=shape(10**6, 10**6), stride=shape(0, 0)),
    "strides that leave the storage": tensor(ARRAY, "0", stride=shape(300, 100)),
    "strides that go backwards": tensor(ARRAY, "0", offset=number(5), stride=shape(-3, -1)),
    "more strides than axes": tensor(ARRAY, "0", stride=shape(3, 1, 1)),
    "fewer strides than axes": tensor(ARRAY, "0", stride=shape(1)),
    "a shape that is text": tensor(ARRAY, "0", shape=text("ab")),
    "a shape of tuples": tensor(ARRAY, "0", shape=tuple_of(number(10**9), tuple_of(number(1)))),
    "a storage of another length": tensor(ARRAY, "0", storage=storage("FloatStorage", "0", 7)),
    "a storage of another kind": tensor(ARRAY, "0", storage=storage("DoubleStorage", "0", 6)),
    "a storage of an unknown kind": tensor(ARRAY, "0", storage=storage("QInt8Storage", "0", 24)),
    "a storage that is not there": tensor(ARRAY, "1"),
    "a storage somewhere else": tensor(ARRAY, "../../../data.pkl"),
    "a view of a storage": tensor(ARRAY, "0", storage=storage("FloatStorage", "0", 6, shape(0, 6))),
    "a tensor that is text": tensor(ARRAY, "0", storage=text("0")),
}


@formats
@pytest.mark.parametrize("wrong", REFUSED)
def test_no_tensor_that_is_not_there(wrong: str, format_: str, tmp_path: Path) -> None:
    """NumPy follows any stride to any address: what the file says of a tensor has to be compared with what it has."""
    path = WRITERS[format_](tmp_path / "x.pth", dictionary({"a": REFUSED[wrong]}), [ARRAY])
    with pytest.raises((ValueError, KeyError, TypeError)):
        read_torch(path)


@formats
def test_a_name_that_stands_there_twice(format_: str, tmp_path: Path) -> None:
    """The second would silently replace the first, for us; another program may show the first to a reviewer."""
    program = b"}(" + 2 * (text("a") + tensor(ARRAY, "0")) + b"u"
    with pytest.raises(ValueError, match="twice"):
        read_torch(WRITERS[format_](tmp_path / "x.pth", program, [ARRAY]))


def test_another_order_of_bytes_is_refused(tmp_path: Path) -> None:
    """Read the wrong way round every number is another, and finite."""
    write_zip(tmp_path / "zip.pth", tensors({"a": ARRAY}), [ARRAY], byteorder=b"big")
    write_old(tmp_path / "old.pth", tensors({"a": ARRAY}), [ARRAY], MACHINE.replace(b"\x88", b"\x89"))
    for name in ("zip", "old"):
        with pytest.raises(ValueError, match="highest byte"):
            read_torch(tmp_path / f"{name}.pth")
