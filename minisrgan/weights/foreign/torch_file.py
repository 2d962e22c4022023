"""PyTorch's .pth files, read without PyTorch and without pickle.

Such a file is a program for pickle's stack machine, which may call any function of any module by its name: loading it
means running code that a stranger wrote. `interpret` is that machine, reduced to what a dictionary of tensors needs. It
knows 34 of the 68 instructions, whose arguments `pickletools` reads without running anything, and the names in
`_CALLS`, which stand for our own functions that only record how a tensor is stored. A call of a name in `_NOTES`, such
as a number of NumPy, returns None; everything else is refused. Sizes in the file are compared with the data in the file
before any memory is allocated for them.

A short program can build a very large value, as it may use one value any number of times. So no function here looks
into a value that may be nested, not even for its hash or its text, and none copies a long value more than once.
"""

import math
import pickletools
from collections.abc import Callable, Iterable
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple
from zipfile import is_zipfile

import numpy as np

from minisrgan.backend import Array
from minisrgan.errors import WeightsError
from minisrgan.weights.foreign.archive import open_zip
from minisrgan.weights.store import widened

# Byte of an instruction -> its name, and the reader of the argument that follows it in the program.
_OPCODES = {code.code.encode("latin-1"): (code.name, code.arg) for code in pickletools.opcodes}
MAGIC = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."  # the first bytes of the format before 2020
_LARGEST = 256 << 10  # bytes of a program: enough for some 2,000 tensors, which take half a second at most
_MOST = 8  # arguments of a function, axes of a tensor, levels of nested dictionaries
_LONGEST = 200  # letters of a name
_KINDS = {
    "torch.FloatStorage": "<f4", "torch.DoubleStorage": "<f8", "torch.HalfStorage": "<f2", "torch.LongStorage": "<i8",
    "torch.BFloat16Storage": "<u2", "torch.IntStorage": "<i4", "torch.ShortStorage": "<i2", "torch.CharStorage": "i1",
    "torch.ByteStorage": "u1", "torch.BoolStorage": "?",
}  # fmt: skip
# Other objects in a checkpoint, which are skipped: best_psnr, options, a schedule, a date.
_NOTES = ("_codecs.", "argparse.", "collections.", "datetime.", "numpy.", "pathlib.", "torch.Size", "torch.device")


class _Global(str):
    """A name in the program, such as torch.FloatStorage; never imported."""


class _Storage(NamedTuple):
    kind: str
    key: str
    length: int


