"""Files of weights as they lie about: other architectures, several models in one file, other kinds of file."""

from __future__ import annotations

import json
import os
import stat
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest

from minisrgan.errors import WeightsError
from minisrgan.weights import load_discriminator, load_generator, load_model, load_state, save_model
from minisrgan.weights.foreign.convert import ours, read_weights
from minisrgan.weights.foreign.kinds import family_of
from minisrgan.weights.store import digest
from tests.weights.files import (
    dictionary,
    npy,
    number,
    small_discriminator,
    small_generator,
    tensor,
    tensors,
    torch_layout,
    write_npz,
    write_safetensors,
    write_zip,
)
from tests.weights.test_convert import aladdinpersson, drop_zero_biases, leftthomas, without_bias_before_norms

Arrays = dict[str, np.ndarray]
GENERATOR = torch_layout(small_generator().state_dict())
DISCRIMINATOR = torch_layout(small_discriminator().state_dict())


def named(*parts: str, dtype: type = np.float32) -> Arrays:
    """Return arrays of one number each: {0-2} in a name stands for three of them, a/b for two."""
    names = [""]
    for part in " ".join(parts).split():
        names += expanded(part)
    return {name: np.ones(1, dtype) for name in names if name}


def expanded(part: str) -> Iterable[str]:
    """Expand the first {a-b} or {a,b} of a name, and then the rest."""
    if "{" not in part:
        return [part]
    start, _, rest = part.partition("{")
    inside, _, end = rest.partition("}")
    low, _, high = inside.partition("-")
    choices = map(str, range(int(low), int(high) + 1)) if high else inside.split(",")
    return [name for choice in choices for name in expanded(start + choice + end)]


