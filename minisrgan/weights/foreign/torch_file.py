"""PyTorch's .pth files, read without PyTorch and without pickle.

Such a file is a program for pickle's stack machine, which may call any function of any module by its name: loading it
means running what a stranger wrote. `interpret` is that machine reduced to what a dictionary of tensors takes. It knows
34 of the 68 instructions, and the names in `_CALLS`, which stand for functions of our own that only note what a tensor
is made of. What `_NOTES` names, such as a number of NumPy's, becomes None; everything else is refused. Nothing is
allocated because the file says so: what it says of sizes is compared with what is there.

A program can build much out of little: it names one value any number of times. So nothing here looks into a value that
may be nested, not even by its hash or its text, and nothing that may be long is copied more than once.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple
from zipfile import is_zipfile

import numpy as np

from minisrgan.backend import Array
from minisrgan.errors import WeightsError
from minisrgan.weights.foreign.archive import open_zip
from minisrgan.weights.store import widened

MAGIC = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."  # how the format of before 2020 begins
_LARGEST = 256 << 10  # bytes of a program: some 2,000 tensors, and half a second at worst
_MOST = 8  # arguments of a function, axes of a tensor, dictionaries in one another
_LONGEST = 200  # letters of a name
_KINDS = {
    "torch.FloatStorage": "<f4", "torch.DoubleStorage": "<f8", "torch.HalfStorage": "<f2", "torch.LongStorage": "<i8",
    "torch.BFloat16Storage": "<u2", "torch.IntStorage": "<i4", "torch.ShortStorage": "<i2", "torch.CharStorage": "i1",
    "torch.ByteStorage": "u1", "torch.BoolStorage": "?",
}  # fmt: skip
# What stands beside weights in a checkpoint, of which nothing is of use here: best_psnr, options, a schedule, a date.
_NOTES = ("_codecs.", "argparse.", "collections.", "datetime.", "numpy.", "pathlib.", "torch.Size", "torch.device")


class _Global(str):
    """A name in the program, such as torch.FloatStorage; never imported."""


class _Storage(NamedTuple):
    kind: str
    key: str
    length: int


class _Tensor(NamedTuple):
    """A tensor as the file tells of it: which numbers of which storage."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]


def read_torch(path: str | Path) -> dict[str, Array]:
    """Return the arrays of a file under their names; one in a dictionary in a dictionary as params_ema/conv.weight.

    The numbers are views of the file or of its parts; what else the file holds is left out. For any other file an
    exception is raised, of whatever kind: call this within `minisrgan.weights.store.refusing`.
    """
    storages: dict[str, Array] = {}
    if is_zipfile(path):  # one part is the program, and one each storage
        with open_zip(path) as archive:
            (program,) = (info for info in archive.infolist() if info.filename.endswith("data.pkl"))
            if program.file_size > _LARGEST:
                raise ValueError(f"more than {_LARGEST >> 10} KB of instructions: no model of SRGAN has so many parts")
            root = program.filename.removesuffix("data.pkl")
            order = archive.read(f"{root}byteorder") if f"{root}byteorder" in archive.namelist() else b"little"
            little, tensors = order == b"little", _tensors(interpret(archive.read(program))[0], set())
            for key in {tensor.storage.key for tensor in tensors.values()}:
                storages[key] = np.frombuffer(archive.read(f"{root}data/{key}"), np.uint8)
    else:  # after the magic number a version, words about the machine, the program, the storages' names and numbers
        data, kinds = np.memmap(path, np.uint8, "r"), dict[str, str]()
        head = bytes(data[:_LARGEST])
        _, at = interpret(head, len(MAGIC))
        machine, at = interpret(head, at)
        content, at = interpret(head, at, kinds)
        keys, at = interpret(head, at)
        little, tensors = machine["little_endian"], _tensors(content, set())
        for key in keys:
            if not isinstance(key, str):
                raise TypeError("a storage without a name")
            start = at + 8
            at = start + int.from_bytes(data[at:start], "little") * np.dtype(_KINDS[kinds[key]]).itemsize
            storages[key] = data[start:at]
        if at > data.size:
            raise ValueError("it ends too early")
    if not little:
        raise ValueError("numbers with the highest byte first")
    if sum(math.prod(tensor.shape) for tensor in tensors.values()) > Path(path).stat().st_size:
        raise ValueError("tensors that are larger than the file")
    return {name: _array(tensor, storages[tensor.storage.key]) for name, tensor in tensors.items()}


