"""The steps of both stages against the same steps written out, one gradient at a time."""

from __future__ import annotations

import copy
import dataclasses
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from minisrgan import Tensor, grad, losses, models, nn, ops, optim
from minisrgan.training import Config, SRGANStage, SRResNetStage, content_loss

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


def norms(generated: Tensor, terms: dict[str, Tensor]) -> dict[str, float]:
    """Return the norm of each term's gradient at the generator's output."""
    gradients = {name: grad(term, generated, retain_graph=True)[0].numpy() for name, term in terms.items()}
    return {f"grad_{name}": float(np.linalg.norm(array.ravel())) for name, array in gradients.items()}


def agree(ours: nn.Module, theirs: nn.Module) -> None:
    """Compare parameters, buffers and the gradients of the last step."""
    for name, array in ours.state_dict().items():
        np.testing.assert_allclose(array, theirs.state_dict()[name], rtol=1e-6, atol=1e-9, err_msg=name)
    for (name, p), q in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        np.testing.assert_allclose(p.grad.numpy(), q.grad.numpy(), rtol=1e-6, atol=1e-9, err_msg=name)


def output(generated: Tensor, high: Tensor) -> dict[str, float]:
    """Return which part of the values leaves [-1, 1], and how much they vary beside the originals."""
    y = generated.numpy()
    return {
        "outside": float(((y < -1.05) | (y > 1.05)).sum() / y.size),
        "contrast": y.std() / (high.numpy().std() + 1e-6),
    }


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
        expected = norms(generated, {"content": content, "total_variation": smooth})
        learn(generator, optimizer, content + smooth, lr)
        expected |= {
            "loss": content.item() + smooth.item(),
            "content": content.item(),
            "total_variation": smooth.item(),
        }
        expected["grad"] = optim.grad_norm(generator.parameters())
        expected |= output(generated, high)
        assert numbers.keys() == expected.keys()
        np.testing.assert_allclose([numbers[key] for key in expected], list(expected.values()), rtol=1e-6)
    agree(stage.generator, generator)


@pytest.mark.parametrize("relativistic", [False, True])
def test_a_step_of_srgan_by_hand(relativistic: bool):
    """Where the players' turns touch, a mistake shows in no loss alone.

    D that sees both batches at once normalises them together; gradients that leak or pile up belong to another step;
    G that is judged by D's old answers learns from nobody. A relativistic G is compared with the original.
    """
    generator, discriminator = networks()
    config = dataclasses.replace(CONFIG, relativistic=relativistic)
    stage = SRGANStage(copy.deepcopy(generator), copy.deepcopy(discriminator), losses.MSEContent(), config)
    optimizer_g, optimizer_d = (optim.Adam(m.parameters(), lr=1.0) for m in (generator, discriminator))
    for step, (lr, d_lr) in enumerate([(1e-3, 2e-3), (1e-4, 2e-4)]):
        low, high = batch(step)
        numbers = stage.step(step, low, high)

        generated = generator(low)
        real, fake = discriminator(high), discriminator(Tensor(generated.numpy().copy()))
        original = Tensor(real.numpy() * relativistic)
        if relativistic:
            real, fake = real - fake, fake - real
        d_loss = ops.softplus(-real).mean() + ops.softplus(fake).mean()
        learn(discriminator, optimizer_d, d_loss, d_lr)

        content = ops.mse(generated, high)
        adversarial = ops.softplus(original - discriminator(generated)).mean() * 0.3
        smooth = ops.total_variation(generated) * 1e-4
        expected = norms(generated, {"content": content, "adversarial": adversarial, "total_variation": smooth})
        learn(generator, optimizer_g, content + adversarial + smooth, lr)

        expected |= {
            "grad": optim.grad_norm(generator.parameters()),
            "d_grad": optim.grad_norm(discriminator.parameters()),
            "loss": content.item() + adversarial.item() + smooth.item(),
            "content": content.item(),
            "adversarial": adversarial.item(),
            "total_variation": smooth.item(),
            "d_loss": d_loss.item(),
            "d_real": ops.sigmoid(real).mean().item(),
            "d_fake": ops.sigmoid(fake).mean().item(),
        } | output(generated, high)
        assert numbers.keys() == expected.keys()
        np.testing.assert_allclose([numbers[key] for key in expected], list(expected.values()), rtol=1e-6)
    agree(stage.generator, generator)
    agree(stage.discriminator, discriminator)


