"""Exported generators in onnxruntime and in PyTorch: the same pictures. Skipped where a package is missing."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from minisrgan import Tensor, no_grad
from minisrgan.images import read_image, write_image
from minisrgan.inference import upscale
from minisrgan.inference.fold import folded
from minisrgan.models import Generator
from minisrgan.weights import load_generator, load_state, save_model
from minisrgan.weights.foreign.onnx_file import CONVENTIONS, save_onnx
from tests.cli.conftest import command
from tests.weights.files import small_generator

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "export.md"
SIZES = [(1, 1), (1, 9), (7, 1), (2, 3), (5, 4), (8, 8), (9, 13), (16, 12), (3, 17), (12, 24)]
SMALL = [{}, {"scale": 2, "tanh": True}, {"scale": 8, "blocks": 0, "channels": 1}, {"eps": 1e-3, "channels": 5}]


def blocks_of_code() -> list[str]:
    """Return the blocks of Python in the document."""
    return re.findall(r"```python\n(.*?)```", DOCUMENT.read_text("utf-8"), re.DOTALL)


def batch(height: int, width: int, images: int = 1) -> np.ndarray:
    """Return a batch (N, H, W, 3) of noise in 0..1."""
    return np.random.default_rng(height + width).random((images, height, width, 3), np.float32)


def ours(generator: Generator, low: np.ndarray) -> np.ndarray:
    """Return (N, H, W, 3) in -1..1."""
    with no_grad():
        return generator(Tensor(low)).numpy()


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in a folder of our own."""
    monkeypatch.chdir(tmp_path)


class TestOnnx:
    """What onnx and onnxruntime say of the files."""

    @pytest.fixture(autouse=True)
    def packages(self) -> None:
        """Skip by name."""
        self.onnx: Any = pytest.importorskip("onnx", reason="onnx is not installed: ONNX files cannot be written")
        self.runtime: Any = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed: ONNX is not run")

    def agree(self, path: str, generator: Generator, *batches: np.ndarray) -> None:
        """Compare onnxruntime with the generator on batches (N, H, W, 3)."""
        options = self.runtime.SessionOptions()
        options.intra_op_num_threads = 1
        session = self.runtime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        for low in batches:
            expected = np.clip((ours(generator, low) + 1) / 2, 0, 1)
            (high,) = session.run(None, {"input": np.ascontiguousarray(low.transpose(0, 3, 1, 2))})
            got = high.transpose(0, 2, 3, 1)
            assert got.shape == expected.shape
            assert np.abs(got - expected).max() <= 2e-5

    @pytest.mark.parametrize("fold", [False, True], ids=["norms", "folded"])
    def test_the_box_at_ten_sizes(self, fold: bool) -> None:
        """Trained weights are not those of a random network: their batch norms have statistics of every size."""
        assert command("export", "srgan", "-o", "srgan.onnx", *["--fold"] * fold) == 0
        self.agree("srgan.onnx", load_generator("srgan"), *(batch(*size) for size in SIZES))
        assert Path("srgan.onnx").stat().st_size <= 6.3e6

    @pytest.mark.parametrize("settings", SMALL, ids=str)
    @pytest.mark.parametrize("fold", [False, True], ids=["norms", "folded"])
    def test_every_kind_of_generator(self, settings: dict[str, Any], fold: bool) -> None:
        """Another scale, width, depth, ending or eps, and batches of several images."""
        generator = small_generator(**settings)
        save_onnx("g.onnx", folded(generator) if fold else generator)
        self.agree("g.onnx", generator, *(batch(*size, images=2) for size in SIZES[2:5]))

    def test_half(self) -> None:
        """Half the size; the box was stored in 16 bits, and loses nothing."""
        assert command("export", "srgan", "-o", "srgan.onnx", "--half") == 0
        assert Path("srgan.onnx").stat().st_size <= 3.2e6
        self.agree("srgan.onnx", load_generator("srgan"), batch(8, 6))
        generator = small_generator()
        save_onnx("g.onnx", generator, half=True)
        for name, array in generator.state_dict().items():
            if array.ndim == 4:
                assert np.abs(array - array.astype(np.float16)).max() > 0, name
                array[...] = array.astype(np.float16)
        self.agree("g.onnx", generator, batch(5, 4))

    def test_the_graph(self) -> None:
        """What programs look for in it, and what a person wants to know of a file that is found years later."""
        save_model("g.safetensors", small_generator(tanh=True), licence="MIT", steps=7)
        assert command("export", "g.safetensors", "-o", "g.onnx", "--about", "author=A. B.") == 0
        model = self.onnx.load("g.onnx")
        self.onnx.checker.check_model(model, full_check=True)
        assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", 17)]
        kinds = {"Conv", "PRelu", "BatchNormalization", "Add", "DepthToSpace", "Tanh", "Mul", "Clip"}
        assert {node.op_type for node in model.graph.node} == kinds
        sides = [[d.dim_value or d.dim_param for d in end.type.tensor_type.shape.dim]
                 for end in (*model.graph.input, *model.graph.output)]  # fmt: skip
        assert sides == [["batch", 3, "height", "width"], ["batch", 3, "4*height", "4*width"]]
        assert {node.name for node in model.graph.node} >= {"conv_first", "blocks.1.conv2", "upsample.0.shuffle"}
        told = {entry.key: entry.value for entry in model.metadata_props}
        expected = {"name": "g", "scale": "4", "licence": "MIT", "steps": "7", "author": "A. B.", **CONVENTIONS}
        assert told == expected | {"generator": "x4, 4 channels, 2 blocks"}
        assert command("export", "g.safetensors", "-o", "g.onnx", "--fold", "--half", "--overwrite") == 0
        found = {node.op_type for node in self.onnx.load("g.onnx").graph.node}
        assert found == kinds - {"BatchNormalization"} | {"Cast"}

    def test_the_lines_of_the_document(self) -> None:
        """What people copy must run, and give the picture that `minisrgan upscale` gives."""
        write_image(Path("photo.png"), np.random.default_rng(0).integers(0, 256, (7, 9, 3), np.uint8))
        assert command("export", "srgan", "-o", "srgan.onnx") == 0
        exec(blocks_of_code()[0], {})
        expected = upscale(load_generator("srgan"), read_image("photo.png"))
        assert np.abs(read_image("large.png").astype(int) - expected).max() <= 1


