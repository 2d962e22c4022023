"""The steps of a stage as a CUDA graph, which one call launches; used with MINISRGAN_CUDA_GRAPH=1.

Off by default, because it has not run on a GPU yet: docs/gpu.md.
"""

import os
from collections.abc import Callable
from typing import Any

from minisrgan.autograd import Tensor
from minisrgan.training.stages import SRGANStage, Stage

Step = Callable[[int, Tensor, Tensor], dict[str, float]]


def step_of(stage: Stage, device: str) -> Step:
    """Return the function that takes the steps of a stage: its own, or that of a graph if requested and possible.

    A graph is not possible with an adversarial balance, whose average is a new array in every step, or several ranks.
    """
    wanted = device != "cpu" and os.environ.get("MINISRGAN_CUDA_GRAPH") == "1"
    if not wanted or stage.balance or stage.ranks.size > 1:
        return stage.step
    captured: Captured = vars(stage).setdefault("_captured", Captured(stage))
    return captured.step


class Captured:
    """A stage whose third step is captured as a graph, which is launched for that step and all later ones.

    The graph does not contain what Python computes in `stage.step`: learning rates, and the step counts of Adam and of
    the average. Therefore optimizers and average also take their steps in Python, in which they start no computation on
    the GPU but upload their numbers.
    """

    def __init__(self, stage: Stage) -> None:
        self.stage, self.taken = stage, 0
        self.graph: Any = None

    def step(self, step: int, low: Tensor, high: Tensor) -> dict[str, float]:
        """As `stage.step`."""
        if step < getattr(self.stage, "head_start", 0):
            return self.stage.step(step, low, high)
        if self.graph is None:
            from minisrgan.kernels.cuda.graph import Graph

            self.graph, self.batch = Graph(), (Tensor(low.data.copy()), Tensor(high.data.copy()))
        for place, new in zip(self.batch, (low, high), strict=True):
            place.data[...] = new.data
        self.taken += 1
        if self.taken <= 2:
            numbers: dict[str, float] = self.graph.run(lambda: self.stage.step(step, *self.batch))
            return numbers
        if self.taken == 3:
            self.graph.capture(lambda: self.stage.step(step, *self.batch))
        else:
            self.graph.refresh(lambda: self._count(step))
        numbers = self.graph.start()
        return numbers

    def _count(self, step: int) -> None:
        stage = self.stage
        rates = (stage.g_lr, stage.d_lr) if isinstance(stage, SRGANStage) else (stage.lr,)
        for optimizer, rate in zip(stage.optimizers().values(), rates, strict=True):
            optimizer.lr = rate(step)
            optimizer.step()
        if stage.average:
            stage.average.update()