class _Tensor(NamedTuple):
    """A tensor as the file describes it: a storage, and which of its numbers belong to the tensor."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]


def read_torch(path: str | Path) -> dict[str, Array]:
    """Return the arrays of a file by name; in nested dictionaries the name is a path such as params_ema/conv.weight.

    The arrays are views of the file or of its parts; other content of the file is ignored. For any other file,
    exceptions of many types are raised: call this function within `minisrgan.weights.store.refusing`.
    """
    storages: dict[str, Array] = {}
    if is_zipfile(path):  # one entry is the program, and there is one for each storage
        with open_zip(path) as archive:
            (program,) = (info for info in archive.infolist() if info.filename.endswith("data.pkl"))
            if program.file_size > _LARGEST:
                raise ValueError(f"more than {_LARGEST >> 10} KB of instructions: no model of SRGAN has so many parts")
            root = program.filename.removesuffix("data.pkl")
            order = archive.read(f"{root}byteorder") if f"{root}byteorder" in archive.namelist() else b"little"
            little, tensors = order == b"little", _tensors(interpret(BytesIO(archive.read(program))), set())
            for key in {tensor.storage.key for tensor in tensors.values()}:
                storages[key] = np.frombuffer(archive.read(f"{root}data/{key}"), np.uint8)
    else:  # after the magic number: version, description of the machine, program, keys of the storages, their numbers
        data, kinds = np.memmap(path, np.uint8, "r"), dict[str, str]()
        head = BytesIO(bytes(data[:_LARGEST]))
        head.seek(len(MAGIC))
        _, machine, content, keys = interpret(head), interpret(head), interpret(head, kinds), interpret(head)
        little, tensors, at = machine["little_endian"], _tensors(content, set()), head.tell()
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
    """Return the tensors in nested dictionaries; a dictionary that occurs several times is read only once."""
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


def interpret(program: BinaryIO, kinds: dict[str, str] | None = None) -> Any:
    """Run a program to its end, and return the value that it leaves; `program` is read up to that point.

    kinds  filled with the number type of each storage that the program names
    """
    stacks: list[list[Any]] = [[]]  # each mark begins a new stack
    memo: dict[int, Any] = {}

    def push(value: Any) -> None:
        stacks[-1].append(value)

    def pop(at: int = -1) -> Any:
        return stacks[-1].pop(at)

    def extend(values: list[Any]) -> None:
        stacks[-1][-1].extend(values)

    def put(values: list[Any]) -> None:
        _put(stacks[-1][-1], zip(values[::2], values[1::2], strict=True))

    def storage() -> None:
        found = _storage(pop())
        push(found)
        if kinds is not None:
            kinds[found.key] = found.kind

    # Name of an instruction in `pickletools` -> function that executes it, called with its argument, if any.
    instructions: dict[str, Callable[[Any], object]] = {
        **dict.fromkeys(("BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT"), push),
        **dict.fromkeys(("BINUNICODE", "BINSTRING", "SHORT_BINSTRING"), push),
        **dict.fromkeys(("BINPUT", "LONG_BINPUT"), lambda place: memo.update({place: stacks[-1][-1]})),
        **dict.fromkeys(("BINGET", "LONG_BINGET"), lambda place: push(memo[place])),
        "PROTO": lambda version: None,
        "NONE": lambda _: push(None),
        "NEWTRUE": lambda _: push(True),
        "NEWFALSE": lambda _: push(False),
        "MARK": lambda _: stacks.append([]),
        "EMPTY_TUPLE": lambda _: push(()),
        "TUPLE1": lambda _: push((pop(),)),
        "TUPLE2": lambda _: push((pop(-2), pop())),
        "TUPLE3": lambda _: push((pop(-3), pop(-2), pop())),
        "TUPLE": lambda _: push(tuple(stacks.pop())),
        "EMPTY_LIST": lambda _: push([]),
        "APPEND": lambda _: extend([pop()]),
        "APPENDS": lambda _: extend(stacks.pop()),
        "EMPTY_DICT": lambda _: push({}),
        "SETITEM": lambda _: put([pop(-2), pop()]),
        "SETITEMS": lambda _: put(stacks.pop()),
        "BUILD": lambda _: pop(),  # attributes of a dictionary, such as PyTorch's _metadata
        "GLOBAL": lambda name: push(_Global(name.replace(" ", ".", 1))),
        "BINPERSID": lambda _: storage(),
        "REDUCE": lambda _: push(_called(arguments=pop(), name=pop())),
        "NEWOBJ": lambda _: push(_called(arguments=pop(), name=pop(), new=True)),
    }
    steps = {code: (instructions[name], value) for code, (name, value) in _OPCODES.items() if name in instructions}
    while (code := program.read(1)) != b".":
        if code not in steps:
            raise _runs(f"it is more than tensors: instruction {code!r}") if code else ValueError("it ends too early")
        step, value = steps[code]
        step(value.reader(program) if value else None)
    return pop()


def _called(arguments: Any, name: Any, new: bool = False) -> Any:
    """Return the result of a call: it runs one of our own functions in `_CALLS`, never the function in the file."""
    known = isinstance(name, _Global)
    if known and name in _CALLS and len(arguments) <= _MOST and not new:
        return _CALLS[name](*arguments)
    if known and name.startswith(_NOTES):
        return None
    if known and name.endswith("._reconstructor") and isinstance(arguments[0], _Global):
        raise _whole(arguments[0])
    if known and name.startswith(("torch._utils.", "torch.serialization.")):
        raise ValueError(f"a kind of tensor that is not read here ({name[:80]}): save model.float().state_dict()")
    raise _whole(name) if new else _runs(f"it wants to run {name[:80] if known else type(name)}")


def _runs(what: str) -> WeightsError:
    fix = "PyTorch would run what stands in it: save the arrays alone, or get them from somebody you trust"
    return WeightsError("read_torch", expected="tensors, and numbers and words beside them", got=what, fix=fix)


def _whole(name: Any) -> WeightsError:
    """Return the error for a pickled network object, whose code is not in the file."""
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
    """Build a dictionary from Python 2's list of pairs, and empty the list, so that it cannot fill many."""
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