# Names as public repositories have them.
P = "{weight,bias}"
SWIN = (
    f"conv_first.{P} patch_embed.norm.{P} layers.{{0-3}}.residual_group.blocks.{{0-5}}.norm1.{P} "
    "layers.{0-3}.residual_group.blocks.{0-5}.attn.relative_position_bias_table "
    "layers.{0-3}.residual_group.blocks.{0-5}.attn.relative_position_index "
    f"layers.{{0-3}}.residual_group.blocks.{{0-5}}.attn.{{qkv,proj}}.{P} layers.{{0-3}}.conv.{P} norm.{P} "
    f"conv_after_body.{P} conv_before_upsample.0.{P} upsample.{{0,2}}.{P} conv_last.{P}"
)
FAMILIES = {
    "ESRGAN, 2018": (f"conv_first.{P} RRDB_trunk.{{0-22}}.RDB{{1-3}}.conv{{1-5}}.{P} trunk_conv.{P} upconv{{1-2}}.{P} "
                     f"HRconv.{P} conv_last.{P}", "RRDBNet"),
    "ESRGAN, with the names of a Sequential": (f"model.0.{P} model.1.sub.{{0-22}}.RDB{{1-3}}.conv{{1-5}}.0.{P} "
                                               f"model.1.sub.23.{P} model.{{3,6,8,10}}.{P}", "RRDBNet"),
    "Real-ESRGAN": (f"conv_first.{P} body.{{0-22}}.rdb{{1-3}}.conv{{1-5}}.{P} conv_body.{P} conv_up{{1-2}}.{P} "
                    f"conv_hr.{P} conv_last.{P}", "RRDBNet"),
    "Real-ESRGAN, for video": ("body.{0-34}.weight body.{0,2,4,6}.bias body.34.bias", "SRVGGNetCompact"),
    "MSRResNet": (f"conv_first.{P} body.{{0-15}}.conv{{1-2}}.{P} upconv{{1-2}}.{P} conv_hr.{P} conv_last.{P}",
                  "MSRResNet"),
    "MSRResNet, 2018": (f"conv_first.{P} recon_trunk.{{0-15}}.conv{{1-2}}.{P} upconv{{1-2}}.{P} HRconv.{P} "
                        f"conv_last.{P}", "MSRResNet"),
    "SRResNet of BasicSR, 2018": (f"model.0.{P} model.1.sub.{{0-15}}.res.{{0,2}}.{P} model.1.sub.16.{P} "
                                  f"model.{{2,5,8,10}}.{P}", "SRResNet of the first BasicSR"),
    "SRGAN of MMEditing": (f"generator.conv_first.{P} generator.trunk_net.{{0-15}}.conv{{1-2}}.{P} "
                           f"generator.upsample{{1-2}}.upsample_conv.{P} generator.conv_hr.{P} generator.conv_last.{P} "
                           f"discriminator.conv0_0.{P}", "MSRResNet of MMEditing"),
    "EDSR": (f"sub_mean.{P} add_mean.{P} head.0.{P} body.{{0-15}}.body.{{0,2}}.{P} body.16.{P} tail.0.{{0,2}}.{P} "
             f"tail.1.{P}", "EDSR"),
    "EDSR of BasicSR": (f"conv_first.{P} body.{{0-15}}.conv{{1-2}}.{P} conv_after_body.{P} upsample.{{0,2}}.{P} "
                        f"conv_last.{P}", "EDSR"),
    "RCAN": (f"sub_mean.{P} head.0.{P} body.{{0-9}}.body.{{0-19}}.body.{{0,2}}.{P} "
             f"body.{{0-9}}.body.{{0-19}}.body.3.conv_du.{{0,2}}.{P} tail.0.0.{P} tail.1.{P}", "RCAN"),
    "RCAN of BasicSR": (f"conv_first.{P} body.{{0-9}}.residual_group.{{0-19}}.rcab.{{0,2}}.{P} conv_after_body.{P} "
                        f"upsample.0.{P} conv_last.{P}", "RCAN"),
    "SwinIR": (SWIN, "SwinIR"),
    "HAT": (SWIN + " layers.0.residual_group.overlap_attn.qkv.weight", "HAT"),
    "DAT": ("layers.0.blocks.0.attn.qkv.weight layers.0.blocks.0.attn.attns.0.rpe_biases", "DAT"),
    "RDN": (f"SFENet{{1-2}}.{P} RDBs.{{0-15}}.convs.{{0-7}}.conv.0.{P} UPNet.0.{P}", "RDN"),
    "SRCNN": (f"conv{{1-3}}.{P}", "SRCNN"),
    "ESPCN, in a checkpoint": (f"conv{{1-4}}.{P}", "ESPCN"),
    "PyTorch-GAN": (f"conv1.0.{P} res_blocks.{{0-15}}.conv_block.{{0,1,3,4}}.{P} conv2.{{0,1}}.{P} "
                    f"upsampling.{{0,1,4,5}}.{P} conv3.0.{P}", "PyTorch-GAN"),
    "sgrvinod": (f"net.conv_block1.conv_block.{{0,1}}.{P} "
                 f"net.residual_blocks.{{0-15}}.conv_block{{1-2}}.conv_block.{{0,1}}.{P} "
                 f"net.subpixel_convolutional_blocks.{{0-1}}.conv.{P} net.conv_block3.conv_block.0.{P}", "sgrvinod"),
    "leftthomas, as published in 2017": (
        f"block1.0.{P} block1.1.weight block{{2-6}}.conv{{1-2}}.{P} block{{2-6}}.bn{{1-2}}.{P} "
        f"block{{2-6}}.bn{{1-2}}.running_mean block7.0.{P} block7.1.weight block8.{{0-1}}.conv.{P} block8.2.{P}",
        "leftthomas/SRGAN of before 2019"),
    "leftthomas's discriminator": (f"net.{{0,2,3,5,6,8,9,11,12,14,15,17,18,20,21,24,26}}.{P}", "discriminator"),
    "U-Net discriminator": ("conv0.weight conv0.bias conv{1-8}.weight_orig conv{1-8}.weight_u conv9.weight",
                            "spectral norms"),
    "discriminator of BasicSR": (f"conv0_0.{P} conv{{0-4}}_1.weight bn{{0-4}}_1.{P} linear{{1-2}}.{P}", "style of VGG"),
    "VGG16": (f"features.{{0,2,5,7,10,12,14,17,19,21,24,26,28}}.{P} classifier.{{0,3,6}}.{P}", "VGG16"),
    "VGG16 of Keras": ("block{1-5}_conv{1-2}.kernel block{3-5}_conv3.kernel predictions.kernel", "VGG16"),
    "VGG19 with batch norms": (f"features.{{0,1,3,4,7,8}}.{P} features.{{1,4,8}}.running_mean", "batch norms"),
    "ResNet": (f"conv1.weight bn1.{P} layer{{1-4}}.0.conv1.weight fc.{P}", "ResNet"),
    "LPIPS": ("lin{0-4}.model.1.weight", "LPIPS"),
    "an optimizer": ("state.{0-9}.exp_avg state.{0-9}.exp_avg_sq", "optimizer"),
}  # fmt: skip


