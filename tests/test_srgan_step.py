"""One complete step of SRGAN in small: what must meet, what must not, and in which precision."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import numpy as np
import pytest

import minisrgan
from minisrgan import Tensor, grad, losses, models, no_grad, optim
from minisrgan.backend import threads
from minisrgan.kernels import norm

PACKAGE = minisrgan.__file__.removesuffix("__init__.py")


class Players:
    """Both networks, their optimizers and one batch; scale 2, crops of 16 x 16."""

    def __init__(self, dtype: Any, content: str = "vgg") -> None:
        rng = np.random.default_rng(0)
        self.generator = models.Generator(2, channels=4, blocks=2, rng=rng).astype(dtype)
        self.discriminator = models.Discriminator(crop=16, channels=2, rng=rng).astype(dtype)
        measure = losses.VGGContent(models.VGG19("2,2", rng=rng).astype(dtype)) if content == "vgg" else None
        self.loss = losses.PerceptualLoss(measure or losses.MSEContent(), tv_weight=2e-8)
        self.optimizer_g = optim.Adam(self.generator.parameters(), lr=1e-4)
        self.optimizer_d = optim.Adam(self.discriminator.parameters(), lr=1e-4)
        self.low = Tensor(rng.random((3, 8, 8, 3)).astype(dtype))
        self.high = Tensor((rng.random((3, 16, 16, 3)) * 2 - 1).astype(dtype))

    def discriminator_step(self) -> Tensor:
        """Let D learn to tell; the generated batch is made without a graph."""
        with no_grad():
            fake = self.generator(self.low)
        loss = losses.discriminator_loss(self.discriminator(self.high), self.discriminator(fake), real_label=0.9)
        self.optimizer_d.zero_grad()
        loss.backward()
        optim.clip_grad_norm(self.discriminator.parameters(), 1.0)
        self.optimizer_d.step()
        return loss

    def generator_terms(self) -> tuple[Tensor, dict[str, Tensor]]:
        """The perceptual loss, D frozen."""
        self.discriminator.requires_grad_(False)
        fake = self.generator(self.low)
        terms = self.loss(fake, self.high, self.discriminator(fake))
        self.discriminator.requires_grad_(True)
        return terms

    def generator_step(self) -> Tensor:
        """Let G learn to please."""
        total, _ = self.generator_terms()
        self.optimizer_g.zero_grad()
        total.backward()
        optim.clip_grad_norm(self.generator.parameters(), 1.0)
        self.optimizer_g.step()
        return total


def arrays_in(value: Any) -> Iterator[np.ndarray]:
    """All arrays that a local variable holds, in tuples and lists, and in Tensors too."""
    if isinstance(value, np.ndarray):
        yield value
    elif isinstance(value, Tensor):
        yield from arrays_in(value.data) if hasattr(value, "data") else ()
    elif isinstance(value, list | tuple):
        for part in value:
            yield from arrays_in(part)


@contextmanager
def watch(dtype: Any) -> Iterator[tuple[set[str], list[int]]]:
    """Look at every local variable and result of every function of minisrgan when it returns.

    Yields the places that held arrays of a dtype, and a list with a single count: arrays looked at.
    """
    places: set[str] = set()
    looked = [0]

    def on_return(frame: FrameType, event: str, result: Any) -> None:
        if event == "return" and frame.f_code.co_filename.startswith(PACKAGE):
            for name, value in (*frame.f_locals.items(), ("its result", result)):
                for array in arrays_in(value):
                    looked[0] += 1
                    if array.dtype == dtype:
                        places.add(f"{frame.f_code.co_filename.removeprefix(PACKAGE)}: {frame.f_code.co_name}: {name}")

    before = sys.getprofile()
    sys.setprofile(on_return)
    try:
        yield places, looked
    finally:
        sys.setprofile(before)


@pytest.mark.parametrize(("dtype", "other"), [(np.float32, np.float64), (np.float64, np.float32)])
def test_a_step_stays_in_its_dtype(dtype: Any, other: Any):
    """One np.float64 among the constants makes all that follows float64: twice the memory, twice the time, no error."""
    players = Players(dtype)
    for step in (players.discriminator_step, players.generator_step):
        step()  # Adam's first step starts from zeros; watch the second too
    with threads(1), watch(other) as (places, looked):  # one thread, since only this one is watched
        loss_d, loss_g = players.discriminator_step(), players.generator_step()
    assert places == set()
    assert looked[0] > 5000
    kept = [loss_d.data, loss_g.data]
    for model, optimizer in ((players.generator, players.optimizer_g), (players.discriminator, players.optimizer_d)):
        kept += [*model.state_dict().values(), *optimizer.state_dict().values()]
        kept += [parameter.grad.data for parameter in model.parameters()]
    assert {array.dtype for array in kept} == {np.dtype(dtype)}
    assert all(np.isfinite(array).all() for array in kept)


def test_watch_sees_a_local_array(monkeypatch: pytest.MonkeyPatch):
    """The watcher above finds nothing; this shows that it would."""
    players = Players(np.float32)
    monkeypatch.setattr(norm.Rows, "total", lambda rows, sums: np.sum(sums, axis=0, dtype=np.float64)[: rows.channels])
    with threads(1), watch(np.float64) as (places, _):
        players.generator(players.low)
    assert "kernels/norm.py: channel_moments: mean" in places
    assert "kernels/norm.py: channel_moments: variance" in places


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_step_trains_the_player_whose_turn_it_is(dtype: Any):
    """Gradients of G's step that stay in D are added to D's own: D learns to be deceived."""
    players = Players(dtype)
    g, d = players.generator.parameters(), players.discriminator.parameters()
    before = [[p.numpy().copy() for p in side] for side in (g, d)]

    players.discriminator_step()
    assert all(p.grad is None for p in g)
    assert all(p.grad.numpy().any() for p in d)
    assert all((p.numpy() == old).all() for p, old in zip(g, before[0], strict=True))
    assert all((p.numpy() != old).any() for p, old in zip(d, before[1], strict=True))

    players.optimizer_d.zero_grad()
    before[1] = [p.numpy().copy() for p in d]
    players.generator_step()
    assert all(p.grad is None for p in d)
    assert all(p.grad is not None for p in g)
    assert all((p.numpy() == old).all() for p, old in zip(d, before[1], strict=True))
    assert all((p.numpy() != old).any() for p, old in zip(g, before[0], strict=True))
    assert all(p.requires_grad for p in d)


@pytest.mark.parametrize("content", ["vgg", "mse"])
def test_every_term_reaches_the_generator(content: str):
    """A popular SRGAN has its VGG loss detached from the graph: the loss falls, PSNR rises, and it is SRGAN-MSE."""
    players = Players(np.float32, content)
    total, terms = players.generator_terms()
    norms = {}
    for name, term in (*terms.items(), ("total", total)):
        parts = grad(term, players.generator.parameters(), retain_graph=True)
        norms[name] = float(np.sqrt(sum((part.numpy().astype(np.float64) ** 2).sum() for part in parts)))
        assert all(np.isfinite(part.numpy()).all() for part in parts)
    assert list(norms) == ["content", "adversarial", "total_variation", "total"]
    assert min(norms.values()) > 0
    assert norms["adversarial"] > 1e-6
    assert norms["content"] > 1e-3


def test_both_precisions_take_the_same_step():
    """float64 is the judge of float32, which it cannot be if it computes something else."""
    results = {}
    for dtype in (np.float32, np.float64):
        players = Players(dtype)
        results[dtype] = [players.discriminator_step().item(), players.generator_step().item()]
    np.testing.assert_allclose(results[np.float32], results[np.float64], rtol=1e-4)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_few_steps_lower_the_content_loss(dtype: Any):
    """A sign that is wrong in just one place of the whole step shows here."""
    players = Players(dtype, "mse")
    players.optimizer_g.lr = 1e-2
    values: list[float] = []
    for _ in range(31):
        values.append(players.generator_terms()[1]["content"].item())
        players.discriminator_step()
        players.generator_step()
    assert values[-1] < 0.5 * values[0]
