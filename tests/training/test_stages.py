"""The steps of both stages against the same steps written out, one gradient at a time."""

from __future__ import annotations

import copy

import numpy as np

from minisrgan import Tensor, grad, losses, models, nn, ops, optim
from minisrgan.training import Config, SRGANStage, SRResNetStage

CONFIG = Config(
    scale=2, crop=16, srresnet_steps=2, srresnet_decay=0.5, srgan_steps=2, srresnet_lr=3e-3, srgan_lr=1e-3, d_lr=2e-3,
    adversarial_weight=0.3, tv_weight=1e-4,
)  # fmt: skip


def networks() -> tuple[models.Generator, models.Discriminator]:
    """Small ones in float64, where two orders of adding up differ in the last digits only."""
    rng = np.random.default_rng(0)
    generator = models.Generator(2, channels=3, blocks=1, rng=rng).astype(np.float64)
    return generator, models.Discriminator(crop=16, channels=2, rng=rng).astype(np.float64)


def batch(step: int) -> tuple[Tensor, Tensor]:
    """Three crops, small and large."""
    rng = np.random.default_rng(step)
    return Tensor(rng.random((3, 8, 8, 3))), Tensor(rng.random((3, 16, 16, 3)) * 2 - 1)


def learn(module: nn.Module, optimizer: optim.Adam, loss: Tensor, lr: float) -> None:
    """Move the parameters of one network, by gradients that come from nowhere else than this loss."""
    parameters = module.parameters()
    for parameter, gradient in zip(parameters, grad(loss, parameters, retain_graph=True), strict=True):
        parameter.grad = gradient
    optimizer.lr = lr
    optimizer.step()


def agree(ours: nn.Module, theirs: nn.Module) -> None:
    """Compare parameters, buffers and the gradients of the last step."""
    for name, array in ours.state_dict().items():
        np.testing.assert_allclose(array, theirs.state_dict()[name], rtol=1e-6, atol=1e-9, err_msg=name)
    for (name, p), q in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        np.testing.assert_allclose(p.grad.numpy(), q.grad.numpy(), rtol=1e-6, atol=1e-9, err_msg=name)


def test_a_step_of_srresnet_by_hand():
    """Gradients that pile up, or a rate that never falls, still train, only worse."""
    generator, _ = networks()
    stage = SRResNetStage(copy.deepcopy(generator), losses.MSEContent(), CONFIG)
    optimizer = optim.Adam(generator.parameters(), lr=1.0)
    for step, lr in enumerate((3e-3, 3e-4)):
        low, high = batch(step)
        numbers = stage.step(step, low, high)
        generated = generator(low)
        content, smooth = ops.mse(generated, high), ops.total_variation(generated) * 1e-4
        learn(generator, optimizer, content + smooth, lr)
        expected = {"loss": content.item() + smooth.item(), "content": content.item(), "total_variation": smooth.item()}
        assert numbers.keys() == expected.keys()
        np.testing.assert_allclose([numbers[key] for key in expected], list(expected.values()), rtol=1e-6)
    agree(stage.generator, generator)


def test_a_step_of_srgan_by_hand():
    """Where the players' turns touch, a mistake shows in no loss alone.

    D that sees both batches at once normalises them together; gradients that leak or pile up belong to another step;
    G that is judged by D's old answers learns from nobody.
    """
    generator, discriminator = networks()
    stage = SRGANStage(copy.deepcopy(generator), copy.deepcopy(discriminator), losses.MSEContent(), CONFIG)
    optimizer_g, optimizer_d = (optim.Adam(m.parameters(), lr=1.0) for m in (generator, discriminator))
    for step, (lr, d_lr) in enumerate([(1e-3, 2e-3), (1e-4, 2e-4)]):
        low, high = batch(step)
        numbers = stage.step(step, low, high)

        generated = generator(low)
        real, fake = discriminator(high), discriminator(Tensor(generated.numpy().copy()))
        d_loss = ops.softplus(-real).mean() + ops.softplus(fake).mean()
        learn(discriminator, optimizer_d, d_loss, d_lr)

        content, adversarial = ops.mse(generated, high), ops.softplus(-discriminator(generated)).mean() * 0.3
        smooth = ops.total_variation(generated) * 1e-4
        learn(generator, optimizer_g, content + adversarial + smooth, lr)

        expected = {
            "loss": content.item() + adversarial.item() + smooth.item(),
            "content": content.item(),
            "adversarial": adversarial.item(),
            "total_variation": smooth.item(),
            "d_loss": d_loss.item(),
            "d_real": ops.sigmoid(real).mean().item(),
            "d_fake": ops.sigmoid(fake).mean().item(),
        }
        assert numbers.keys() == expected.keys()
        np.testing.assert_allclose([numbers[key] for key in expected], list(expected.values()), rtol=1e-6)
    agree(stage.generator, generator)
    agree(stage.discriminator, discriminator)