# Each family as it is, and two of them in each wrapping: what takes a wrapping off does not know the families.
WRAPPED = [(name, wrapper) for name in ("EDSR", "SRCNN") for wrapper in ("params_ema.", "module.", "netG._orig_mod.")]


@pytest.mark.parametrize(("name", "wrapper"), [*((name, "") for name in FAMILIES), *WRAPPED])
def test_another_architecture_is_named(name: str, wrapper: str, tmp_path: Path) -> None:
    """It is not damaged, and getting it again does not help: it is another network, and has a name."""
    names, family = FAMILIES[name]
    arrays = {wrapper + key: array for key, array in named(names).items()}
    path = write_npz(tmp_path / "x.npz", {key: npy(array) for key, array in arrays.items()})
    with pytest.raises(WeightsError, match=rf"(?s)another architecture: [^\n]*{family}.*no other architecture") as told:
        load_model(path)
    assert "x.npz" in str(told.value)


def test_families_are_not_seen_in_ours() -> None:
    """A sign that stands in one of the models that we do read would shut it out."""
    for arrays in (GENERATOR, DISCRIMINATOR, leftthomas(torch_layout(small_generator(blocks=5).state_dict()))):
        assert family_of(arrays) == ""


def test_a_pth_is_named_before_its_checksum_is_asked_for(tmp_path: Path) -> None:
    """Who looks a checksum up, and then hears that the file is of no use, has looked it up for nothing."""
    arrays = named(FAMILIES["Real-ESRGAN"][0])
    path = write_zip(tmp_path / "x.pth", dictionary({"params_ema": tensors(arrays)}), list(arrays.values()))
    with pytest.raises(WeightsError, match="RRDBNet"):
        load_model(path)


@pytest.mark.parametrize("front", ["sub_mean.weight", "mean", "std", "normalize.mean", "norm.weight", "img_mean.bias"])
def test_a_network_that_normalises_its_input(front: str, tmp_path: Path) -> None:
    """Around a generator of ours, as net.conv_first, it is another model: taken alone, its colours are wrong."""
    arrays = {f"net.{name}": array for name, array in GENERATOR.items()} | {front: np.ones(3, np.float32)}
    path = write_npz(tmp_path / "x.npz", {key: npy(array) for key, array in arrays.items()})
    with pytest.raises(WeightsError, match="normalises its input"):
        load_model(path)


# What stands beside the weights, and around them


NOTES = {
    "epoch": np.array(7), "best_psnr": np.array(31.5), "best_ssim": np.array([0.9]), "global_step": np.array([7]),
    "losses": np.arange(5.0), "n_averaged": np.array(3), "scale": np.array(4), "arch": np.array("srresnet"),
}  # fmt: skip


def test_notes_do_not_matter(tmp_path: Path) -> None:
    """A score beside the weights says nothing of the network."""
    arrays = {f"module.{name}": array for name, array in GENERATOR.items()} | NOTES
    path = write_npz(tmp_path / "x.npz", {name: npy(array) for name, array in arrays.items()})
    assert_generator(path)
    arrays = {**GENERATOR, **{name: array for name, array in NOTES.items() if name != "arch"}}
    arrays = {name: array.astype(np.int64 if array.dtype.kind == "i" else np.float32) for name, array in arrays.items()}
    inside = write_zip(tmp_path / "y.pth", tensors(arrays), list(arrays.values()))
    assert_generator(inside, digest(inside))


@pytest.mark.parametrize("name", ["res_scale", "alpha", "mean", "weight"])
def test_a_parameter_is_no_note(name: str, tmp_path: Path) -> None:
    """A number that scales the residuals changes every picture: without it the network is another one."""
    path = write_npz(tmp_path / "x.npz", {key: npy(a) for key, a in (GENERATOR | {name: np.ones(1)}).items()})
    with pytest.raises(WeightsError, match=f"unexpected: {name}"):
        load_model(path)


