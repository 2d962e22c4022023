"""What a training step asks of a GPU, counted without one: ``python -m tests.gpu.count``.

The step is that of the paper: 16 crops of 96 x 96, and for SRGAN the features of VGG19 5,4. It runs on the stand-in,
with arrays of the right sizes whose numbers are never computed: memory that nobody touches costs nothing.

launches   kernels, products, fills and copies within the GPU's memory. CuPy may use more than one for a sum.
small      those of them that read and write less than 1 MB together: to start one takes longer than to run it
waits      how often Python waits for a number from the GPU, whose queue runs empty meanwhile
columns    bytes of columns, or of transformed tiles and weights, that convolutions write and read again
products   matrix products, which cuBLAS computes
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from minisrgan import Tensor
from minisrgan.backend import to_device
from minisrgan.losses import MSEContent, VGGContent
from minisrgan.models import VGG19, Discriminator, Generator
from minisrgan.training import Config, SRGANStage, SRResNetStage
from tests.gpu import standin

SMALL, BATCH, CROP = 1 << 20, 16, 96
VIEWS = {"getitem", "reshape", "transpose", "swapaxes", "view", "ravel", "squeeze", "broadcast_to"}
MOVES = {"upload", "tolist", "item"}  # between the two memories: no launch
REDUCTIONS = {"sum": 1, "mean": 1, "max": 1, "min": 1, "all": 1, "any": 1, "var": 2, "std": 3}  # launches of each
ALIKE = {"copy", "astype"}  # results of the array's own shape
BETWEEN = {  # positions of the arrays that exist only between two steps of a convolution
    "im2col": (0,), "col2im": (1,), "winograd_factors": (0, 1), "winograd_results": (1,),
    "winograd_gradient_factors": (0, 1), "winograd_weight_gradient": (1,),
}  # fmt: skip
TOUCHED = 1 << 16  # bytes up to which numbers may really be computed


@dataclass
class Ledger:
    """Counts, and the launches by name."""

    launches: int = 0
    small: int = 0
    waits: int = 0
    columns: int = 0
    products: int = 0
    copied: int = 0  # sides of products that CuPy copies first, as cuBLAS cannot read them where they are
    names: Counter[str] = field(default_factory=Counter)

    def numbers(self) -> dict[str, int]:
        """Return the five counts by name."""
        return {name: getattr(self, name) for name in ("launches", "small", "waits", "columns", "products")}

    def clear(self) -> None:
        """Begin to count anew."""
        vars(self).update(vars(Ledger()))
        standin.waits[0] = 0

    def note(self, name: str, arrays: list[np.ndarray], times: int = 1) -> None:
        """Count a launch on these arrays."""
        self.launches += times
        self.small += times * (sum(array.nbytes for array in arrays) < SMALL)
        self.names[name] += times

    def perform(
        self, name: str, work: Callable[..., Any], args: tuple[Any, ...], options: dict[str, Any], owner: Any = None
    ) -> Any:
        """Count what a GPU is asked to do, and return a result of the right shape and type."""
        given = [] if owner is None else [owner]
        for value in (*args, *options.values()):
            given += [part for part in (value if isinstance(value, list | tuple) else [value]) if _is_array(part)]
        if name in MOVES:
            return work(*args, **options) if name != "upload" else None
        if name in VIEWS:
            result = work(*args, **options)
            if not np.may_share_memory(result, given[0]):
                self.note(f"copy by {name}", [*given, result])
            return result
        result = options.get("out")
        if result is None:
            result = self._result(name, work, args, options, given)
        self.products += name in ("matmul", "gemm")
        if name == "matmul":
            self.copied += sum(not (side.flags.c_contiguous or side.flags.f_contiguous) for side in given[:2])
        times = REDUCTIONS.get(name, 1)
        if name in ("concatenate", "stack"):  # CuPy joins more than eight arrays at once, and copies fewer one by one
            times = 1 if len(given) > 8 else len(given)
        self.note(name, [*given, *([result] if _is_array(result) else [])], times)
        return result

    def _result(self, name: str, work: Callable[..., Any], args: Any, options: Any, given: list[np.ndarray]) -> Any:
        if name in ("fill", "copyto", "setitem"):
            return None
        if name in ("iadd", "isub", "imul", "itruediv", "ipow"):
            return given[0]
        if sum(array.nbytes for array in given) <= TOUCHED:
            with np.errstate(all="ignore"):
                return work(*args, **options)
        if name == "matmul":
            a, b = given
            shape = (*np.broadcast_shapes(a.shape[:-2], b.shape[:-2]), a.shape[-2], b.shape[-1])
            return np.zeros(shape, a.dtype)
        if name in REDUCTIONS:
            (array,) = given
            axes = options.get("axis", args[-1] if args and not _is_array(args[-1]) else None)
            gone = {axis % array.ndim for axis in np.atleast_1d(range(array.ndim) if axes is None else axes)}
            lengths = ((1 if axis in gone else n) for axis, n in enumerate(array.shape))
            kept = tuple(n for axis, n in enumerate(lengths) if axis not in gone or options.get("keepdims"))
            return np.zeros(kept, bool if name in ("all", "any") else array.dtype)
        if name in ALIKE:
            return np.zeros(given[0].shape, args[0] if name == "astype" else given[0].dtype)
        assert isinstance(work, np.ufunc) or work.__module__ == "_operator", f"no rule for the shape of {name}"
        with np.errstate(all="ignore"):
            tiny = work(*(value.reshape(-1)[:1] if _is_array(value) else value for value in args))
        return np.zeros(np.broadcast_shapes(*(array.shape for array in given)), tiny.dtype)

    def raw_module(self, **source: Any) -> Any:
        """Stand for `cupy.RawModule`: kernels that only count."""
        return _Module(self)


class _Module:
    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger

    def get_function(self, name: str) -> Callable[..., None]:
        """Return a kernel."""

        def kernel(grid: Any, block: Any, args: tuple[Any, ...]) -> None:
            arrays = [value._array for value in args if isinstance(value, standin.ndarray)]
            self.ledger.note(name, arrays)
            between = BETWEEN.get(name.removesuffix("_by_16_bytes"), ())
            self.ledger.columns += sum(arrays[position].nbytes for position in between)

        return kernel


def _is_array(value: Any) -> bool:
    return isinstance(value, np.ndarray)


def _empty(shape: Any, dtype: Any = float) -> standin.ndarray:
    return standin.ndarray(np.zeros(shape, dtype))


@contextmanager
def counted() -> Iterator[Ledger]:
    """Put a GPU that counts, and computes nothing, into CuPy's place for a block."""
    ledger = Ledger()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(standin, "_empty", _empty)
        patch.setattr(standin, "perform", ledger.perform)
        # 45 million normal numbers take a second.
        patch.setattr("minisrgan.nn.layers.he_normal", lambda shape, rng=None: np.zeros(shape, np.float32))
        with standin.installed() as cupy:
            cupy.RawModule = ledger.raw_module
            yield ledger