def test_the_recipe_beside_the_paper():
    """Settings that are read and not used: each of them changes a step that the paper's would have left as it is."""
    low, high = batch(0)

    def after(**settings: float) -> tuple[dict[str, float], SRGANStage]:
        generator, discriminator = networks()
        config = dataclasses.replace(CONFIG, **settings)
        stage = SRGANStage(generator, discriminator, losses.MSEContent(), config)
        numbers = stage.step(0, low, high)
        stage.step(1, low, high)
        return numbers, stage

    plain, stage = after()
    assert stage.average is None
    lattice = after(grid_weight=7.0)[0]
    assert np.isclose(lattice["loss"], plain["loss"] + lattice["grid"])
    assert lattice["grad_grid"] > 0
    anchored = after(consistency_weight=7.0)[0]
    assert np.isclose(anchored["loss"], plain["loss"] + anchored["consistency"])
    assert anchored["grad_consistency"] > 0
    assert after(real_label=0.9)[0]["d_loss"] != plain["d_loss"]
    averaged = after(ema=0.5)[1]
    assert averaged.average is not None
    now = averaged.generator.state_dict()
    ours = {name: averaged.average.average[name] for name in now}
    assert averaged.average.steps == 2
    for name in ("conv_last.weight", "bn_middle.running_mean"):
        assert 0 < np.abs(ours[name] - now[name]).max() < 0.1


def test_in_the_head_start_only_the_discriminator_learns():
    """A first gradient of the generator would be noise; a content network that runs all the same takes the time."""
    generator, discriminator = networks()
    content = losses.MSEContent()
    asked: list[int] = []

    def counted(generated: Tensor, original: Tensor) -> Tensor:
        asked.append(1)
        return content(generated, original)

    stage = SRGANStage(generator, discriminator, counted, dataclasses.replace(CONFIG, d_head_start=1))
    weights = [p.numpy().copy() for p in generator.parameters()]
    d_weights = [p.numpy().copy() for p in discriminator.parameters()]
    numbers = stage.step(0, *batch(0))
    assert all((p.numpy() == w).all() for p, w in zip(generator.parameters(), weights, strict=True))
    assert any((p.numpy() != w).any() for p, w in zip(discriminator.parameters(), d_weights, strict=True))
    assert {"d_loss", "d_real", "d_fake"} <= numbers.keys()
    assert not asked
    assert "content" in stage.step(1, *batch(1))
    assert asked
    assert any((p.numpy() != w).any() for p, w in zip(generator.parameters(), weights, strict=True))


def test_the_adversarial_gradient_is_kept_in_proportion_to_the_contents():
    """A weight that is only logged, or made of this step's ratio alone, trains as well, and differently."""
    generator, discriminator = networks()
    config = dataclasses.replace(CONFIG, adversarial_balance=0.5, adversarial_weight=123.0)
    stage = SRGANStage(generator, discriminator, losses.MSEContent(), config)
    first, second = (stage.step(step, *batch(step)) for step in range(2))
    assert np.isclose(first["grad_adversarial"], 0.5 * first["grad_content"])
    ratios = [n["grad_content"] / (n["grad_adversarial"] / n["adversarial_weight"]) for n in (first, second)]
    assert np.isclose(second["adversarial_weight"], 0.5 * (0.95 * ratios[0] + 0.05 * ratios[1]))
    assert np.isclose(first["loss"], sum(first[term] for term in ("content", "adversarial", "total_variation")))

    # The weight reaches the generator, as does a fixed one of the same size.
    fixed = dataclasses.replace(CONFIG, adversarial_weight=first["adversarial_weight"])
    other = SRGANStage(*networks(), losses.MSEContent(), fixed)
    other.step(0, *batch(0))
    again = SRGANStage(*networks(), losses.MSEContent(), config)
    again.step(0, *batch(0))
    agree(again.generator, other.generator)


