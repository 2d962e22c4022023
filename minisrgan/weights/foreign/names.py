"""What others call the parts of these models: one row of names for each way, in the order of ours.

``{k}`` in a row counts residual blocks or upsamplings from 0, ``{k+2}`` from 2, ``{2k+1}`` counts 1, 3, 5 and so on.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

_NORMS = " ".join(f"features.{i} features.{i + 1}" for i in range(2, 21, 3))  # a convolution and its batch norm
_BLOCKS = " ".join(f"blocks.{i}.cnn blocks.{i}.bn" for i in range(1, 8))
_OURS = {
    "Generator": "conv_first prelu_first blocks.{k}.conv1 blocks.{k}.bn1 blocks.{k}.prelu blocks.{k}.conv2 "
                 "blocks.{k}.bn2 conv_middle bn_middle upsample.{k}.conv upsample.{k}.prelu conv_last",
    "Discriminator": f"features.0 {_NORMS} head.1 head.3",
    "VGG19": " ".join(f"block{i}_conv{j}" for i, n in enumerate((2, 2, 4, 4, 4), 1) for j in range(1, n + 1)),
}  # fmt: skip
# Arrays by which a model is recognised.
_SIGNS = {
    "Generator": {"conv_first.weight", "bn_middle.running_mean", "upsample.0.conv.weight", "conv_last.weight"},
    "Discriminator": {"features.0.weight", "features.3.running_mean", "head.3.weight"},
    "VGG19": {"block1_conv1.weight"},
}
# What Keras and NumPy's users call the arrays of a module, where it is not what we do.
_PARTS = {
    "kernel": "weight", "W": "weight", "gamma": "weight", "alpha": "weight", "b": "bias", "beta": "bias",
    "moving_mean": "running_mean", "moving_variance": "running_var",
}  # fmt: skip
_MOST = 64  # blocks


@dataclass(frozen=True)
class Naming:
    """A way to name the parts of a model.

    title     where it is used
    model     ours
    row       their names of modules, in the order of `_OURS`
    settings  of the model, where they are not the paper's
    unit      whether the generator's output is in [0, 1]; ours is in [-1, 1]
    unused    modules that we have no use for
    """

    title: str
    model: str
    row: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    unit: bool = False
    unused: tuple[str, ...] = ()

    @cached_property
    def table(self) -> dict[str, str]:
        """From the name of a module to ours; where two rows give one name, the later one is meant."""
        table = dict.fromkeys(self.unused, "")
        for theirs, ours in zip(self.row.split(), _OURS[self.model].split(), strict=True):
            for k in range(_MOST if "k" in theirs else 1):
                shifted = {f"k+{n}": k + n for n in (1, 2, 17, 34)}
                counts = {"k": k, "2k": 2 * k, "2k+1": 2 * k + 1, "2k+2": 2 * k + 2, **shifted}
                table[theirs.format_map(counts)] = ours.format_map(counts)
        return table

    def our_name(self, name: str) -> str | None:
        """Return what we call an array; "" for one that we have no use for, None for one that is in no row.

        >>> NAMINGS[0].our_name("rb.12.c2.weight"), NAMINGS[0].our_name("other.weight")
        ('blocks.12.conv2.weight', None)
        """
        module, _, part = name.rpartition(".")
        ours = self.table.get(module)
        return f"{ours}.{_PARTS.get(part, part)}" if ours else ours


_TANH, _KRASSERM = {"tanh": True}, {"tanh": True, "eps": 1e-3}
NAMINGS = (
    Naming("krasserm/super-resolution, as .npz", "Generator",
           "c0 p0 rb.{k}.c1 rb.{k}.b1 rb.{k}.p rb.{k}.c2 rb.{k}.b2 cm bm u{k+1} q{k+1} ce", _KRASSERM),
    Naming("krasserm/super-resolution, generators of Keras", "Generator",
           "conv2d_0 p_re_lu_0 conv2d_{2k+1} batch_normalization_{2k} p_re_lu_{k+1} conv2d_{2k+2} "
           "batch_normalization_{2k+1} conv2d_33 batch_normalization_32 conv2d_{k+34} p_re_lu_{k+17} conv2d_36",
           _KRASSERM),
    Naming("leftthomas/SRGAN", "Generator",
           "block1.0 block1.1 block{k+2}.conv1 block{k+2}.bn1 block{k+2}.prelu block{k+2}.conv2 block{k+2}.bn2 "
           "block7.0 block7.1 block8.{k}.conv block8.{k}.prelu block8.{k}", _TANH),
    *(Naming("Lornatang/SRGAN-PyTorch", "Generator",
             f"{conv}1.0 {conv}1.1 trunk.{{k}}.rcb.0 trunk.{{k}}.rcb.1 trunk.{{k}}.rcb.2 trunk.{{k}}.rcb.3 "
             f"trunk.{{k}}.rcb.4 {conv}2.0 {conv}2.1 upsampling.{{k}}.upsample_block.0 "
             f"upsampling.{{k}}.upsample_block.2 {conv}3", unit=True) for conv in ("conv", "conv_block")),
    *(Naming("aladdinpersson's tutorial", "Generator",
             "initial.cnn initial.act residuals.{k}.block1.cnn residuals.{k}.block1.bn residuals.{k}.block1.act "
             "residuals.{k}.block2.cnn residuals.{k}.block2.bn convblock.cnn convblock.bn upsamples.{k}.conv "
             f"upsamples.{{k}}.act {last}", _TANH) for last in ("final", "final.cnn")),
    Naming("minisrgan's names in PyTorch", "Generator", _OURS["Generator"]),
    *(Naming("a discriminator of PyTorch", "Discriminator", f"{features} {head}") for features, head in (
        (f"features.0 {_NORMS}", "classifier.0 classifier.2"), (f"features.0 {_NORMS}", "head.1 head.3"),
        (f"blocks.0.cnn {_BLOCKS}", "classifier.2 classifier.4"))),
    Naming("torchvision, VGG19", "VGG19", " ".join(
        f"features.{i}" for i in (0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28, 30, 32, 34)),
        {"convention": "torchvision"}, unused=("classifier.0", "classifier.3", "classifier.6")),
    Naming("Keras, VGG19", "VGG19", _OURS["VGG19"], {"convention": "caffe"}, unused=("fc1", "fc2", "predictions")),
)  # fmt: skip


def find_naming(names: Collection[str]) -> Naming | None:
    """Return the way in which a model's arrays are named; None if it is none of these."""
    for naming in NAMINGS:
        ours = [naming.our_name(name) for name in names]
        if _SIGNS[naming.model] <= set(ours) and 2 * ours.count(None) <= len(ours):
            return naming
    return None