def count(stage: str, **settings: Any) -> Ledger:
    """Return what one step of a stage asks of a GPU; settings as `Config` has them."""
    config = Config(**{"batch": BATCH, "crop": CROP, **settings})
    with counted() as ledger:
        generator = Generator(config.scale, config.channels, config.blocks).to("cuda")
        if stage == "srresnet":
            training: Any = SRResNetStage(generator, MSEContent(), config)
        else:
            discriminator = Discriminator(config.crop, config.d_channels).to("cuda")
            content = VGGContent(VGG19("5,4").to("cuda"))
            training = SRGANStage(generator, discriminator, content, config)
        sides = config.crop // config.scale, config.crop
        low, high = (np.zeros((config.batch, side, side, 3), np.float32) for side in sides)
        batch = [Tensor(to_device(array, "cuda")) for array in (low, high)]
        ledger.clear()
        training.step(0, *batch)
        ledger.waits = standin.waits[0]
    return ledger


def main() -> None:
    """Print the counts of both stages; with --names what the launches are."""
    parser = argparse.ArgumentParser(prog="python -m tests.gpu.count", description="Count what a step asks of a GPU.")
    parser.add_argument("--names", action="store_true", help="how often each kernel is launched")
    options = parser.parse_args()
    print(f"one step of the paper's size, {BATCH} crops of {CROP} x {CROP}; EMA as the presets have it is not in it")
    for stage in ("srresnet", "srgan"):
        ledger = count(stage)
        numbers = ledger.numbers()
        print(f"{stage:9}", *(f"{name} {value:,}" for name, value in numbers.items()), sep="  ")
        if options.names:
            print(*(f"{times:6}  {name}" for name, times in ledger.names.most_common()), sep="\n")


if __name__ == "__main__":
    main()