def assert_generator(path: Path, sha256: str = "", key: str = "", seed: int = 3) -> None:
    weights = read_weights(path, sha256, key)
    assert weights.model == "Generator"
    np.testing.assert_array_equal(weights.state["conv_first.bias"], generators(seed)["conv_first.bias"])


def generators(seed: int) -> Arrays:
    """Return the arrays of one of several generators, which differ by a number."""
    return GENERATOR | {"conv_first.bias": GENERATOR["conv_first.bias"] + np.float32(seed - 3)}


def checkpoint(path: Path, **models: Arrays) -> Path:
    """Write a checkpoint in PyTorch's format, with an epoch beside the models."""
    parts, arrays = {"epoch": number(7)}, list[np.ndarray]()
    for name, model in models.items():
        flat = dictionary({key: entry(array, len(arrays) + i) for i, (key, array) in enumerate(model.items())})
        parts[name] = flat
        arrays += model.values()
    return write_zip(path, dictionary(parts), arrays)


def entry(array: np.ndarray, at: int) -> bytes:
    """Return the instructions for one tensor."""
    return tensor(array, str(at))


OPTIMIZER = named("state.{0-3}.exp_avg")
SEVERAL = {
    "params and params_ema": ({"params": generators(4), "params_ema": generators(3)}, {"params": 4, "params_ema": 3}),
    "generator, params and params_ema": (
        {"generator": generators(5), "params": generators(4), "params_ema": generators(3)},
        {"generator": 5, "params": 4, "params_ema": 3}),
    "an EMA that comes first": ({"ema_state_dict": generators(3), "state_dict": generators(4)}, {"state_dict": 4}),
    "a generator, a discriminator and an optimizer": (
        {"netD": DISCRIMINATOR, "netG": generators(3), "optimizer": OPTIMIZER}, {"netG": 3}),
    "an EMA of both": ({"d_ema": DISCRIMINATOR, "g": generators(4), "g_ema": generators(3), "d": DISCRIMINATOR},
                       {"g": 4, "g_ema": 3}),
    "a discriminator of another kind": ({"D": named("conv0.weight_orig conv1.weight_orig"), "G": generators(3)}, {}),
}  # fmt: skip


@pytest.mark.parametrize("name", SEVERAL)
@pytest.mark.parametrize("flat", [False, True])
def test_several_models_in_one_file(name: str, flat: bool, tmp_path: Path) -> None:
    """The averaged generator is what its author published; a key says what else is meant."""
    models, keys = SEVERAL[name]
    if flat:
        arrays = {f"{key}.{part}": array for key, model in models.items() for part, array in model.items()}
        path = write_npz(tmp_path / "x.npz", {key: npy(array) for key, array in arrays.items()})
    else:
        path = checkpoint(tmp_path / "x.pth", **models)
    assert_generator(path, digest(path))
    for key, seed in keys.items():
        assert_generator(path, digest(path), key, seed)
    with pytest.raises(WeightsError, match=r"(?s)a key that tells which .*got       nonsense"):
        read_weights(path, digest(path), "nonsense")
    if len(models) > 1 and "another kind" not in name:
        assert " of " in read_weights(path, digest(path)).about["taken"]


def test_two_generators_need_a_key(tmp_path: Path) -> None:
    """Nobody knows which of them is meant."""
    path = checkpoint(tmp_path / "x.pth", a=generators(4), b=generators(3))
    with pytest.raises(WeightsError, match=r"(?s)which of its models is meant: a, b.*--key"):
        load_model(path, digest(path))
    assert_generator(path, digest(path), "b")
    save_model(tmp_path / "ours.safetensors", small_generator())
    with pytest.raises(WeightsError, match="one model only"):
        read_weights(tmp_path / "ours.safetensors", key="b")