def _tensors(content: Any, seen: set[int], depth: int = _MOST) -> dict[str, _Tensor]:
    """Return the tensors in dictionaries of dictionaries; of a dictionary that stands in several places, the first."""
    if not isinstance(content, dict):
        raise ValueError("no dictionary: save the state_dict of one model, which has names for its arrays")
    found: dict[str, _Tensor] = {}
    seen.add(id(content))
    for key, item in content.items():
        name = str(key)[:_LONGEST]
        if isinstance(item, _Tensor):
            _put(found, [(name, item)])
        elif isinstance(item, dict) and id(item) not in seen and depth:
            below = _tensors(item, seen, depth - 1)
            _put(found, ((f"{name}/{inner}", tensor) for inner, tensor in below.items()))
    return found


def interpret(program: bytes, at: int = 0, kinds: dict[str, str] | None = None) -> tuple[Any, int]:
    """Run a program; return what it leaves and where it ends.

    kinds  filled with the kind of number of each storage that the program names
    """
    stack: list[Any] = []
    marks: list[int] = []
    memo: dict[int, Any] = {}
    push, pop = stack.append, stack.pop

    def take(count: int) -> bytes:
        nonlocal at
        at += count
        if at > len(program):
            raise ValueError("it ends too early")
        return program[at - count : at]

    def line() -> str:
        return take(program.index(b"\n", at) + 1 - at)[:-1].decode()

    def above_mark() -> list[Any]:
        start = marks.pop()
        values = stack[start:]
        del stack[start:]
        return values

    def put(values: list[Any]) -> None:
        _put(stack[-1], zip(values[::2], values[1::2], strict=True))

    def extend(values: list[Any]) -> None:
        stack[-1].extend(values)

    def storage() -> None:
        push(_storage(pop()))
        if kinds is not None:
            kinds[stack[-1].key] = stack[-1].kind

    def call(new: bool = False) -> None:
        arguments, name = pop(), pop()
        known = isinstance(name, _Global)
        if known and name in _CALLS and len(arguments) <= _MOST and not new:
            push(_CALLS[name](*arguments))
        elif known and name.startswith(_NOTES):
            push(None)
        elif known and name.endswith("._reconstructor") and isinstance(arguments[0], _Global):
            raise _whole(arguments[0])
        elif known and name.startswith(("torch._utils.", "torch.serialization.")):
            raise ValueError(f"a kind of tensor that is not read here ({name[:80]}): save model.float().state_dict()")
        else:
            raise _whole(name) if new else _runs(f"it wants to run {name[:80] if known else type(name)}")

    # Each instruction: how many bytes behind it are its number n, and what it does.
    instructions: dict[bytes, tuple[int, Callable[[int], object]]] = {
        b"\x80": (1, lambda n: None),  # the version of pickle
        b"N": (0, lambda n: push(None)),
        b"\x88": (0, lambda n: push(True)),
        b"\x89": (0, lambda n: push(False)),
        b"K": (1, push),
        b"M": (2, push),
        b"J": (4, lambda n: push(n - (n >> 31 << 32))),  # signed
        b"\x8a": (1, lambda n: push(int.from_bytes(take(n), "little", signed=True))),
        b"G": (0, lambda n: push(float(np.frombuffer(take(8), ">f8")[0]))),
        b"X": (4, lambda n: push(take(n).decode())),
        b"T": (4, lambda n: push(take(n).decode())),
        b"U": (1, lambda n: push(take(n).decode())),
        b"q": (1, lambda n: memo.update({n: stack[-1]})),
        b"r": (4, lambda n: memo.update({n: stack[-1]})),
        b"h": (1, lambda n: push(memo[n])),
        b"j": (4, lambda n: push(memo[n])),
        b"(": (0, lambda n: marks.append(len(stack))),
        b")": (0, lambda n: push(())),
        b"\x85": (0, lambda n: push((pop(),))),
        b"\x86": (0, lambda n: push((pop(-2), pop()))),
        b"\x87": (0, lambda n: push((pop(-3), pop(-2), pop()))),
        b"t": (0, lambda n: push(tuple(above_mark()))),
        b"]": (0, lambda n: push([])),
        b"a": (0, lambda n: stack[-2].append(pop())),
        b"e": (0, lambda n: extend(above_mark())),
        b"}": (0, lambda n: push({})),
        b"s": (0, lambda n: put([pop(-2), pop()])),
        b"u": (0, lambda n: put(above_mark())),
        b"b": (0, lambda n: pop()),  # attributes of a dictionary, such as PyTorch's _metadata
        b"c": (0, lambda n: push(_Global(f"{line()}.{line()}"))),
        b"Q": (0, lambda n: storage()),
        b"R": (0, lambda n: call()),
        b"\x81": (0, lambda n: call(new=True)),
    }
    while (code := take(1)) != b".":
        if code not in instructions:
            raise _runs(f"it is more than tensors: instruction {code!r}")
        size, step = instructions[code]
        step(int.from_bytes(take(size), "little"))
    return pop(), at


