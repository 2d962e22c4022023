"""The steps of a stage as a CUDA graph, which one call launches; used with MINISRGAN_CUDA_GRAPH=1.

Off by default, because it has not run on a GPU yet: docs/gpu.md.
"""

import os
from collections.abc import Callable, Iterable
from typing import Any

from minisrgan.autograd import Tensor
from minisrgan.backend import Array
from minisrgan.training.parallel import Ranks
from minisrgan.training.stages import SRGANStage, Stage

Step = Callable[[int, Tensor, Tensor], dict[str, float]]


def step_of(stage: Stage, device: str) -> Step:
    """Return the function that takes the steps of a stage: its own, or on a GPU that of a graph if one is requested."""
    if device == "cpu" or os.environ.get("MINISRGAN_CUDA_GRAPH") != "1":
        return stage.step
    captured: Captured = vars(stage).setdefault("_captured", Captured(stage))
    return captured.step


class Captured:
    """A stage whose third step is captured as a graph, which is launched for that step and all later ones.

    The steps of D's head start are other code than those after it, so each kind has a graph of its own, one at a time.

    A graph does not contain what Python computes in `stage.step`: learning rates, and the step counts of Adam and of
    the average. Therefore optimizers and average also take their steps in Python, in which they start no computation on
    the GPU but upload their numbers. The weight of the adversarial term, if it is balanced, is computed on the GPU.
    """

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.alone: bool | None = None  # whether only D learns in the current graph

    def step(self, step: int, low: Tensor, high: Tensor) -> dict[str, float]:
        """As `stage.step`."""
        if (alone := step < getattr(self.stage, "head_start", 0)) is not self.alone:
            from minisrgan.kernels.cuda.graph import Graph

            self.alone, self.taken, self.graph = alone, 0, Graph()
            self.batch = Tensor(low.data.copy()), Tensor(high.data.copy())
        for place, new in zip(self.batch, (low, high), strict=True):
            place.data[...] = new.data
        self.taken += 1
        if self.taken <= 2:
            numbers: dict[str, float] = self.graph.run(lambda: self.stage.step(step, *self.batch))
            return numbers
        if self.taken == 3:
            ranks = self.stage.ranks
            self.stage.ranks = _Between(ranks, self.graph) if ranks.size > 1 else ranks
            try:
                self.graph.capture(lambda: self.stage.step(step, *self.batch))
            finally:
                self.stage.ranks = ranks
        else:
            self.graph.refresh(lambda: self._count(step))
        numbers = self.graph.start()
        return numbers

    def _count(self, step: int) -> None:
        stage = self.stage
        rates = (stage.g_lr, stage.d_lr) if isinstance(stage, SRGANStage) else (stage.lr,)
        for (name, optimizer), rate in zip(stage.optimizers.items(), rates, strict=True):
            if not self.alone or name == "discriminator":
                optimizer.lr = rate(step)
                optimizer.step()
        if stage.average and not self.alone:
            stage.average.update()


class _Between(Ranks):
    """The ranks during a capture: MPI cannot be captured, so they exchange arrays between the parts of the graph."""

    def __init__(self, ranks: Ranks, graph: Any) -> None:
        self.ranks, self.graph = ranks, graph

    def average(self, arrays: Iterable[Array]) -> Iterable[Array]:
        """As in `Ranks`, at every start of the graph."""
        arrays = list(arrays)
        self.graph.pause(lambda: self.ranks.average(arrays))
        return arrays
