"""The names of other libraries for the parts of our models, read from names.txt: a column per naming scheme."""

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

# The arrays that identify a model.
_SIGNS = {
    "Generator": {"conv_first.weight", "bn_middle.running_mean", "upsample.0.conv.weight", "conv_last.weight"},
    "Discriminator": {"features.0.weight", "features.3.running_mean", "head.3.weight"},
    "VGG19": {"block1_conv1.weight"},
}
# Names of a module's arrays in Keras and in NumPy files, where they differ from ours.
_PARTS = {
    "kernel": "weight", "W": "weight", "gamma": "weight", "alpha": "weight", "b": "bias", "beta": "bias",
    "moving_mean": "running_mean", "moving_variance": "running_var",
}  # fmt: skip
# The values that replace k, 2k, ... in names.txt, for each residual block of the largest possible model.
_COUNTS = [{"k": k, "2k": 2 * k, "2k+1": 2 * k + 1, "2k+2": 2 * k + 2, **{f"k+{n}": k + n for n in (1, 2, 17, 34)}}
           for k in range(64)]  # fmt: skip


@dataclass(frozen=True)
class Naming:
    """A naming scheme: who uses it, our model, pairs of their names and ours, settings that differ from the paper's."""

    title: str
    model: str
    rows: tuple[tuple[str, str], ...]
    settings: Mapping[str, Any]

    @cached_property
    def table(self) -> dict[str, str]:
        """Map the name of each module to ours; "unused" stands for a module that our models do not have."""
        return {theirs.format_map(counts): ours.format_map(counts) for theirs, ours in self.rows for counts in _COUNTS}

    def our_name(self, name: str) -> str:
        """Return our name of an array; "unused" if our model does not need it, "" if the scheme does not have it.

        >>> [NAMINGS[0].our_name(name) for name in ("rb.12.c2.weight", "bm.num_batches_tracked", "other.weight")]
        ['blocks.12.conv2.weight', 'unused', '']
        """
        module, _, part = name.rpartition(".")
        ours = "unused" if part == "num_batches_tracked" else self.table.get(module, "")
        return ours if ours in ("", "unused") else f"{ours}.{_PARTS.get(part, part)}"


def _read_table() -> Iterator[Naming]:
    text = Path(__file__).with_name("names.txt").read_text(encoding="utf-8")
    for block in text.split("\n\n")[1:]:
        ours, *columns = zip(*(line.split() for line in block.splitlines()), strict=True)
        for title, *theirs, settings in columns:
            yield Naming(title, ours[0], tuple(zip(theirs, ours[1:-1], strict=True)), json.loads(settings))


NAMINGS = tuple(_read_table())


def find_naming(names: Collection[str]) -> Naming | None:
    """Return the naming scheme of a model's arrays, or None."""
    return next((known for known in NAMINGS if _SIGNS[known.model] <= set(map(known.our_name, names))), None)