def test_a_discriminator_is_found_by_its_key(tmp_path: Path) -> None:
    """Of a whole training one may want the features of its discriminator."""
    path = checkpoint(tmp_path / "x.pth", netG=generators(3), netD=DISCRIMINATOR)
    weights = read_weights(path, digest(path), "netD")
    assert weights.model == "Discriminator"
    np.testing.assert_array_equal(weights.state["head.1.weight"], small_discriminator().state_dict()["head.1.weight"])
    with pytest.raises(WeightsError, match="holds Generator"):
        load_discriminator(path.rename(tmp_path / f"x-{digest(path)[:12]}.pth"))


@pytest.mark.parametrize(
    "front", ["generator.", "netG.", "model.", "net_g.", "module.", "_orig_mod.", "net_g.module.", "state_dict.G.net."]
)
def test_words_in_front_of_names(front: str, tmp_path: Path) -> None:
    """Each way to wrap a model puts its own word in front of every name."""
    arrays = {front + name: array for name, array in GENERATOR.items()}
    assert_generator(write_npz(tmp_path / "x.npz", {name: npy(array) for name, array in arrays.items()}))


def test_convolutions_without_a_bias() -> None:
    """Before a batch norm none is needed, in any way to name things; but one that is lost is no zero."""
    arrays = drop_zero_biases(torch_layout(without_bias_before_norms(small_generator()).state_dict()))
    assert "blocks.0.conv1.bias" not in arrays
    assert (ours(arrays).state["blocks.0.conv1.bias"] == 0).all()
    assert (ours(aladdinpersson(arrays)).state["conv_middle.bias"] == 0).all()
    plain = {k: a for k, a in DISCRIMINATOR.items() if not k.startswith("features") or "features.0." in k or a.ndim > 1
             or k.replace("bias", "running_mean") in DISCRIMINATOR or not k.endswith("bias")}  # fmt: skip
    assert "features.2.bias" not in plain
    assert (ours(plain).state["features.2.bias"] == 0).all()
    arrays = {name: array for name, array in GENERATOR.items() if name != "blocks.1.conv2.bias"}
    assert "blocks.1.conv2.bias" not in ours(arrays).state


# Kinds of file


