"""One training step of each stage, written in the order of its computation.

`watch.measured` computes the numbers for the log after each step.
"""

from collections.abc import Callable
from contextlib import nullcontext
from functools import reduce
from operator import add
from typing import TypeAlias

from minisrgan.autograd import Tensor, grad, no_grad
from minisrgan.losses import AdversarialBalance, PerceptualLoss, discriminator_loss
from minisrgan.models import Discriminator, Generator
from minisrgan.nn import Module
from minisrgan.optim import EMA, Adam, piecewise
from minisrgan.training.config import Config
from minisrgan.training.parallel import ALONE, Ranks, found
from minisrgan.training.repeat import repeatable
from minisrgan.training.watch import measured

Content = Callable[[Tensor, Tensor], Tensor]
Terms: TypeAlias = dict[str, Tensor]  # the terms of the loss by name


class SRResNetStage:
    """Train the generator with the content loss only.

    Source  SRGAN sec. 3.2; with MSE this is SRResNet, whose weights initialize SRGAN.
    """

    name = "srresnet"
    ranks: Ranks = ALONE
    balance: AdversarialBalance | None = None

    def __init__(self, generator: Generator, content: Content, config: Config) -> None:
        self.generator = generator
        self.average = EMA(generator, config.ema) if config.ema else None
        self.loss = PerceptualLoss(content, tv_weight=config.tv_weight)
        self.optimizer = Adam(generator.parameters(), config.srresnet_lr)
        self.modules: dict[str, Module] = {"generator": generator}
        self.optimizers = {"generator": self.optimizer}
        self.steps = config.srresnet_steps
        turn = max(1, round(self.steps * config.srresnet_decay))
        self.lr = piecewise((config.srresnet_lr, config.srresnet_lr / 10), (turn,), config.srresnet_warmup)

    def step(self, step: int, low: Tensor, high: Tensor) -> dict[str, float]:
        """Take one step of Adam on a batch: low (N, h, w, 3) in [0, 1], high (N, H, W, 3) in [-1, 1]."""
        generator = self.generator.train()

        def compare() -> tuple[Tensor, Terms, Terms]:
            generated = generator(low)
            return generated, *_gradients(generated, self.loss(generated, high))

        generated, terms, gradients = repeatable(compare, low, generator)
        _descend(self, generated, gradients, self.optimizer, self.lr(step))
        return measured(self.modules, generated, high, terms, gradients, {})


class SRGANStage:
    """Train discriminator and generator alternately, one step each.

    Source  SRGAN sec. 3.2: initialized with SRResNet; learning rate 1e-4, and 1e-5 for the second half of the steps.
    """

    name = "srgan"
    ranks: Ranks = ALONE

    def __init__(self, generator: Generator, discriminator: Discriminator, content: Content, config: Config) -> None:
        self.generator, self.discriminator = generator, discriminator
        self.average = EMA(generator, config.ema) if config.ema else None
        self.balance = AdversarialBalance(config.adversarial_balance) if config.adversarial_balance else None
        weight = 1.0 if self.balance else config.adversarial_weight
        self.loss = PerceptualLoss(
            content, weight, config.tv_weight, config.consistency_weight, config.grid_weight, config.scale
        )
        self.head_start = min(config.d_head_start, config.srgan_steps // 2)
        self.real_label, self.relativistic = config.real_label, config.relativistic
        self.g_optimizer = Adam(generator.parameters(), config.srgan_lr)
        self.d_optimizer = Adam(discriminator.parameters(), config.d_lr)
        self.modules: dict[str, Module] = {"generator": generator, "discriminator": discriminator}
        self.optimizers = {"generator": self.g_optimizer, "discriminator": self.d_optimizer}
        self.steps = config.srgan_steps
        turn = max(1, round(self.steps * config.srgan_decay))
        self.g_lr = piecewise((config.srgan_lr, config.srgan_lr / 10), (turn,))
        self.d_lr = piecewise((config.d_lr, config.d_lr / 10), (turn,))

    def step(self, step: int, low: Tensor, high: Tensor) -> dict[str, float]:
        """Take one step of D and one of G on a batch.

        Shapes  low (N, h, w, 3) in [0, 1], high (N, H, W, 3) in [-1, 1]

        During the head start only D learns: until it can distinguish the images, its gradient is noise
        and would damage the generator. Such a step is cheap, because no content loss is computed.

        A relativistic D answers whether the original looks more real than the image generated for it.
        """
        generator, discriminator = self.generator.train(), self.discriminator.train()
        alone = step < self.head_start

        # D learns to distinguish originals from generated images. detach() stops the gradient before the
        # generator. D processes the two batches separately, because batch norm would mix their statistics.
        def judge() -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
            with no_grad() if alone else nullcontext():
                generated = generator(low)
            real, fake = discriminator(high), discriminator(generated.detach())
            real_logits, fake_logits = (real - fake, fake - real) if self.relativistic else (real, fake)
            d_loss = discriminator_loss(real_logits, fake_logits, self.real_label)
            self.d_optimizer.zero_grad()
            d_loss.backward()
            return generated, real.detach(), real_logits, fake_logits, d_loss

        generated, real, real_logits, fake_logits, d_loss = repeatable(judge, low, generator, discriminator)
        self.ranks.average(found(discriminator, self.modules))
        self.d_optimizer.lr = self.d_lr(step)
        self.d_optimizer.step()
        judged = {"d_loss": d_loss, "d_real": real_logits, "d_fake": fake_logits}
        if alone:
            return measured({"discriminator": discriminator}, generated, high, {}, {}, judged)

        # G learns to make images that D takes for originals, and that are close to the originals. The
        # terms are differentiated with respect to the image only, so D gets no gradients.
        def compare() -> tuple[Terms, Terms]:
            fake = discriminator(generated)
            return _gradients(generated, self.loss(generated, high, fake - real if self.relativistic else fake))

        terms, gradients = repeatable(compare, low, discriminator)
        if self.balance:
            content, adversarial = gradients["content"], gradients["adversarial"]
            weight = self.balance.weight(content, adversarial, self.ranks.average)
            for part in terms, gradients:
                part["adversarial"] = part["adversarial"] * weight
            judged["adversarial_weight"] = weight
        _descend(self, generated, gradients, self.g_optimizer, self.g_lr(step))
        return measured(self.modules, generated, high, terms, gradients, judged)


Stage: TypeAlias = SRResNetStage | SRGANStage


def _gradients(generated: Tensor, loss: tuple[Tensor, Terms]) -> tuple[Terms, Terms]:
    """Return the terms of a loss, and the gradient of each at the generator's output.

    Their sum is propagated back through the generator; this equals backpropagation of the total loss. A term without a
    path to the image raises an error here; a term that depends on the image only through constants has gradient norm 0
    (its value alone would not show this).
    """
    _, terms = loss
    return terms, {name: grad(term, generated)[0] for name, term in terms.items()}


def _descend(stage: Stage, generated: Tensor, gradients: Terms, optimizer: Adam, lr: float) -> None:
    """Let the generator follow the sum of the gradients at its output."""
    optimizer.zero_grad()
    generated.backward(reduce(add, gradients.values()))
    stage.ranks.average(found(stage.generator, stage.modules))
    optimizer.lr = lr
    optimizer.step()
    if stage.average:
        stage.average.update()
