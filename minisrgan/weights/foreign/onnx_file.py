"""Generators as ONNX, the format that upscaling programs, onnxruntime and browsers read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from minisrgan import __version__
from minisrgan.backend import Array
from minisrgan.images import write_whole
from minisrgan.models import Generator
from minisrgan.weights.foreign.convert import torch_layout
from minisrgan.weights.store import halved, need

OPSET, IR_VERSION = 17, 8  # from 2022, so that programs from then read the file; IR version 8 goes with opset 17
CONVENTIONS = {
    "input": "float32 (batch, 3, height, width), RGB, 0..1",
    "output": "float32 (batch, 3, scale * height, scale * width), RGB, 0..1",
}


def save_onnx(path: str | Path, generator: Generator, *, half: bool = False, clip: bool = True, **about: Any) -> None:
    """Write a generator as an ONNX file (opset 17) that enlarges batches of any number, height and width.

    generator  a generator, or the result of `minisrgan.inference.fold.folded`, which gives no BatchNormalization nodes
    half       store the weights of convolutions in 16 bits, and widen them when the file is loaded; everything is still
               computed in float32. The other arrays, a hundredth of the file, keep their 32 bits.
    clip       clip the output to [0, 1]
    about      for the file's metadata, such as name="srgan", licence="MIT"; scale and conventions are added
    Shapes     input (N, 3, H, W) RGB in [0, 1] to output (N, 3, scale*H, scale*W) RGB in [0, 1], not rounded
    Errors     WeightsError if the package onnx is missing, the network is not a `Generator`, or a number is too large
               for 16 bits; OSError if the file cannot be written

    The graph passes onnx.checker with shape inference before it is written. Its nodes have the names of the modules.
    """
    need("onnx", "onnx", "ONNX")
    import onnx

    graph = _Graph(torch_layout(generator), half)
    _generator(graph, generator, clip)
    float32, scale = onnx.TensorProto.FLOAT, generator.scale
    sizes = {"input": ("batch", 3, "height", "width"), "output": ("batch", 3, f"{scale}*height", f"{scale}*width")}
    ends = [onnx.helper.make_tensor_value_info(end, float32, shape) for end, shape in sizes.items()]
    model = onnx.helper.make_model(
        onnx.helper.make_graph(graph.nodes, "Generator", ends[:1], ends[1:], graph.arrays),
        producer_name="minisrgan", producer_version=__version__, ir_version=IR_VERSION,
        opset_imports=[onnx.helper.make_opsetid("", OPSET)],
    )  # fmt: skip
    told = {**about, "scale": generator.scale, "generator": generator.describe(), **CONVENTIONS}
    words = {key: value if isinstance(value, str) else json.dumps(value) for key, value in told.items()}
    onnx.helper.set_model_props(model, words)
    onnx.checker.check_model(model, full_check=True)
    write_whole(path, model.SerializeToString())


def _generator(graph: _Graph, generator: Generator, clip: bool) -> None:
    """Add the nodes that compute `Generator.forward`, and the conversion from [-1, 1] to [0, 1]."""
    x = first = graph.prelu(graph.conv("input", "conv_first"), "prelu_first")
    for k in range(generator.depth):
        block = f"blocks.{k}"
        y = graph.norm(graph.conv(x, f"{block}.conv1"), f"{block}.bn1", generator.eps)
        y = graph.conv(graph.prelu(y, f"{block}.prelu"), f"{block}.conv2")
        x = graph.add("Add", block, x, graph.norm(y, f"{block}.bn2", generator.eps))
    x = graph.add("Add", "trunk", first, graph.norm(graph.conv(x, "conv_middle"), "bn_middle", generator.eps))
    for k in range(len(generator.upsample)):
        stage = f"upsample.{k}"
        wide = graph.conv(x, f"{stage}.conv")
        # CRD: the channels that form the block of a pixel are adjacent, as in `ops.pixel_shuffle` and PyTorch.
        large = graph.add("DepthToSpace", f"{stage}.shuffle", wide, blocksize=2, mode="CRD")
        x = graph.prelu(large, f"{stage}.prelu")
    x = graph.conv(x, "conv_last")
    if generator.tanh:
        x = graph.add("Tanh", "tanh", x)
    x = graph.add("Mul", "halved", x, graph.array("half", np.float32(0.5)))
    x = graph.add("Add", "levels" if clip else "output", x, "half")
    if clip:
        graph.add("Clip", "output", x, *(graph.array(f"{n}", np.float32(n)) for n in (0, 1)))


class _Graph:
    """Nodes in the order in which they are computed, and the arrays they need."""

    def __init__(self, state: Mapping[str, Array], half: bool) -> None:
        self.state, self.half = state, half
        self.nodes: list[Any] = []
        self.arrays: list[Any] = []

    def add(self, kind: str, name: str, *inputs: str, **attributes: Any) -> str:
        """Add a node, and return the name of its output, which is `name`; the other methods return such a name, too."""
        from onnx import helper

        self.nodes.append(helper.make_node(kind, inputs, [name], name, **attributes))
        return name

    def array(self, name: str, array: Array) -> str:
        """Store an array in 32 bits, or in 16 with a node that widens it."""
        from onnx import TensorProto, numpy_helper

        stored = self.half and array.ndim == 4
        array = halved(name, array) if stored else array.astype(np.float32)
        self.arrays.append(numpy_helper.from_array(np.ascontiguousarray(array), f"{name}.half" if stored else name))
        return self.add("Cast", name, f"{name}.half", to=TensorProto.FLOAT) if stored else name

    def conv(self, x: str, name: str) -> str:
        """Add a convolution that keeps height and width."""
        weight, bias = (f"{name}.{part}" for part in ("weight", "bias"))
        side = self.state[weight].shape[2]
        inputs = [self.array(part, self.state[part]) for part in (weight, bias)]
        return self.add("Conv", name, x, *inputs, kernel_shape=[side, side], pads=4 * [side // 2])

    def norm(self, x: str, name: str, eps: float) -> str:
        """Add a batch norm in evaluation mode, unless it has been folded into the convolution."""
        parts = [f"{name}.{part}" for part in ("weight", "bias", "running_mean", "running_var")]
        if parts[0] not in self.state:
            return x
        return self.add("BatchNormalization", name, x, *(self.array(p, self.state[p]) for p in parts), epsilon=eps)

    def prelu(self, x: str, name: str) -> str:
        """Add a PReLU with a slope (C, 1, 1), which broadcasts over (N, C, H, W)."""
        slope = f"{name}.weight"
        return self.add("PRelu", name, x, self.array(slope, self.state[slope].reshape(-1, 1, 1)))