def test_a_detached_term_is_seen():
    """The defect of a popular SRGAN: a VGG loss cut off from the graph falls all the same, as the pixels improve."""
    generator, _ = networks()

    class Detached(losses.MSEContent):
        def __call__(self, generated: Tensor, original: Tensor) -> Tensor:
            return ops.mse(generated.detach(), original) + generated.sum() * 0.0

    assert SRResNetStage(generator, Detached(), CONFIG).step(0, *batch(0))["grad_content"] == 0.0
    assert SRResNetStage(generator, content_loss("mse"), CONFIG).step(0, *batch(0))["grad_content"] > 0.0


class Full(MemoryError):
    """What CuPy raises where the memory of a GPU is full."""


@pytest.fixture
def full_gpu(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Stand in for as much of CuPy as says that memory is full; return what was freed."""
    freed: list[str] = []
    pool = SimpleNamespace(free_all_blocks=lambda: freed.append("all"))
    device = SimpleNamespace(mem_info=(1 << 20, 2 << 20))
    cuda = SimpleNamespace(memory=SimpleNamespace(OutOfMemoryError=Full), Device=lambda: device)
    cupy = SimpleNamespace(cuda=cuda, get_default_memory_pool=lambda: pool, ndarray=SimpleNamespace)
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    return freed


WHERE = ["the generator", "the discriminator", "D's gradient", "the content", "the content's gradient"]


@pytest.mark.parametrize("where", WHERE)
@pytest.mark.parametrize("step", [1, 2])
def test_a_step_that_is_repeated_is_the_same_step(where: str, step: int, full_gpu: list[str]) -> None:
    """Run again as a whole, D learns twice from one batch, and batch norm counts it twice: another training, unseen."""
    config = dataclasses.replace(CONFIG, srgan_steps=4, d_head_start=1, adversarial_balance=0.5, ema=0.9)

    def trained(fails_at: int) -> tuple[SRGANStage, list[dict[str, float]]]:
        stage = SRGANStage(*networks(), losses.MSEContent(), config)
        logs = []
        for number in range(4):
            if number == fails_at:
                once(stage)
            logs.append(stage.step(number, *batch(number)))
        return stage, logs

    def once(stage: SRGANStage) -> None:
        owner, name = {
            "the generator": (stage.generator, "head"), "the discriminator": (stage.discriminator.head[3], "forward"),
            "D's gradient": (stage.discriminator.features[0], "forward"),
            "the content": (stage.loss, "content"), "the content's gradient": (stage.loss, "content"),
        }[where]  # fmt: skip
        real = getattr(owner, name)

        def fail(*inputs: Tensor) -> Tensor:
            setattr(owner, name, real)
            if "gradient" not in where:
                no_memory()
            y = real(*inputs)
            y.register_hook(no_memory)  # on the way back
            return y

        setattr(owner, name, fail)

    def no_memory(*_: Tensor) -> None:
        raise Full("Out of memory allocating 1,024 bytes")

    (whole, right), (repeated, logs) = trained(-1), trained(step)
    assert full_gpu == ["all"]
    assert repeated.d_optimizer.steps == 4
    assert repeated.g_optimizer.steps == 3
    assert logs == right
    for ours, theirs in zip(repeated.modules.values(), whole.modules.values(), strict=True):
        assert all((array == theirs.state_dict()[name]).all() for name, array in ours.state_dict().items())