def _runs(what: str) -> WeightsError:
    fix = "PyTorch would run what stands in it: save the arrays alone, or get them from somebody you trust"
    return WeightsError("read_torch", expected="tensors, and numbers and words beside them", got=what, fix=fix)


def _whole(name: Any) -> WeightsError:
    """Return the error for a network that was pickled as it is: its code is not in the file."""
    got = f"a whole object, of the class {name[:80] if isinstance(name, _Global) else type(name)}"
    fix = "with the program that made the file, save the arrays alone: torch.save(model.state_dict(), 'weights.pth')"
    return WeightsError("read_torch", expected="a state dict", got=got, fix=fix)


def _put(target: dict[Any, Any], pairs: Iterable[Any]) -> dict[Any, Any]:
    for key, value in pairs:
        if not isinstance(target, dict) or not isinstance(key, str | int) or key in target:
            raise ValueError("a name that stands there twice, or is none")
        target[key] = value
    return target


def _ordered_dict(pairs: Any = ()) -> dict[Any, Any]:
    """Python 2 wrote the contents as a list, which is used up here: else one list could fill many dictionaries."""
    result = _put({}, pairs)
    if pairs:
        pairs.clear()
    return result


def _storage(identifier: Any) -> _Storage:
    match identifier:
        case ("storage", _Global(), str(), _, int()) | ("storage", _Global(), str(), _, int(), None):
            if identifier[1] not in _KINDS:
                raise ValueError(f"numbers of a kind that is not read here, {identifier[1][:80]}")
            return _Storage(identifier[1], identifier[2], identifier[4])
        case ("module", _Global(), *_):
            raise _whole(identifier[1])
    raise ValueError("it is more than tensors: a view of a storage, as PyTorch wrote before 2017")


def _tensor(storage: Any, offset: Any, shape: Any, stride: Any, *_: Any) -> _Tensor:
    numbers = (offset, *shape[:_MOST], *stride[:_MOST])
    plain = isinstance(storage, _Storage) and all(type(number) is int and number >= 0 for number in numbers)
    if not plain or len(numbers) != 1 + 2 * len(shape):
        raise ValueError("a tensor that is none")
    return _Tensor(storage, offset, shape, stride)


_CALLS: dict[str, Callable[..., Any]] = {
    "collections.OrderedDict": _ordered_dict,
    "collections.defaultdict": lambda *_: {},
    "torch._utils._rebuild_tensor": _tensor,
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_parameter": lambda tensor, *_: tensor,
}


def _array(tensor: _Tensor, data: Array) -> Array:
    (kind, _, length), offset, shape, stride = tensor
    flat = data.view(_KINDS[kind])
    last = offset + sum((n - 1) * step for n, step in zip(shape, stride, strict=True))
    if flat.size != length or last >= max(length, 1):
        raise ValueError(f"a tensor that does not fit its storage of {flat.size} numbers")
    array = np.lib.stride_tricks.as_strided(flat[offset:], shape, [step * flat.itemsize for step in stride])
    return widened(array) if kind == "torch.BFloat16Storage" else array
