"""Losses: their numbers by hand, and where their gradients go."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from minisrgan import Tensor, losses, models, nn, ops
from minisrgan.autograd import gradcheck
from minisrgan.errors import MinisrganError, ShapeError


def pictures(seed: int, requires_grad: bool = False) -> Tensor:
    """Two small pictures in [-1, 1]."""
    return Tensor(np.random.default_rng(seed).random((2, 4, 6, 3), np.float32) * 2 - 1, requires_grad)


def test_mse_content_by_hand():
    """A sum in place of the mean is 27,648 times as large at 96 x 96, and drowns the adversarial loss."""
    generated = Tensor(np.array([[[[0.0, 0.5, 1.0]]]], np.float32), requires_grad=True)
    original = Tensor(np.array([[[[0.0, 0.0, -1.0]]]], np.float32))
    loss = losses.MSEContent()(generated, original)
    assert loss.item() == pytest.approx((0 + 0.25 + 4) / 3)
    loss.backward()
    np.testing.assert_allclose(generated.grad.numpy()[0, 0, 0], [0, 2 * 0.5 / 3, 2 * 2 / 3], rtol=1e-6)
    with pytest.raises(ShapeError):
        losses.MSEContent()(generated, Tensor(np.zeros((1, 1, 1, 1), np.float32)))


@pytest.mark.parametrize(("convention", "scale"), [("caffe", 1 / 12.75), ("torchvision", 1.0)])
def test_vgg_content_is_equation_5(convention: str, scale: float):
    """Divided by the channels as well it is 128 times too small; with the factor of the other weights, 163 times."""
    vgg = models.VGG19("2,2", convention)
    generated, original = pictures(0), pictures(1)
    features, target = (vgg(x).numpy().astype(np.float64) * scale for x in (generated, original))
    n, height, width, channels = features.shape
    expected = 0.0
    for i, h, w, c in np.ndindex(n, height, width, channels):
        expected += (target[i, h, w, c] - features[i, h, w, c]) ** 2 / (width * height)
    loss = losses.VGGContent(vgg)
    assert loss(generated, original).item() == pytest.approx(expected / n, rel=1e-5)
    assert loss(original, original).item() == 0
    assert losses.VGGContent(vgg, scale=2.0)(generated, original).item() == pytest.approx(
        expected / n * (2 / scale) ** 2, rel=1e-5
    )


def test_vgg_content_reaches_the_image_and_nothing_else():
    """Detached features train the generator on the other terms alone; an original with a gradient trains on itself."""
    vgg = models.VGG19("2,2")
    generated, original = pictures(0, requires_grad=True), pictures(1, requires_grad=True)
    losses.VGGContent(vgg)(generated, original).backward()
    assert (generated.grad.numpy() != 0).all()
    assert original.grad is None
    assert all(parameter.grad is None and not parameter.requires_grad for parameter in vgg.parameters())


def test_vgg_content_gradient_is_that_of_its_value():
    """A right value with a gradient through only one of its factors is found by a difference quotient alone."""
    vgg = models.VGG19("1,2").astype(np.float64)
    loss = losses.VGGContent(vgg)
    rng = np.random.default_rng(3)
    image, original, direction = (rng.random((1, 3, 3, 3)) for _ in range(3))
    generated = Tensor(image, requires_grad=True)
    loss(generated, Tensor(original)).backward()
    step = 1e-6
    up, down = (loss(Tensor(image + s * direction), Tensor(original)).item() for s in (step, -step))
    assert float((generated.grad.numpy() * direction).sum()) == pytest.approx((up - down) / (2 * step), rel=1e-5)


def test_adversarial_losses_by_hand():
    """Exchanged signs still fall during training: both players then work for the other."""
    # The means differ: with t the label, sum softplus(z) - t z would not notice an exchange of two equal means.
    real, fake = Tensor([[2.0], [1.0]]), Tensor([[-1.0], [3.0]])

    def nll(probability: float) -> float:
        return -math.log(probability)

    def sigmoid(z: float) -> float:
        return 1 / (1 + math.exp(-z))

    d_real = (nll(sigmoid(2)) + nll(sigmoid(1))) / 2
    d_fake = (nll(1 - sigmoid(-1)) + nll(1 - sigmoid(3))) / 2
    assert losses.discriminator_loss(real, fake).item() == pytest.approx(d_real + d_fake, rel=1e-6)
    smooth = 0.9 * d_real + 0.1 * (nll(1 - sigmoid(2)) + nll(1 - sigmoid(1))) / 2
    assert losses.discriminator_loss(real, fake, real_label=0.9).item() == pytest.approx(smooth + d_fake, rel=1e-6)
    assert losses.generator_loss(fake).item() == pytest.approx((nll(sigmoid(-1)) + nll(sigmoid(3))) / 2, rel=1e-6)


@pytest.mark.parametrize("z", [-1000.0, 0.0, 1000.0])
def test_adversarial_losses_are_finite_and_keep_their_gradient(z: float):
    """ln(sigmoid(-1000)) is -inf, and clipped probabilities have no gradient where G needs it most."""
    real, fake = Tensor([[z]], requires_grad=True), Tensor([[z]], requires_grad=True)
    loss = losses.discriminator_loss(real, fake)
    loss.backward()
    sigmoid = 0.0 if z < 0 else 1.0 if z > 0 else 0.5
    assert loss.item() == pytest.approx(abs(z) if z else 2 * math.log(2))
    assert real.grad.item() == sigmoid - 1
    assert fake.grad.item() == sigmoid
    logits = Tensor([[z]], requires_grad=True)
    loss = losses.generator_loss(logits)
    loss.backward()
    assert loss.item() == pytest.approx(max(-z, 0) if z else math.log(2))
    assert logits.grad.item() == sigmoid - 1


def test_generator_loss_is_not_the_min_max_form():
    """ln(1 - D(G(x))) has the same sign and no gradient at the start, when D is sure: G never begins to learn."""
    logits = Tensor([[-5.0], [0.0], [5.0]], requires_grad=True)
    losses.generator_loss(logits).backward()
    expected = (1 / (1 + np.exp([5.0, 0.0, -5.0])) - 1) / 3
    np.testing.assert_allclose(logits.grad.numpy()[:, 0], expected, rtol=1e-5)


def test_perceptual_loss_adds_its_weighted_terms():
    """A weight applied twice, or a term that is logged but not added, shows in no single loss."""
    generated, original, logits = pictures(0, requires_grad=True), pictures(1), Tensor([[1.0], [-2.0]])
    content = losses.MSEContent()
    total, terms = losses.PerceptualLoss(content, adversarial_weight=0.5, tv_weight=0.25)(generated, original, logits)
    assert list(terms) == ["content", "adversarial", "total_variation"]
    assert terms["content"].item() == content(generated, original).item()
    assert terms["adversarial"].item() == pytest.approx(0.5 * losses.generator_loss(logits).item())
    assert terms["total_variation"].item() == pytest.approx(0.25 * ops.total_variation(generated).item())
    assert total.item() == pytest.approx(sum(term.item() for term in terms.values()), rel=1e-6)


def test_perceptual_loss_defaults():
    """Eq. 3 weighs the adversarial loss by 1e-3; SRResNet has none, and no variant but VGG22 has total variation."""
    loss = losses.PerceptualLoss(losses.MSEContent())
    generated, original, logits = pictures(0), pictures(1), Tensor([[0.0]])
    total, terms = loss(generated, original)
    assert list(terms) == ["content"]
    assert total is terms["content"]
    _, terms = loss(generated, original, logits)
    assert list(terms) == ["content", "adversarial"]
    assert terms["adversarial"].item() == pytest.approx(1e-3 * math.log(2))


def test_grid_penalty_by_hand():
    """Rows and columns exchanged, or a mean over the whole batch, still fall while the lattice of each image stays."""
    rng = np.random.default_rng(0)
    generated, original = (Tensor(rng.random((2, 4, 6, 3))) for _ in range(2))
    expected = 0.0
    for image in range(2):
        difference = generated.numpy()[image] - original.numpy()[image]
        for channel in range(3):
            phases = [difference[i::2, j::2, channel].mean() for i in range(2) for j in range(2)]
            expected += sum((phase - np.mean(phases)) ** 2 for phase in phases)
    assert losses.grid_penalty(generated, original, 2).item() == pytest.approx(expected / 2)
    shifted = Tensor(original.numpy() + 0.3)
    assert losses.grid_penalty(shifted, original, 2).item() == pytest.approx(0, abs=1e-12)
    with pytest.raises(ShapeError, match="multiple of 4"):
        losses.grid_penalty(generated, original)


def test_grid_penalty_sends_a_gradient_to_the_image():
    """Its gradient is a lattice: the same in every square of the period."""
    rng = np.random.default_rng(0)
    generated = Tensor(rng.random((1, 8, 8, 1)), requires_grad=True)
    gradcheck(losses.grid_penalty, [generated, Tensor(rng.random((1, 8, 8, 1)))])
    losses.grid_penalty(generated, Tensor(np.zeros((1, 8, 8, 1)))).backward()
    grad = generated.grad.numpy()[0, :, :, 0]
    np.testing.assert_allclose(grad, np.tile(grad[:4, :4], (2, 2)))
    assert np.abs(grad).max() > 0


def test_consistency_by_hand():
    """Compared pixel by pixel, or over squares that lie elsewhere, it would fight the texture as well."""
    rng = np.random.default_rng(0)
    generated, original = (Tensor(rng.random((2, 4, 6, 3))) for _ in range(2))
    difference = generated.numpy() - original.numpy()
    squares = [difference[:, y : y + 2, x : x + 2].mean(axis=(1, 2)) for y in (0, 2) for x in (0, 2, 4)]
    assert losses.consistency_loss(generated, original, 2).item() == pytest.approx(np.mean(np.square(squares)))
    gradcheck(lambda x: losses.consistency_loss(x, original, 2), [Tensor(generated.numpy(), requires_grad=True)])
    with pytest.raises(ShapeError, match="multiple of 4"):
        losses.consistency_loss(generated, original)


def test_balance_averages_the_ratio_of_the_norms():
    """The first ratio counts whole: an average that begins at 0 would silence D for fifty steps."""
    balance = losses.AdversarialBalance(0.25)
    content, adversarial = Tensor([3.0, 4.0]), Tensor([0.0, 2.0])
    assert balance.weight(content, adversarial).item() == pytest.approx(0.25 * 2.5)
    assert balance.weight(content * 3.0, adversarial).item() == pytest.approx(0.25 * (0.95 * 2.5 + 0.05 * 7.5))
    before = balance.weight(content, adversarial).item()
    assert balance.weight(content, adversarial * 0.0).item() == pytest.approx((0.95 + 0.5) * before)


LOGITS, PICTURES = Tensor(np.zeros((2, 1), np.float32)), Tensor(np.zeros((2, 8, 8, 3), np.float32))


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        (lambda: losses.generator_loss(PICTURES), "logits, such as"),
        (lambda: losses.generator_loss(None), "logits, such as"),
        (lambda: losses.discriminator_loss(LOGITS, PICTURES), "logits, such as"),
        (lambda: losses.discriminator_loss(PICTURES, LOGITS), "logits, such as"),
        (lambda: losses.discriminator_loss(LOGITS, LOGITS, 255), "targets >= 0 and <= 1"),
        (lambda: losses.discriminator_loss(LOGITS, LOGITS, math.nan), "targets >= 0 and <= 1"),
        (lambda: losses.VGGContent(models.VGG19), "a module"),
        (lambda: losses.VGGContent(lambda x: x), "a module"),
        (lambda: losses.VGGContent(nn.ReLU(), math.nan), "scale > 0"),
        (lambda: losses.VGGContent(nn.Flatten())(PICTURES, PICTURES), "a batch of images"),
        (lambda: losses.PerceptualLoss(losses.MSEContent(), math.nan), "adversarial_weight >= 0"),
        (lambda: losses.PerceptualLoss(losses.MSEContent(), tv_weight=-1.0), "tv_weight >= 0"),
        (lambda: losses.PerceptualLoss(losses.MSEContent(), "1e-3"), "adversarial_weight as a number"),
        (lambda: losses.grid_penalty(PICTURES, PICTURES, 0), "an integer >= 1"),
        (lambda: losses.consistency_loss(PICTURES, PICTURES, 2.0), "an integer >= 1"),
        (lambda: losses.grid_penalty(PICTURES, [1]), "original"),
    ],
)
def test_what_a_loss_refuses(call: Callable[[], Any], expected: str):
    """Images in place of their logits gave a plausible number from which the discriminator learned nothing."""
    with pytest.raises(MinisrganError, match=expected):
        call()


def test_losses_take_arrays():
    """VGG19 alone ended in KeyError: 'cupy' for them."""
    vgg, image = models.VGG19("1,1"), PICTURES.numpy()
    assert losses.VGGContent(vgg)(image, image + np.float32(1)).item() > 0
    assert isinstance(losses.grid_penalty(image, image), Tensor)