class TestTorch:
    """What the modules in the document make of the files."""

    @pytest.fixture(autouse=True)
    def document(self) -> None:
        """Run the lines of the document."""
        self.torch: Any = pytest.importorskip("torch", reason="torch is not installed: its files are only compared")
        self.names: dict[str, Any] = {}
        lines = blocks_of_code()[1]
        assert len(lines.splitlines()) <= 55
        exec(lines, self.names)

    def agree(self, path: str, generator: Generator, low: np.ndarray) -> None:
        """Compare PyTorch with the generator."""
        with self.torch.no_grad():
            got = self.names["load_generator"](path)(self.torch.from_numpy(low.transpose(0, 3, 1, 2))).numpy()
        assert np.abs(got.transpose(0, 2, 3, 1) - (ours(generator, low) + 1) / 2).max() <= 1e-5

    @pytest.mark.parametrize("options", [[], ["--fold"], ["--half"]], ids=str)
    def test_the_box(self, options: list[str]) -> None:
        """The models in the box, stored in 16 bits, lose nothing by --half."""
        assert command("export", "srgan", "-o", "srgan.safetensors", *options) == 0
        generator = load_generator("srgan")
        for size in SIZES[4:7]:
            self.agree("srgan.safetensors", generator, batch(*size))

    @pytest.mark.parametrize("settings", SMALL, ids=str)
    def test_every_kind_of_generator(self, settings: dict[str, Any]) -> None:
        """Another scale, width, depth, ending or eps."""
        save_model("g.safetensors", small_generator(**settings), layout="OIHW")
        self.agree("g.safetensors", small_generator(**settings), batch(5, 4, images=2))

    def test_trained_further_it_comes_back(self) -> None:
        """PyTorch counts batches beside the weights, and its users save what state_dict gives."""
        from safetensors import safe_open
        from safetensors.torch import save_file

        save_model("g.safetensors", small_generator(tanh=True), layout="OIHW")
        module = self.names["load_generator"]("g.safetensors").train()
        module(self.torch.rand(2, 3, 5, 4)).sum().backward()
        with safe_open("g.safetensors", "pt") as file:
            save_file(module.state_dict(), "further.safetensors", file.metadata())
        assert command("weights", "convert", "further.safetensors", "-o", "again.safetensors") == 0
        again, state = load_state("again.safetensors")[0], module.state_dict()
        assert load_generator("again.safetensors").tanh
        assert not np.array_equal(again["bn_middle.running_mean"], small_generator().bn_middle.running_mean)
        for name, array in again.items():
            layout = (2, 3, 1, 0) if array.ndim == 4 else range(array.ndim)
            assert np.array_equal(array, state[name].numpy().transpose(*layout)), name
