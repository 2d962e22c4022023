"""Files that are broken, forged or malicious: each refused at once, with little memory, by one class of error."""

from __future__ import annotations

import gc
import json
import pickle
import struct
import time
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from minisrgan.errors import WeightsError
from minisrgan.weights import load_model, load_state, save_model, save_state
from minisrgan.weights.store import digest
from tests.weights.files import (
    MACHINE,
    MAGIC,
    VERSION,
    dictionary,
    npy,
    number,
    small_discriminator,
    small_generator,
    tensor,
    tensors,
    text,
    torch_layout,
    tuple_of,
    write_npz,
    write_old,
    write_safetensors,
    write_zip,
)

SECONDS, MEGABYTES = 1.0, 200
ARRAY = np.arange(6, dtype=np.float32).reshape(2, 3)
GENERATOR = torch_layout(small_generator().state_dict())

KINDS: dict[str, Callable[[Path], object]] = {}


def kind(make: Callable[[Path], object]) -> Callable[[Path], object]:
    """Enter a kind of bad file: a function that writes one."""
    KINDS[make.__name__.replace("_", " ")] = make
    return make


# Files that would run something. What they run makes a file named canary beside them.


class Runs:
    """What makes a canary where it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self.canary = folder / "canary"

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.canary,)


def unpickled_runs(data: bytes, folder: Path) -> None:
    """Make sure that the file is dangerous: pickle does run what is in it."""
    pickle.loads(data)
    (folder / "canary").unlink()


@kind
def a_zip_that_runs_a_command(path: Path) -> None:
    program = pickle.dumps({"a": Runs(path.parent)}, 2)
    unpickled_runs(program, path.parent)
    write_zip(path, program[2:-1], [])


@kind
def an_old_file_that_runs_a_command(path: Path) -> None:
    write_old(path, pickle.dumps({"a": Runs(path.parent)}, 2)[2:-1], [])


@kind
def a_command_among_good_weights(path: Path) -> None:
    program = pickle.dumps(Runs(path.parent), 2)[2:-1]
    arrays = list(GENERATOR.values())
    write_zip(path, tensors(GENERATOR)[:-1] + text("z") + program + b"u", arrays)


@kind
def a_command_where_the_magic_number_was(path: Path) -> None:
    path.write_bytes(pickle.dumps(Runs(path.parent), 2))


@kind
def a_command_of_a_newer_pickle(path: Path) -> None:
    write_zip(path, pickle.dumps({"a": Runs(path.parent)}, 4)[2:-1], [])


@kind
def an_npz_of_pickled_objects(path: Path) -> None:
    np.savez(path.with_suffix(".npz"), **{"c0.weight": np.array([Runs(path.parent)], dtype=object)})
    path.with_suffix(".npz").rename(path)
    with np.load(path, allow_pickle=True) as file:
        assert file["c0.weight"] is not None
    (path.parent / "canary").unlink()


# Bombs


@kind
def a_zip_bomb(path: Path) -> None:
    write_npz(path, {"c0.weight": npy(np.zeros(25_000_000, np.float32))}, zipfile.ZIP_DEFLATED)


@kind
def a_zip_bomb_in_pytorchs_format(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        big = np.zeros(25_000_000, np.float32)
        archive.writestr("a/data.pkl", b"\x80\x02" + dictionary({"a": tensor(big, "0")}) + b".")
        archive.writestr("a/data/0", big.tobytes())


@kind
def a_program_without_end(path: Path) -> None:
    write_old(path, b"(" * 50_000_000, [])


@kind
def a_program_as_long_as_is_read(path: Path) -> None:
    write_old(path, b"}" + b"q\0h\0" * 62_000, [])


def nested(levels: int) -> bytes:
    """Return a tuple of two tuples of two tuples ...: its hash and its text take 2^levels steps."""
    return b")" + b"".join(b"q\0h\0\x86" for _ in range(levels))


@kind
def a_name_of_nested_tuples(path: Path) -> None:
    write_old(path, b"}" + nested(100) + b"Ns", [])


@kind
def a_function_of_nested_tuples(path: Path) -> None:
    write_old(path, nested(100) + b")R", [])


@kind
def a_storage_of_nested_tuples(path: Path) -> None:
    key = tuple_of(text("storage"), b"ctorch\nFloatStorage\n", nested(100), text("cpu"), number(6)) + b"Q"
    write_old(path, dictionary({"a": tensor(ARRAY, "0", storage=key)}), [ARRAY])


@kind
def a_shape_of_nested_tuples(path: Path) -> None:
    write_old(path, dictionary({"a": tensor(ARRAY, "0", shape=tuple_of(nested(100), nested(100)))}), [ARRAY])


@kind
def keys_of_nested_tuples(path: Path) -> None:
    head = MAGIC + VERSION + MACHINE + b"\x80\x02" + tensors({"a": ARRAY}) + b"."
    path.write_bytes(head + b"\x80\x02](" + nested(100) + b"e.")


@kind
def one_list_in_many_dictionaries(path: Path) -> None:
    pairs = b"".join(b"(M" + struct.pack("<H", i) + b"Nt" for i in range(15_000))
    program = b"](" + pairs + b"eq\0ccollections\nOrderedDict\nq\1" + b"h\1h\0\x85R" * 20_000
    write_old(path, program, [])


@kind
def one_dictionary_in_many_places(path: Path) -> None:
    entries = b"".join(b"M" + struct.pack("<H", i) + b"N" for i in range(20_000))
    places = b"".join(b"M" + struct.pack("<H", i) + b"h\0" for i in range(30_000))
    write_old(path, b"}(" + entries + b"uq\0}(" + places + b"u", [])


@kind
def one_tuple_for_many_storages(path: Path) -> None:
    write_old(path, b"(" + b"N" * 100_000 + b"tq\0" + b"h\0Q" * 40_000, [])


@kind
def arguments_for_many_tensors(path: Path) -> None:
    many = b"(" + b"N" * 100_000 + b"tq\0ctorch._utils\n_rebuild_parameter\nq\1"
    write_old(path, many + b"h\1h\0R" * 30_000, [])


@kind
def one_storage_in_many_tensors(path: Path) -> None:
    array = np.zeros(100_000, np.float16)
    one = tensor(array, "0", storage=b"h\0", shape=b"h\1", stride=b"h\2")
    start = tensor(array, "0").partition(b"Q")[0].partition(b"(")[2].partition(b"(")[2]
    head = b"(" + start + b"Qq\0" + tuple_of(number(array.size)) + b"q\1" + tuple_of(number(1)) + b"q\2"
    write_old(path, head + dictionary({str(i): one for i in range(1500)}), [array])


@kind
def one_long_name_in_dictionaries_of_dictionaries(path: Path) -> None:
    start = text("x" * 100_000) + b"q\0" + tensor(ARRAY, "0") + b"q\1"
    inner = b"".join(b"}h\0h\1s" + b"q" + bytes([number]) for number in range(2, 250))
    program = b"(" + start + inner + b"t" + b"}" + b"".join(b"M" + struct.pack("<H", i) + b"h" + bytes([i]) + b"s"
                                                         for i in range(2, 250))  # fmt: skip
    write_zip(path, program, [ARRAY])


@kind
def a_thousand_dictionaries_in_one_another(path: Path) -> None:
    program = b"}" + (text("y" * 150) + b"}") * 1000 + text("a") + tensor(ARRAY, "0") + b"s" * 1001
    write_zip(path, program, [ARRAY])


# Sizes that are not there


@kind
def an_npz_with_a_forged_shape(path: Path) -> None:
    header = "{'descr': '<f4', 'fortran_order': False, 'shape': (1000000, 1000000), }"
    write_npz(path, {"c0.weight": npy(ARRAY, header)})


@kind
def a_tensor_with_a_forged_shape(path: Path) -> None:
    shapes = {"shape": tuple_of(number(10**6), number(10**6)), "stride": tuple_of(number(0), number(0))}
    write_zip(path, dictionary({"conv_first.weight": tensor(ARRAY, "0", **shapes)}), [ARRAY])


@kind
def a_storage_with_a_forged_length(path: Path) -> None:
    write_old(path, tensors(GENERATOR), list(GENERATOR.values()))
    last = list(GENERATOR.values())[-1].tobytes()
    path.write_bytes(path.read_bytes()[: -8 - len(last)] + struct.pack("<Q", 1 << 60) + last)


@kind
def a_safetensors_with_a_forged_shape(path: Path) -> None:
    write_safetensors(path, {"x": {"dtype": "F32", "shape": [10**6, 10**6], "data_offsets": [0, 24]}}, ARRAY.tobytes())


@kind
def a_safetensors_with_a_forged_header(path: Path) -> None:
    write_safetensors(path, {}, length=1 << 62)


@kind
def settings_of_a_giant(path: Path) -> None:
    settings = {"scale": 4, "channels": 100_000, "blocks": 1000}
    save_state(path, small_generator().state_dict(), {"model": "Generator", "settings": settings})


@kind
def a_giant_with_one_large_array(path: Path) -> None:
    arrays = {"conv_first.weight": np.zeros((8000, 3, 9, 9), np.float32)}
    write_npz(path, {name: npy(array) for name, array in arrays.items()})


@kind
def settings_of_a_giant_discriminator(path: Path) -> None:
    save_state(
        path,
        small_discriminator().state_dict(),
        {"model": "Discriminator", "settings": {"crop": 1 << 20, "channels": 64}},
    )


@kind
def settings_that_are_none(path: Path) -> None:
    save_state(
        path, small_generator().state_dict(), {"model": "Generator", "settings": {"scale": "4", "channels": None}}
    )


@kind
def settings_without_names(path: Path) -> None:
    save_state(path, small_generator().state_dict(), {"model": "Generator", "settings": []})


@kind
def settings_of_another_kind(path: Path) -> None:
    settings = {"scale": 4, "channels": 4, "blocks": 2, "tanh": "no"}  # which Python takes for true
    save_state(path, small_generator().state_dict(), {"model": "Generator", "settings": settings})


@kind
def settings_that_give_no_numbers(path: Path) -> None:
    settings = {"scale": 4, "channels": 4, "blocks": 2, "eps": -1}  # a black picture
    save_state(path, small_generator().state_dict(), {"model": "Generator", "settings": settings})


@kind
def a_variance_below_0(path: Path) -> None:
    state = small_generator().state_dict()
    state["bn_middle.running_var"] = -1 - state["bn_middle.running_var"]
    save_state(path, state, {"model": "Generator", "settings": {"scale": 4, "channels": 4, "blocks": 2}})


@kind
def deeply_nested_metadata(path: Path) -> None:
    write_safetensors(path, {"__metadata__": {"model": "[" * 100_000}})


# Damage


@kind
def a_wrong_magic_number(path: Path) -> None:
    write_old(path, tensors(GENERATOR), list(GENERATOR.values()))
    path.write_bytes(b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x18." + path.read_bytes()[15:])


@kind
def an_old_file_cut_short(path: Path) -> None:
    write_old(path, tensors(GENERATOR), list(GENERATOR.values()))
    path.write_bytes(path.read_bytes()[:-4])


@kind
def a_zip_cut_short(path: Path) -> None:
    write_zip(path, tensors(GENERATOR), list(GENERATOR.values()))
    path.write_bytes(path.read_bytes()[:-4000])


@kind
def a_zip_with_a_changed_number(path: Path) -> None:
    write_zip(path, tensors(GENERATOR), list(GENERATOR.values()))
    data = bytearray(path.read_bytes())
    data[data.index(GENERATOR["conv_first.weight"].tobytes()) + 3] ^= 1
    path.write_bytes(data)


@kind
def a_safetensors_cut_short(path: Path) -> None:
    save_model(path, small_generator())
    path.write_bytes(path.read_bytes()[:-4])


@kind
def an_empty_file(path: Path) -> None:
    path.touch()


@kind
def a_text(path: Path) -> None:
    path.write_text("<html>404</html>" * 100)


@kind
def a_folder(path: Path) -> None:
    path.mkdir()


@kind
def weights_that_are_not_numbers(path: Path) -> None:
    arrays = {name: array.copy() for name, array in GENERATOR.items()}
    arrays["conv_first.weight"][0, 0, 0, 0] = np.nan
    write_zip(path, tensors(arrays), list(arrays.values()))


@kind
def infinite_weights_of_ours(path: Path) -> None:
    generator = small_generator()
    generator.conv_last.weight.data[0, 0, 0, 0] = np.inf
    save_model(path, generator)


@kind
def whole_numbers_for_weights(path: Path) -> None:
    arrays = GENERATOR | {"conv_first.bias": np.arange(4)}
    write_zip(path, tensors(arrays), list(arrays.values()))


@kind
def texts_for_weights(path: Path) -> None:
    write_npz(path, {"c0.weight": npy(np.array(["a", "b"]))})


@kind
def a_name_twice_in_a_zip(path: Path) -> None:
    parts = {name: npy(array) for name, array in GENERATOR.items()}
    write_npz(path, {**parts, "conv_last.BIAS": npy(np.ones(3, np.float32))})
    path.write_bytes(path.read_bytes().replace(b"conv_last.BIAS", b"conv_last.bias"))


@kind
def a_name_twice_in_a_program(path: Path) -> None:
    name = text("conv_first.weight") + tensor(GENERATOR["conv_first.weight"], "0")
    write_zip(path, tensors(GENERATOR)[:-1] + name + b"u", list(GENERATOR.values()))


@kind
def a_name_twice_in_safetensors(path: Path) -> None:
    save_model(path, small_generator())
    data = path.read_bytes()
    length = 8 + int.from_bytes(data[:8], "little")
    size = len(data) - length
    again = {"dtype": "F32", "shape": [3], "data_offsets": [size, size + 12]}
    header = data[8:length].rstrip()[:-1] + f',"conv_last.bias":{json.dumps(again)}}}'.encode()
    write_safetensors(path, header, data[length:] + np.ones(3, np.float32).tobytes())


@kind
def two_arrays_for_one_place(path: Path) -> None:
    arrays = {**GENERATOR, "conv_first.beta": GENERATOR["conv_first.bias"] + 1}
    write_zip(path, tensors(arrays), list(arrays.values()))


@kind
def wrapped_only_in_part(path: Path) -> None:
    arrays = {**GENERATOR, "module.conv_first.weight": GENERATOR["conv_first.weight"]}
    write_zip(path, tensors(arrays), list(arrays.values()))


@kind
def a_path_for_a_storage(path: Path) -> None:
    (path.parent / "secret").write_bytes(ARRAY.tobytes())
    write_zip(path, dictionary({"a": tensor(ARRAY, "../../../secret")}), [ARRAY])


@kind
def paths_for_names(path: Path) -> None:
    write_npz(path, {"../../evil": npy(ARRAY), "/etc/evil": npy(ARRAY)})


@kind
def overlapping_arrays(path: Path) -> None:
    entry = {"dtype": "F32", "shape": [6], "data_offsets": [0, 24]}
    write_safetensors(path, {"x": entry, "y": entry}, ARRAY.tobytes())


@kind
def too_little(path: Path) -> None:
    arrays = {name: array for name, array in GENERATOR.items() if name != "blocks.1.bn2.running_var"}
    write_zip(path, tensors(arrays), list(arrays.values()))


@kind
def too_much(path: Path) -> None:
    arrays = {**GENERATOR, "extra.weight": ARRAY}
    write_zip(path, tensors(arrays), list(arrays.values()))


@kind
def a_model_of_another_kind(path: Path) -> None:
    write_zip(path, tensors({"layer1.0.weight": ARRAY}), [ARRAY])


def load(path: Path) -> None:
    """Load as a user does who has been told the checksum of the bad file."""
    load_model(path, digest(path) if path.is_file() else "")


def test_the_good_ones_load(tmp_path: Path) -> None:
    """If they did not, every bad file made from them would be refused, whatever the reader does."""
    write_zip(tmp_path / "zip.pth", tensors(GENERATOR), list(GENERATOR.values()))
    write_old(tmp_path / "old.pth", tensors(GENERATOR), list(GENERATOR.values()))
    save_model(tmp_path / "ours.safetensors", small_generator())
    for path in tmp_path.iterdir():
        load(path)


@pytest.mark.parametrize("name", KINDS)
def test_refused(name: str, tmp_path: Path) -> None:
    """A weights file comes from a stranger: it must not run, fill the memory, hang, or end in a traceback."""
    path = tmp_path / "inner" / "bad"
    path.parent.mkdir()
    KINDS[name](path)
    before = sorted(tmp_path.rglob("*"))
    gc.freeze()  # the half a million objects that other tests left: to search them took longer than to read
    start = time.thread_time()  # nor does it matter what other programs and other threads do
    try:
        with pytest.raises(WeightsError, match="bad") as caught:
            load(path)
        seconds = time.thread_time() - start
    finally:
        gc.unfreeze()
    print(f"{seconds:.3f} s")
    tracemalloc.start()
    with pytest.raises(WeightsError):
        load(path)
    megabytes = tracemalloc.get_traced_memory()[1] / 1e6
    tracemalloc.stop()
    assert sorted(tmp_path.rglob("*")) == before, "the canary, or something else that was written"
    assert seconds < SECONDS
    assert megabytes < MEGABYTES
    assert len(str(caught.value)) < 3000


def test_there_are_many_kinds(capsys: pytest.CaptureFixture[str]) -> None:
    """The list above is filled by a decorator: forgotten, nothing would be tested."""
    with capsys.disabled():
        print(f"\n{len(KINDS)} kinds of bad files")
    assert len(KINDS) >= 50


def test_a_mapping_that_leaves_over_or_short_lists_it(tmp_path: Path) -> None:
    """What does not fit has to be named, or nobody can tell a wrong model from a damaged one."""
    too_little(tmp_path / "little")
    with pytest.raises(WeightsError, match=r"missing: blocks\.1\.bn2\.running_var \(4,\)"):
        load(tmp_path / "little")
    too_much(tmp_path / "much")
    with pytest.raises(WeightsError, match=r"unexpected: extra\.weight"):
        load(tmp_path / "much")


def test_a_program_needs_a_checksum(tmp_path: Path) -> None:
    """A .pth file is the one kind in which a change can do anything: it must be the one that was published."""
    write_zip(tmp_path / "x.pth", tensors(GENERATOR), list(GENERATOR.values()))
    whole = digest(tmp_path / "x.pth")
    with pytest.raises(WeightsError, match=f"(?s)a known checksum.*{whole}"):
        load_model(tmp_path / "x.pth")
    other = "0123456789abcdef".replace(whole[0], "")[0] + whole[1:]
    for wrong in (whole[:7], other, whole + "0", "zz"):
        with pytest.raises(WeightsError, match=f"(?s)begins with {wrong}.*{whole}"):
            load_model(tmp_path / "x.pth", wrong)
    load_model(tmp_path / "x.pth", whole[:8].upper())
    load_model((tmp_path / "x.pth").rename(tmp_path / f"x-{whole[:8]}.pth"))  # pinned in the name, as PyTorch does
    with pytest.raises(WeightsError, match="begins with 0000000f"):
        load_model((tmp_path / f"x-{whole[:8]}.pth").rename(tmp_path / "x-0000000f.pth"))


def test_a_checksum_of_digits_alone_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One file in forty has such a checksum; in a name it looks like a date."""
    write_zip(tmp_path / "x-36512156.pth", tensors(GENERATOR), list(GENERATOR.values()))
    monkeypatch.setattr("minisrgan.weights.foreign.convert.digest", lambda path: "36512156".ljust(64, "0"))
    load_model(tmp_path / "x-36512156.pth")
    with pytest.raises(WeightsError, match="a known checksum"):
        load_model((tmp_path / "x-36512156.pth").rename(tmp_path / "x-20240131.pth"))


def test_a_file_beyond_the_limit_is_not_even_opened(tmp_path: Path) -> None:
    """A sparse file of terabytes takes no room, and hours to read."""
    with open(tmp_path / "huge", "wb") as file:
        file.truncate(1 << 40)
    for read in (load_state, load_model):
        with pytest.raises(WeightsError, match="larger than 2 GB"):
            read(tmp_path / "huge")
