"""Weights of others: every name finds its place, every layout its order, and the result computes what theirs did."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest

from minisrgan import Tensor, no_grad, ops
from minisrgan.errors import WeightsError
from minisrgan.models import VGG19, Generator
from minisrgan.weights import convert, load_generator, load_model, load_state, load_vgg19, save_model
from minisrgan.weights.foreign.convert import ours
from minisrgan.weights.foreign.names import NAMINGS
from minisrgan.weights.store import digest
from tests.weights.files import (
    npy,
    small_discriminator,
    small_generator,
    tensors,
    torch_layout,
    used,
    write_npz,
    write_old,
    write_safetensors,
    write_zip,
)

Arrays = dict[str, np.ndarray]


def renamed(arrays: Mapping[str, np.ndarray], *rules: tuple[str, str]) -> Arrays:
    """Rename by the first rule that fits, by hand and the other way round than `minisrgan.weights.foreign.names`."""
    result = {}
    for name, array in arrays.items():
        rule = next((rule for rule in rules if re.match(rule[0], name)), None)
        assert rule, name
        result[re.sub(rule[0], rule[1], name)] = array
    return result


def lornatang(arrays: Arrays, old: bool) -> Arrays:
    conv = "conv_block" if old else "conv"
    parts = {"conv1": 0, "bn1": 1, "prelu": 2, "conv2": 3, "bn2": 4}
    rules = [(rf"blocks\.(\d+)\.{ours}\.", rf"trunk.\1.rcb.{theirs}.") for ours, theirs in parts.items()]
    return renamed(
        arrays, *rules, (r"conv_first\.", f"{conv}1.0."), (r"prelu_first\.", f"{conv}1.1."),
        (r"conv_middle\.", f"{conv}2.0."), (r"bn_middle\.", f"{conv}2.1."), (r"conv_last\.", f"{conv}3."),
        (r"upsample\.(\d)\.conv\.", r"upsampling.\1.upsample_block.0."),
        (r"upsample\.(\d)\.prelu\.", r"upsampling.\1.upsample_block.2."),
    )  # fmt: skip


def aladdinpersson(arrays: Arrays) -> Arrays:
    return renamed(
        arrays, (r"conv_first\.", "initial.cnn."), (r"prelu_first\.", "initial.act."),
        (r"blocks\.(\d+)\.conv(\d)\.", r"residuals.\1.block\2.cnn."),
        (r"blocks\.(\d+)\.bn(\d)\.", r"residuals.\1.block\2.bn."),
        (r"blocks\.(\d+)\.prelu\.", r"residuals.\1.block1.act."), (r"conv_middle\.", "convblock.cnn."),
        (r"bn_middle\.", "convblock.bn."), (r"upsample\.(\d)\.conv\.", r"upsamples.\1.conv."),
        (r"upsample\.(\d)\.prelu\.", r"upsamples.\1.act."), (r"conv_last\.", "final."),
    )  # fmt: skip


def leftthomas(arrays: Arrays) -> Arrays:
    blocks = [(rf"blocks\.{block}\.", f"block{block + 2}.") for block in range(5)]
    return renamed(
        arrays, *blocks, (r"conv_first\.", "block1.0."), (r"prelu_first\.", "block1.1."),
        (r"conv_middle\.", "block7.0."), (r"bn_middle\.", "block7.1."),
        (r"upsample\.(\d)\.", r"block8.\1."), (r"conv_last\.", "block8.2."),
    )  # fmt: skip


def krasserm(arrays: Arrays) -> Arrays:
    return renamed(
        arrays, (r"conv_first\.", "c0."), (r"prelu_first\.", "p0."), (r"blocks\.(\d+)\.conv(\d)\.", r"rb.\1.c\2."),
        (r"blocks\.(\d+)\.bn(\d)\.", r"rb.\1.b\2."), (r"blocks\.(\d+)\.prelu\.", r"rb.\1.p."),
        (r"conv_middle\.", "cm."),
        (r"bn_middle\.", "bm."), (r"upsample\.0\.conv\.", "u1."), (r"upsample\.0\.prelu\.", "q1."),
        (r"upsample\.1\.conv\.", "u2."), (r"upsample\.1\.prelu\.", "q2."), (r"conv_last\.", "ce."),
    )  # fmt: skip


def without_bias_before_norms(generator: Generator) -> Generator:
    for name, array in generator.state_dict().items():
        if re.fullmatch(r"(blocks\.\d+\.conv\d|conv_middle)\.bias", name):
            array[...] = 0
    return generator


def drop_zero_biases(arrays: Arrays) -> Arrays:
    return {name: array for name, array in arrays.items() if array.any()}


TANH = {"tanh": True}
# A way to name things, a generator of its kind, and what it is called there.
THEIRS: dict[str, tuple[Generator, Callable[[Arrays], Arrays]]] = {
    "minisrgan's names": (small_generator(), dict),
    "krasserm's": (small_generator(tanh=True, eps=1e-3), krasserm),
    "leftthomas's": (small_generator(blocks=5, tanh=True), leftthomas),
    "aladdinpersson's": (
        without_bias_before_norms(small_generator(tanh=True)),
        lambda arrays: aladdinpersson(drop_zero_biases(arrays)),
    ),
}


def assert_same(state: Mapping[str, np.ndarray], expected: Mapping[str, np.ndarray]) -> None:
    assert state.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(state[name], array, err_msg=name)


@pytest.mark.parametrize("name", THEIRS)
@pytest.mark.parametrize("wrapper", ["", "module.", "_orig_mod.", "_orig_mod.module."])
def test_generators(name: str, wrapper: str, tmp_path: Path) -> None:
    """Two names exchanged, or a transposed kernel of equal sides, give a picture that is only worse."""
    generator, to_theirs = THEIRS[name]
    arrays = to_theirs(torch_layout(generator.state_dict()))
    arrays = {wrapper + key: array for key, array in arrays.items()}
    arrays[f"{wrapper}num_batches_tracked"] = np.array(7)
    path = write_zip(tmp_path / "x.pth", tensors(arrays), list(arrays.values()))
    loaded, about = load_model(path, digest(path))
    assert isinstance(loaded, Generator)
    assert (loaded.scale, loaded.width, loaded.depth, loaded.tanh, loaded.eps) == (
        generator.scale, generator.width, generator.depth, generator.tanh, generator.eps,
    )  # fmt: skip
    assert_same(loaded.state_dict(), generator.state_dict())
    assert about["names"] in [naming.title for naming in NAMINGS]
    assert not loaded.training


@pytest.mark.parametrize("old", [False, True])
def test_a_generator_of_0_to_1(old: bool) -> None:
    """Its range is another: taken for ours, every picture would be grey and too bright."""
    generator = without_bias_before_norms(small_generator())
    arrays = lornatang(drop_zero_biases(torch_layout(generator.state_dict())), old)
    loaded = Generator(**(weights := ours(arrays)).settings)
    loaded.load_state_dict(weights.state)
    x = Tensor(np.random.default_rng(0).random((1, 6, 5, 3), np.float32))
    with no_grad():
        np.testing.assert_allclose(loaded.eval()(x).numpy(), 2 * generator(x).numpy() - 1, atol=2e-6)


def test_one_slope_for_all_channels() -> None:
    """`nn.PReLU()` of PyTorch learns one number; ours has one a channel."""
    generator = small_generator()
    generator.prelu_first.weight.data[:] = 0.3
    arrays = torch_layout(generator.state_dict()) | {"prelu_first.weight": np.full(1, 0.3, np.float32)}
    assert_same(ours(arrays).state, generator.state_dict())


def test_scales() -> None:
    """The scale is told by nothing but the number of upsamplings."""
    for scale in (2, 4, 8):
        assert ours(torch_layout(small_generator(scale, blocks=1).state_dict())).settings["scale"] == scale


@pytest.mark.parametrize("head", ["head.1 head.3", "classifier.0 classifier.2"])
def test_a_discriminator(head: str) -> None:
    """The inputs of a dense layer behind a flattening come in another order: permuted, its logits mean nothing."""
    discriminator = small_discriminator()
    first, last = head.split()
    arrays = {
        name.replace("head.1", first).replace("head.3", last): array
        for name, array in torch_layout(discriminator.state_dict()).items()
    }
    weights = ours(arrays)
    assert weights.settings == {"crop": 32, "channels": 2}
    assert_same(weights.state, discriminator.state_dict())


def test_a_discriminator_of_aladdinpersson(tmp_path: Path) -> None:
    """His generator ends with tanh. A discriminator that was given the same setting could not be built."""
    discriminator = small_discriminator()
    rules = [(rf"features\.{3 * k - 1}\.", f"blocks.{k}.cnn.") for k in range(1, 8)]
    rules += [(rf"features\.{3 * k}\.", f"blocks.{k}.bn.") for k in range(1, 8)]
    rules += [(r"features\.0\.", "blocks.0.cnn."), (r"head\.1\.", "classifier.2."), (r"head\.3\.", "classifier.4.")]
    arrays = renamed(torch_layout(discriminator.state_dict()), *rules)
    np.savez(tmp_path / "d.npz", **arrays)
    loaded, _ = load_model(tmp_path / "d.npz")
    assert_same(loaded.state_dict(), discriminator.state_dict())


def test_torch_computes_the_same(tmp_path: Path) -> None:
    """The layouts above are undone by the same hand that made them; here PyTorch computes, from its own file."""
    torch = pytest.importorskip("torch", reason="torch is not installed: layouts are compared with hand-made ones only")
    from torch import nn

    torch.manual_seed(0)

    class Block(nn.Module):
        def __init__(self, inside: int = 6) -> None:
            super().__init__()
            self.rcb = nn.Sequential(
                nn.Conv2d(inside, inside, 3, 1, 1, bias=False), nn.BatchNorm2d(inside), nn.PReLU(),
                nn.Conv2d(inside, inside, 3, 1, 1, bias=False), nn.BatchNorm2d(inside),
            )  # fmt: skip

    class Up(nn.Module):
        def __init__(self, inside: int = 6) -> None:
            super().__init__()
            self.upsample_block = nn.Sequential(nn.Conv2d(inside, 4 * inside, 3, 1, 1), nn.PixelShuffle(2), nn.PReLU())

    class Theirs(nn.Module):
        def __init__(self, inside: int = 6) -> None:
            super().__init__()
            self.conv_block1 = nn.Sequential(nn.Conv2d(3, inside, 9, 1, 4), nn.PReLU())
            self.trunk = nn.Sequential(*(Block() for _ in range(3)))
            self.conv_block2 = nn.Sequential(nn.Conv2d(inside, inside, 3, 1, 1, bias=False), nn.BatchNorm2d(inside))
            self.upsampling = nn.Sequential(Up(), Up())
            self.conv_block3 = nn.Conv2d(inside, 3, 9, 1, 4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            first = y = self.conv_block1(x)
            for block in self.trunk:
                y = y + block.rcb(y)
            y = first + self.conv_block2(y)
            for up in self.upsampling:
                y = up.upsample_block(y)
            return self.conv_block3(y)

    theirs = Theirs()
    for name, value in theirs.state_dict().items():
        if name.endswith(("mean", "var")):
            value.uniform_(0.5, 1.5)
    theirs.eval()
    for new in (False, True):
        path = tmp_path / f"{new}.pth"
        torch.save({"epoch": 1, "state_dict": theirs.state_dict()}, path, _use_new_zipfile_serialization=new)
        generator = load_model(path, digest(path))[0]
        x = torch.rand(2, 3, 7, 5)
        with torch.no_grad(), no_grad():
            expected = 2 * theirs(x).numpy() - 1
            found = generator(Tensor(x.numpy().transpose(0, 2, 3, 1).copy())).numpy().transpose(0, 3, 1, 2)
        np.testing.assert_allclose(found, expected, atol=2e-5)

    discriminator, side = small_discriminator(48), 3
    layers = [nn.Conv2d(3, 2, 3, 1, 1), nn.LeakyReLU(0.2)]
    for inputs, outputs, stride in ((2, 2, 2), (2, 4, 1), (4, 4, 2), (4, 8, 1), (8, 8, 2), (8, 16, 1), (16, 16, 2)):
        layers += [nn.Conv2d(inputs, outputs, 3, stride, 1), nn.BatchNorm2d(outputs), nn.LeakyReLU(0.2)]
    net = nn.ModuleDict({
        "features": nn.Sequential(*layers),
        "classifier": nn.Sequential(nn.Linear(16 * side * side, 32), nn.LeakyReLU(0.2), nn.Linear(32, 1)),
    }).eval()  # fmt: skip
    torch.save(net.state_dict(), tmp_path / "d.pth")
    discriminator, _ = load_model(tmp_path / "d.pth", digest(tmp_path / "d.pth"))
    x = torch.rand(2, 3, 48, 48) * 2 - 1
    with torch.no_grad(), no_grad():
        expected = net["classifier"](net["features"](x).flatten(1)).numpy()
        found = discriminator(Tensor(x.numpy().transpose(0, 2, 3, 1).copy())).numpy()
    np.testing.assert_allclose(found, expected, atol=1e-5)


# Keras: the same files, as TensorFlow computes with them


def keras_conv(x: Tensor, arrays: Arrays, name: str, stride: int = 1) -> Tensor:
    """Convolve as TensorFlow with padding "same": at stride 2 nothing is added above and at the left."""
    kernel = arrays[f"{name}.kernel"]
    reach = len(kernel) // 2
    before = 0 if stride == 2 else reach
    x = ops.pad(x, ((0, 0), (before, reach), (before, reach), (0, 0)))
    return ops.conv2d(x, Tensor(kernel), Tensor(arrays[f"{name}.bias"]), stride=stride)


def keras_norm(x: Tensor, arrays: Arrays, name: str) -> Tensor:
    gamma, beta, mean, var = (arrays[f"{name}.{part}"] for part in ("gamma", "beta", "moving_mean", "moving_variance"))
    return Tensor((x.numpy() - mean) / np.sqrt(var + 1e-3) * gamma + beta)


def keras_prelu(x: Tensor, arrays: Arrays, name: str) -> Tensor:
    return Tensor(np.maximum(x.numpy(), 0) + arrays[f"{name}.alpha"] * np.minimum(x.numpy(), 0))


def depth_to_space(x: Tensor) -> Tensor:
    """TensorFlow's pixel shuffle: the channels of a pixel lie together."""
    n, h, w, c = x.shape
    return Tensor(x.numpy().reshape(n, h, w, 2, 2, c // 4).transpose(0, 1, 3, 2, 4, 5).reshape(n, 2 * h, 2 * w, c // 4))


def draw(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return (rng.normal(size=shape) * 0.2).astype(np.float32)


def keras_norm_arrays(rng: np.random.Generator, name: str, width: int) -> Arrays:
    return {
        f"{name}.gamma": 1 + draw(rng, width), f"{name}.beta": draw(rng, width),
        f"{name}.moving_mean": draw(rng, width),
        f"{name}.moving_variance": rng.uniform(0.001, 1, width).astype(np.float32),
    }  # fmt: skip


def keras_generator(rng: np.random.Generator, width: int = 4) -> Arrays:
    """Return the arrays of a generator of 16 blocks, numbered from 0 as `read_keras` has them."""
    arrays = dict[str, np.ndarray]()
    shapes = [(9, 3, width), *[(3, width, width)] * 33, *[(3, width, 4 * width)] * 2, (9, width, 3)]
    for i, (side, inputs, outputs) in enumerate(shapes):
        arrays |= {f"conv2d_{i}.kernel": draw(rng, side, side, inputs, outputs), f"conv2d_{i}.bias": draw(rng, outputs)}
    for i in range(33):
        arrays |= keras_norm_arrays(rng, f"batch_normalization_{i}", width)
    return arrays | {f"p_re_lu_{i}.alpha": draw(rng, 1, 1, width) for i in range(19)}


def test_a_generator_of_keras() -> None:
    """TensorFlow's shuffle has another order of channels: taken for ours, the picture is a mosaic."""
    rng = np.random.default_rng(0)
    arrays = keras_generator(rng)
    low = Tensor(rng.random((1, 6, 5, 3), np.float32))
    with no_grad():
        first = x = keras_prelu(keras_conv(low, arrays, "conv2d_0"), arrays, "p_re_lu_0")
        for block in range(16):
            y = keras_norm(keras_conv(x, arrays, f"conv2d_{2 * block + 1}"), arrays, f"batch_normalization_{2 * block}")
            y = keras_conv(keras_prelu(y, arrays, f"p_re_lu_{block + 1}"), arrays, f"conv2d_{2 * block + 2}")
            x = x + keras_norm(y, arrays, f"batch_normalization_{2 * block + 1}")
        x = first + keras_norm(keras_conv(x, arrays, "conv2d_33"), arrays, "batch_normalization_32")
        for up in (0, 1):
            x = keras_prelu(depth_to_space(keras_conv(x, arrays, f"conv2d_{34 + up}")), arrays, f"p_re_lu_{17 + up}")
        expected = np.tanh(keras_conv(x, arrays, "conv2d_36").numpy())
        weights = ours(arrays)
        generator = Generator(**weights.settings)
        generator.load_state_dict(weights.state)
        found = generator.eval()(low).numpy()
    assert expected.std() > 0.1
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_a_discriminator_of_keras_is_refused() -> None:
    """At stride 2 TensorFlow pads below and at the right only: with our padding it would judge other pictures."""
    rng, arrays = np.random.default_rng(0), dict[str, np.ndarray]()
    widths = [2, 2, 4, 4, 8, 8, 16, 16]
    for i, (inputs, outputs) in enumerate(zip([3, *widths], widths, strict=False)):
        arrays |= {f"conv2d_{i}.kernel": draw(rng, 3, 3, inputs, outputs), f"conv2d_{i}.bias": draw(rng, outputs)}
        arrays |= keras_norm_arrays(rng, f"batch_normalization_{i - 1}", outputs) if i else {}
    arrays |= {"dense_0.kernel": draw(rng, 2 * 2 * 16, 32), "dense_0.bias": draw(rng, 32)}
    arrays |= {"dense_1.kernel": draw(rng, 32, 1), "dense_1.bias": draw(rng, 1)}
    with pytest.raises(WeightsError, match="turned by 180 degrees"):
        ours(arrays)


@pytest.mark.parametrize("session", [0, 37])
def test_names_of_keras(session: int, tmp_path: Path) -> None:
    """Keras counts layers by session, not by model, and conv2d_10 comes after conv2d_9."""
    h5py = pytest.importorskip("h5py", reason="h5py is not installed: Keras's .h5 files cannot be read")
    arrays = keras_generator(np.random.default_rng(0))
    with h5py.File(tmp_path / "g.h5", "w") as file:
        for name, array in arrays.items():
            layer, part = name.split(".")
            kind, _, number = layer.rpartition("_")
            kind = kind.replace("normalization", "normalization_v1")
            layer = f"{kind}_{int(number) + session}" if int(number) + session else kind
            file[f"model_weights/{layer}/{layer}/{part}:0"] = array
        file["optimizer_weights/training/Adam/iterations:0"] = np.array(3)
    generator, _ = load_model(tmp_path / "g.h5")
    assert_same(generator.state_dict(), ours(arrays).state)


def test_keras_without_h5py(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """h5py is optional: who lacks it has to hear its name, not that the file is damaged."""
    (tmp_path / "g.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(WeightsError, match=r'(?s)g\.h5.*pip install "minisrgan\[weights\]"'):
        load_model(tmp_path / "g.h5")


@pytest.mark.parametrize("name", ["x", "layers/conv2d/vars/0", ""])
def test_hdf5_that_is_not_keras(name: str, tmp_path: Path) -> None:
    """Any program may write HDF5: MATLAB's arrays lie at the top, Keras's newer files name no parts."""
    h5py = pytest.importorskip("h5py", reason="h5py is not installed: Keras's .h5 files cannot be read")
    with h5py.File(tmp_path / "x.h5", "w") as file:
        if name:
            file[name] = np.ones(3, np.float32)
    with pytest.raises(WeightsError, match=f"arrays: {name[:1] or 'none'}"):
        load_model(tmp_path / "x.h5")


def test_npz_of_objects(tmp_path: Path) -> None:
    """TensorLayer writes its SRGAN so; what NumPy says of it, "OBJECT array from memory buffer", helps nobody."""
    np.savez(tmp_path / "x.npz", params=np.array([np.ones(3), np.ones(2)], dtype=object))
    with pytest.raises(WeightsError, match=r"params\.npy holds pickled objects"):
        load_model(tmp_path / "x.npz")


@pytest.mark.parametrize("how", ["external", "virtual", "large"])
def test_hdf5_reaches_no_other_file(how: str, tmp_path: Path) -> None:
    """An HDF5 file may say that its numbers lie in another file, which would then be read, or that they are many."""
    h5py = pytest.importorskip("h5py", reason="h5py is not installed: Keras's .h5 files cannot be read")
    shape, name = (3, 3, 3, 64), "block1_conv1/block1_conv1/kernel:0"
    np.ones(shape, np.float32).tofile(tmp_path / "secret")
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["block1_conv1/block1_conv1/bias:0"] = np.zeros(64, np.float32)
        if how == "external":
            file.create_dataset(name, shape, "f4", external=[(str(tmp_path / "secret"), 0, 4 * 1728)])
        elif how == "virtual":
            layout = h5py.VirtualLayout(shape, "f4")
            layout[...] = h5py.VirtualSource(tmp_path / "other.h5", "x", shape)
            file.create_virtual_dataset(name, layout)
        else:
            file.create_dataset(name, (10**6, 10**6), "f4", compression="gzip")
    with pytest.raises(WeightsError, match="lies in another file, or would grow"):
        load_model(tmp_path / "x.h5")


# VGG19, its convention, other formats


def vgg_arrays(phi: str = "1,2") -> tuple[VGG19, Arrays]:
    vgg = used(VGG19(phi))
    names = {"block1_conv1": "features.0", "block1_conv2": "features.2", "block2_conv1": "features.5"}
    arrays = torch_layout(vgg.state_dict())
    return vgg, {names[name.split(".")[0]] + "." + name.split(".")[1]: array for name, array in arrays.items()}


def test_vgg19_brings_its_convention_along(tmp_path: Path) -> None:
    """With the other one it still computes features, of a picture in other colours and 60 times as bright."""
    vgg, arrays = vgg_arrays("2,1")
    arrays |= {"classifier.0.weight": np.ones((2, 2), np.float32), "classifier.6.bias": np.ones(2, np.float32)}
    path = write_old(tmp_path / "x.pth", tensors(arrays), list(arrays.values()))
    convert(path, tmp_path / "torch.safetensors", sha256=digest(path))
    convert(path, tmp_path / "caffe.safetensors", sha256=digest(path), convention="caffe")
    write_npz(tmp_path / "caffe.npz", {n.replace("weight", "kernel"): npy(a) for n, a in vgg.state_dict().items()})
    assert "classifier.0.weight" not in load_state(tmp_path / "torch.safetensors")[0]
    for name, convention in {
        "torch.safetensors": "torchvision",
        "caffe.safetensors": "caffe",
        "caffe.npz": "caffe",
    }.items():
        loaded = load_vgg19(tmp_path / name, "2,1")
        assert loaded.convention == convention
        assert not any(parameter.requires_grad for parameter in loaded.parameters())
        assert_same(loaded.state_dict(), vgg.state_dict())
        assert load_vgg19(tmp_path / name, "1,2").phi == "1,2"  # a part of it
        with pytest.raises(WeightsError, match=r"missing: block2_conv2\.weight"):
            load_vgg19(tmp_path / name, "2,2")
    assert "BGR" in load_state(tmp_path / "caffe.safetensors")[1]["input"]
    assert "RGB" in load_state(tmp_path / "torch.safetensors")[1]["input"]
    save_model(tmp_path / "g.safetensors", small_generator())
    with pytest.raises(WeightsError, match=r"(?s)g\.safetensors, which holds Generator.*content mse"):
        load_vgg19(tmp_path / "g.safetensors")


def test_the_numbers_of_torchvision() -> None:
    """Counted by hand: a convolution and a ReLU each, and a pooling between the blocks."""
    (table,) = [naming.table for naming in NAMINGS if naming.title.startswith("torchvision")]
    position, expected = 0, {}
    for block, convolutions in enumerate((2, 2, 4, 4, 4), 1):
        for convolution in range(1, convolutions + 1):
            expected[f"block{block}_conv{convolution}"] = position
            position += 2
        position += 1
    assert {name: int(key.removeprefix("features.")) for key, name in table.items() if name != "unused"} == expected
    assert expected["block2_conv2"], expected["block5_conv4"] == (7, 34)


def test_safetensors_of_others(tmp_path: Path) -> None:
    """Their metadata is plain words, such as format: pt."""
    arrays, entries, numbers = torch_layout(small_generator().state_dict()), {}, b""
    for name, array in arrays.items():
        start, numbers = len(numbers), numbers + array.tobytes()
        entries[name] = {"dtype": "F32", "shape": array.shape, "data_offsets": [start, len(numbers)]}
    write_safetensors(tmp_path / "x.safetensors", {"__metadata__": {"format": "pt"}, **entries}, numbers)
    assert_same(load_generator(tmp_path / "x.safetensors").state_dict(), small_generator().state_dict())


def test_what_a_converted_file_tells(tmp_path: Path) -> None:
    """A year later nobody knows where it came from, and under which licence."""
    arrays = krasserm(torch_layout(small_generator(tanh=True, eps=1e-3).state_dict()))
    source = write_npz(tmp_path / "k.npz", {name: npy(array) for name, array in arrays.items()})
    convert(source, tmp_path / "k.safetensors", half=True, licence="Apache-2.0")
    state, about = load_state(tmp_path / "k.safetensors")
    assert about["source"] == f"k.npz, SHA-256 {digest(source)}"
    assert about["licence"] == "Apache-2.0"
    assert (about["input"], about["output"]) == ("RGB, 0..1", "RGB, -1..1")
    assert about["settings"] == {"scale": 4, "channels": 4, "blocks": 2, "tanh": True, "eps": 1e-3}
    assert {array.dtype for array in state.values()} == {np.dtype(np.float16)}
    loaded = load_generator(tmp_path / "k.safetensors")
    assert {array.dtype for array in loaded.state_dict().values()} == {np.dtype(np.float32)}
    convert(tmp_path / "k.safetensors", tmp_path / "again.safetensors", data="DIV2K")
    again = load_state(tmp_path / "again.safetensors")[1]
    assert again == about | {"data": "DIV2K"}
