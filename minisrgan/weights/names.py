"""What others call the parts of these models: one table for each way, from the name of a module to ours.

A name is a regular expression, ours may take its groups; an empty one means that we have no use for the module. A name
that is in no table is handed on as it is, and so listed as unexpected when the model refuses it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

_PAIR = (1, 2)
_D_CONVS, _D_NORMS = (0, 2, 5, 8, 11, 14, 17, 20), (3, 6, 9, 12, 15, 18, 21)
_VGG = [f"block{block}_conv{conv}" for block, count in enumerate((2, 2, 4, 4, 4), 1) for conv in range(1, count + 1)]
_TORCHVISION = (0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28, 30, 32, 34)


@dataclass(frozen=True)
class Naming:
    """A way to name the parts of a model.

    title     where it is used
    sign      a name that no other way has
    model     ours
    table     names of modules to ours
    settings  of the model, where they are not the paper's
    output    range of the generator's output, [0, 1] or as ours [-1, 1]
    no_bias   whether convolutions before a batch norm have none
    """

    title: str
    sign: str
    model: str
    table: Mapping[str, str]
    settings: Mapping[str, Any] = field(default_factory=dict)
    output: tuple[int, int] = (-1, 1)
    no_bias: bool = False


NAMINGS = (
    Naming("krasserm/super-resolution, as .npz", r"c0\.weight", "Generator", {
        "c0": "conv_first", "p0": "prelu_first", r"rb\.(\d+)\.c([12])": r"blocks.\1.conv\2",
        r"rb\.(\d+)\.b([12])": r"blocks.\1.bn\2", r"rb\.(\d+)\.p": r"blocks.\1.prelu", "cm": "conv_middle",
        "bm": "bn_middle", "u1": "upsample.0.conv", "q1": "upsample.0.prelu", "u2": "upsample.1.conv",
        "q2": "upsample.1.prelu", "ce": "conv_last",
    }, {"tanh": True, "eps": 1e-3}),
    Naming("krasserm/super-resolution, generators of Keras", r"p_re_lu_0\.alpha", "Generator", {
        **{f"conv2d_{i}": name for i, name in enumerate(["conv_first", *(f"blocks.{k}.conv{n}" for k in range(16)
           for n in _PAIR), "conv_middle", "upsample.0.conv", "upsample.1.conv", "conv_last"])},
        **{f"batch_normalization_{2 * k + n - 1}": f"blocks.{k}.bn{n}" for k in range(16) for n in _PAIR},
        "batch_normalization_32": "bn_middle", "p_re_lu_0": "prelu_first", "p_re_lu_17": "upsample.0.prelu",
        "p_re_lu_18": "upsample.1.prelu", **{f"p_re_lu_{k + 1}": f"blocks.{k}.prelu" for k in range(16)},
    }, {"tanh": True, "eps": 1e-3}),
    Naming("krasserm/super-resolution, discriminator of Keras", r"dense_0\.kernel", "Discriminator", {
        **{f"conv2d_{i}": f"features.{n}" for i, n in enumerate(_D_CONVS)}, "dense_0": "head.1", "dense_1": "head.3",
        **{f"batch_normalization_{i}": f"features.{n}" for i, n in enumerate(_D_NORMS)},
    }),
    Naming("leftthomas/SRGAN", r"block8\.0\.conv\.weight", "Generator", {
        r"block1\.0": "conv_first", r"block1\.1": "prelu_first", r"block7\.0": "conv_middle", r"block7\.1": "bn_middle",
        **{rf"block{k + 2}\.(\w+)": rf"blocks.{k}.\1" for k in range(5)}, r"block8\.(\d)\.(\w+)": r"upsample.\1.\2",
        r"block8\.\d": "conv_last",
    }, {"tanh": True}),
    Naming("Lornatang/SRGAN-PyTorch", r"trunk\.0\.rcb\.0\.weight", "Generator", {
        r"conv(_block)?1\.0": "conv_first", r"conv(_block)?1\.1": "prelu_first", r"conv(_block)?2\.0": "conv_middle",
        r"conv(_block)?2\.1": "bn_middle", r"conv(_block)?3": "conv_last", r"trunk\.(\d+)\.rcb\.2": r"blocks.\1.prelu",
        **{rf"trunk\.(\d+)\.rcb\.{3 * n - 3}": rf"blocks.\1.conv{n}" for n in _PAIR},
        **{rf"trunk\.(\d+)\.rcb\.{3 * n - 2}": rf"blocks.\1.bn{n}" for n in _PAIR},
        r"upsampling\.(\d+)\.upsample_block\.0": r"upsample.\1.conv",
        r"upsampling\.(\d+)\.upsample_block\.2": r"upsample.\1.prelu",
    }, output=(0, 1), no_bias=True),
    Naming("aladdinpersson's tutorial", r"initial\.cnn\.weight", "Generator", {
        r"initial\.cnn": "conv_first", r"initial\.act": "prelu_first", r"convblock\.cnn": "conv_middle",
        r"convblock\.bn": "bn_middle", r"residuals\.(\d+)\.block([12])\.cnn": r"blocks.\1.conv\2",
        r"residuals\.(\d+)\.block([12])\.bn": r"blocks.\1.bn\2", r"final(\.cnn)?": "conv_last",
        r"residuals\.(\d+)\.block1\.act": r"blocks.\1.prelu", r"upsamples\.(\d+)\.act": r"upsample.\1.prelu",
    "upsamples\\.(\\d+)\\.conv": r"upsample.\1.conv"}, {"tanh": True}, no_bias=True),
    Naming("minisrgan's names in PyTorch", r"conv_first\.weight", "Generator", {}),
    Naming("a discriminator of PyTorch", r"features\.3\.running_mean", "Discriminator", {
        r"classifier\.0": "head.1", r"classifier\.2": "head.3",
    }),
    Naming("torchvision, VGG19", r"features\.0\.weight", "VGG19", {
        **{rf"features\.{i}": name for i, name in zip(_TORCHVISION, _VGG, strict=True)}, r"classifier\.\d": "",
    }, {"convention": "torchvision"}),
    Naming("Keras, VGG19", r"block1_conv1\.kernel", "VGG19", {"fc1|fc2|predictions": ""}, {"convention": "caffe"}),
)  # fmt: skip


def find_naming(names: Collection[str]) -> Naming:
    """Return the way in which a file names its parts; ValueError if it is none of these."""
    for naming in NAMINGS:
        if any(re.fullmatch(naming.sign, name) for name in names):
            return naming
    known = "; ".join(naming.title for naming in NAMINGS)
    raise ValueError(f"its names, such as {', '.join(list(names)[:3])[:100]}, are of none of these: {known}")


def our_name(naming: Naming, module: str) -> str:
    """Return what we call a module.

    >>> our_name(NAMINGS[0], "rb.12.c2"), our_name(NAMINGS[0], "other")
    ('blocks.12.conv2', 'other')
    """
    for theirs, ours in naming.table.items():
        if match := re.fullmatch(theirs, module):
            return match.expand(ours)
    return module
