"""One training step of each stage, to be read from top to bottom."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from functools import reduce
from typing import Any, Protocol

from minisrgan import ops
from minisrgan.autograd import Tensor, grad, no_grad
from minisrgan.backend import Array, to_floats
from minisrgan.losses import AdversarialBalance, PerceptualLoss, discriminator_loss
from minisrgan.models import Discriminator, Generator
from minisrgan.nn import Module
from minisrgan.optim import EMA, Adam, grad_norm, piecewise
from minisrgan.training.config import Config

Content = Callable[[Tensor, Tensor], Tensor]


class Stage(Protocol):
    """What the loop needs of a stage."""

    name: str
    steps: int
    generator: Generator
    loss: PerceptualLoss
    average: EMA | None
    balance: AdversarialBalance | None

    def step(self, step: int, low: Tensor, high: Tensor) -> dict[str, float]:
        """Train on one batch; return what to log."""

    def modules(self) -> dict[str, Module]:
        """Return the networks that learn, by name."""

    def optimizers(self) -> dict[str, Adam]:
        """Return their optimizers, by the same names."""


class SRResNetStage:
    """The generator learns from the content loss alone.

    Source  SRGAN sec. 3.2; with MSE this is SRResNet, where SRGAN starts from.
    """

    name = "srresnet"
    balance: AdversarialBalance | None = None

    def __init__(self, generator: Generator, content: Content, config: Config) -> None:
        self.generator = generator
        self.average = EMA(generator, config.ema) if config.ema else None
        self.loss = PerceptualLoss(content, tv_weight=config.tv_weight)
        self.optimizer = Adam(generator.parameters(), config.srresnet_lr)
        self.steps = config.srresnet_steps
        turn = max(1, round(self.steps * config.srresnet_decay))
        self.lr = piecewise((config.srresnet_lr, config.srresnet_lr / 10), (turn,), config.srresnet_warmup)

    def step(self, step: int, low: Tensor, high: Tensor) -> dict[str, float]:
        """Take one step of Adam on a batch: low (N, h, w, 3) in [0, 1], high (N, H, W, 3) in [-1, 1]."""
        self.generator.train()
        generated = self.generator(low)
        loss, terms = self.loss(generated, high)
        self.optimizer.zero_grad()
        squares = _backward(generated, _gradients(generated, terms))
        self.optimizer.lr = self.lr(step)
        self.optimizer.step()
        if self.average:
            self.average.update()
        norm = {"grad": grad_norm(self.generator.parameters())}
        return _fetched({"loss": loss, **terms, **squares, **norm, **_output(generated, high)}, squares)

    def modules(self) -> dict[str, Module]:
        """Return the network that learns."""
        return {"generator": self.generator}

    def optimizers(self) -> dict[str, Adam]:
        """Return its optimizer."""
        return {"generator": self.optimizer}


class SRGANStage:
    """Generator and discriminator in turn, one step each.

    Source  SRGAN sec. 3.2: starts from SRResNet; learning rate 1e-4, then a tenth for the second half of the steps.
    """

    name = "srgan"

    def __init__(self, generator: Generator, discriminator: Discriminator, content: Content, config: Config) -> None:
        self.generator, self.discriminator = generator, discriminator
        self.average = EMA(generator, config.ema) if config.ema else None
        self.balance = AdversarialBalance(config.adversarial_balance) if config.adversarial_balance else None
        weight = 1.0 if self.balance else config.adversarial_weight
        self.loss = PerceptualLoss(
            content, weight, config.tv_weight, config.consistency_weight, config.grid_weight, config.scale
        )
        self.head_start = min(config.d_head_start, config.srgan_steps // 2)
        self.real_label = config.real_label
        self.g_optimizer = Adam(generator.parameters(), config.srgan_lr)
        self.d_optimizer = Adam(discriminator.parameters(), config.d_lr)
        self.steps = config.srgan_steps
        turn = max(1, round(self.steps * config.srgan_decay))
        self.g_lr = piecewise((config.srgan_lr, config.srgan_lr / 10), (turn,))
        self.d_lr = piecewise((config.d_lr, config.d_lr / 10), (turn,))

    def step(self, step: int, low: Tensor, high: Tensor) -> dict[str, float]:
        """Take one step of each player on a batch: low (N, h, w, 3) in [0, 1], high (N, H, W, 3) in [-1, 1].

        In the head start D learns alone: its gradient is noise before it can tell anything, and would spoil the
        generator. Such a step is cheap, as the content is not compared.
        """
        generator, discriminator = self.generator.train(), self.discriminator.train()
        alone = step < self.head_start
        with no_grad() if alone else nullcontext():
            generated = generator(low)

        # D learns to tell originals from generated images. Cut off from the generator by detach(); the two batches go
        # through D one after the other, since batch norm would otherwise mix their statistics.
        real_logits, fake_logits = discriminator(high), discriminator(generated.detach())
        d_loss = discriminator_loss(real_logits, fake_logits, self.real_label)
        self.d_optimizer.zero_grad()
        d_loss.backward()
        d_grad = grad_norm(discriminator.parameters())
        self.d_optimizer.lr = self.d_lr(step)
        self.d_optimizer.step()
        chances = {"d_real": _probability(real_logits), "d_fake": _probability(fake_logits)}
        told = {"d_grad": d_grad, "d_loss": d_loss, **chances, **_output(generated, high)}
        if alone:
            return _fetched(told, ())

        # G learns to be taken for the original, and to stay close to it. D passes the gradient on and keeps none of it:
        # the terms are differentiated by the image alone.
        _, terms = self.loss(generated, high, discriminator(generated))
        gradients = _gradients(generated, terms)
        if self.balance:
            weight = self.balance.weight(gradients["content"], gradients["adversarial"])
            for part in terms, gradients:
                part["adversarial"] = part["adversarial"] * weight
            told["adversarial_weight"] = weight
        self.g_optimizer.zero_grad()
        squares = _backward(generated, gradients)
        g_grad = grad_norm(generator.parameters())
        self.g_optimizer.lr = self.g_lr(step)
        self.g_optimizer.step()
        if self.average:
            self.average.update()
        loss = {"loss": _sum(terms.values()), **terms, **squares, "grad": g_grad}
        return _fetched({**loss, **told}, squares)

    def modules(self) -> dict[str, Module]:
        """Return the networks that learn."""
        return {"generator": self.generator, "discriminator": self.discriminator}

    def optimizers(self) -> dict[str, Adam]:
        """Return their optimizers."""
        return {"generator": self.g_optimizer, "discriminator": self.d_optimizer}


def _fetched(values: dict[str, Any], squares: Iterable[str]) -> dict[str, float]:
    """Return all values as numbers, of some the root. They come from a GPU together, so Python waits for it once."""
    arrays = {name: value.data if isinstance(value, Tensor) else value for name, value in values.items()}
    there = {name: array for name, array in arrays.items() if not isinstance(array, float)}
    numbers = arrays | dict(zip(there, to_floats([*there.values()]), strict=True))
    return numbers | {name: numbers[name] ** 0.5 for name in squares}


def _gradients(generated: Tensor, terms: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return each term's gradient at the generator's output.

    A term that is cut off from the image is an error here; one that depends on the image only through constants has
    gradient norm 0, which no loss shows.
    """
    return {name: grad(term, generated)[0] for name, term in terms.items()}


def _backward(generated: Tensor, gradients: dict[str, Tensor]) -> dict[str, Tensor]:
    """Carry the sum of the terms' gradients through the generator; return the square of each one's norm.

    One backward of the total would compute the same: what the terms have in common begins with the output.
    """
    generated.backward(_sum(gradients.values()))
    return {f"grad_{name}": (gradient * gradient).sum() for name, gradient in gradients.items()}


def _sum(tensors: Iterable[Tensor]) -> Tensor:
    """Add tensors up, which are one or more."""
    return reduce(operator.add, tensors)


def _probability(logits: Tensor) -> Tensor:
    """Return how likely D takes a batch for originals, on average."""
    return ops.sigmoid(logits.detach()).mean()


def _output(generated: Tensor, high: Tensor) -> dict[str, Array]:
    """Return which part of the output leaves [-1, 1], and how much it varies beside the originals."""
    y = generated.data
    return {"outside": (abs(y) > 1.05).mean(), "contrast": y.std() / (high.data.std() + 1e-6)}