def torchscript(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for part in ("data.pkl", "code/__torch__.py", "constants.pkl", "version", "data/0"):
            archive.writestr(f"g/{part}", b"\x80\x02}.")


def exported(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for part in ("archive_format", "models/model.json", "data/weights/weight_0"):
            archive.writestr(f"g/{part}", b"pt2")


def keras_3(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for part in ("metadata.json", "config.json", "model.weights.h5"):
            archive.writestr(part, "{}")


def archive_of(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("netG.pth", b"x")


KINDS: dict[str, tuple[bytes | Callable[[Path], object], str]] = {
    "TorchScript": (torchscript, r"TorchScript.*torch\.jit\.load"),
    "torch.export": (exported, r"torch\.export.*save them alone"),
    "Keras 3": (keras_3, r"newer format.*save_weights"),
    "a zip": (archive_of, r"zip archive, of netG\.pth.*unpack"),
    "a text": (b"best model so far\n" * 9, r"text, which begins with \['best model so far'\]"),
    "a text in UTF-8": ("\ufeffGewichte f\u00fcr SRGAN\n".encode() * 9, "text, which begins"),
    "a program": (b"import torch\n\nmodel = Generator()\n", "text, which begins with"),
    "a configuration": (json.dumps({"name": "SRGAN", "scale": 4}, indent=1).encode(), "text, which begins"),
    "a page": (b"\n<!DOCTYPE html>\n<html><title>Sign in</title>", "a web page"),
    "a pointer": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n", "git lfs pull"),
    "one array": (npy(np.ones(3)), "single array of NumPy"),
    "a pickle": (b"\x80\x04\x95\x0b\x00\x00\x00\x00\x00\x00\x00}\x94.", "a pickle, which is a program"),
    "gzip": (b"\x1f\x8b\x08" + bytes(99), "packed with gzip.*unpack"),
    "a tar archive": (bytes(257) + b"ustar" + bytes(300), "a tar archive"),
    "a picture": (b"\x89PNG\r\n\x1a\n" + bytes(99), "a picture"),
    "ONNX": (b"\x08\x07\x12\x07pytorch\x1a\x041.13" + bytes(range(128, 255)), "ONNX"),
    "TFLite": (b"\x1c\0\0\0TFL3" + bytes(99), "TensorFlow Lite"),
    "MATLAB": (b"MATLAB 5.0 MAT-file, Platform: GLNXA64" + bytes(99), "MATLAB"),
    "nothing": (b"", "an empty file"),
    "noise": (np.random.default_rng(0).bytes(2000), "of no known kind"),
    "a folder": (lambda path: path.mkdir(), "a folder"),
}


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("suffix", ["pth", "safetensors", "npz", "h5"])
def test_what_is_no_weights_is_told(name: str, suffix: str, tmp_path: Path) -> None:
    """The name of a file says nothing: what lies in it does, and what can be done about it."""
    content, told = KINDS[name]
    path = tmp_path / f"x.{suffix}"
    _ = path.write_bytes(content) if isinstance(content, bytes) else content(path)
    with pytest.raises(WeightsError, match=rf"(?s)x\.{suffix}, which is .*{told}") as error:
        load_model(path)
    assert error.value.fix


def test_bfloat16_in_safetensors(tmp_path: Path) -> None:
    """NumPy has no such numbers, and safetensors refuses to give them to it."""
    arrays = {name: array.view(np.uint32) & 0xFFFF0000 for name, array in GENERATOR.items()}
    entries, numbers = dict[str, object](), b""
    for name, bits in arrays.items():
        data = (bits >> 16).astype("<u2").tobytes()
        at = [len(numbers), len(numbers) + len(data)]
        entries[name], numbers = {"dtype": "BF16", "shape": bits.shape, "data_offsets": at}, numbers + data
    path = write_safetensors(tmp_path / "x.safetensors", entries, numbers)
    state = load_state(path)[0]
    for name, bits in arrays.items():
        np.testing.assert_array_equal(state[name], bits.view(np.float32), err_msg=name)
    load_generator(path)


def test_words_of_others_in_safetensors(tmp_path: Path) -> None:
    """Others too write "model" into their metadata, and mean something else."""
    from safetensors.numpy import save_file

    save_file(dict(GENERATOR), tmp_path / "x.safetensors", {"model": "SRResNet", "format": "pt"})
    assert_generator(tmp_path / "x.safetensors")


def test_ten_thousand_arrays() -> None:
    """No model has so many; to look for one among them could take minutes."""
    one = np.ones(1, np.float32)
    names = {f"a.{i}.b.c.d.e.weight": one for i in range(10_001)}
    with pytest.raises(WeightsError, match="10001 arrays"):
        ours(names)


@pytest.mark.parametrize("name", ["x-{}.npz", "srgan_x4-{}.safetensors", "a-b-{}.pth.tar", "A-{}.NPZ"])
@pytest.mark.parametrize("digits", [8, 20, 64])
def test_a_checksum_in_any_name(name: str, digits: int, tmp_path: Path) -> None:
    """Who publishes weights puts the start of their checksum into the name, whatever the kind of file."""
    source = tmp_path / "source"
    if name.endswith("safetensors"):
        save_model(source, small_generator())
    elif "pth" in name:
        write_zip(source, tensors(GENERATOR), list(GENERATOR.values()))
    else:
        write_npz(source, {key: npy(array) for key, array in GENERATOR.items()})
    sha256 = digest(source)
    good = source.rename(tmp_path / name.format(sha256[:digits]))
    load_model(good)
    bad = good.rename(tmp_path / name.format("f" * digits))
    with pytest.raises(WeightsError, match=f"(?s)begins with {'f' * digits}.*{sha256}"):
        load_model(bad)
    # A date; steps, as in our own checkpoints.
    for digits_only in ("20240131", "00001500") if "pth" not in name else ():
        bad = bad.rename(tmp_path / name.format(digits_only))
        load_model(bad)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such modes")
def test_a_saved_file_may_be_read_by_others(tmp_path: Path) -> None:
    """safetensors writes files that only their owner may read: a model on a shared disk is then of no use there."""
    for mask, mode in ((0o022, 0o644), (0o077, 0o600)):
        before = os.umask(mask)
        try:
            save_model(tmp_path / f"{mask}.safetensors", small_generator())
        finally:
            os.umask(before)
        assert stat.S_IMODE((tmp_path / f"{mask}.safetensors").stat().st_mode) == mode
