"""minisrgan's side of every case, in float32 or float64."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from minisrgan import Tensor, losses, models, nn, ops, optim
from minisrgan.nn import Module
from minisrgan.reference.cases import arguments
from minisrgan.training.config import Config
from minisrgan.training.stages import SRGANStage
from tests.parity.cases import AdamCase, Case, ModelCase, StepsCase, draw_vgg_state

Results = dict[str, np.ndarray]


def shapes(module: Module) -> dict[str, tuple[int, ...]]:
    """Return the shape of every parameter and running statistic."""
    return {name: array.shape for name, array in module.state_dict().items()}


@functools.cache
def content_loss(kind: str, dtype: str) -> Callable[[Tensor, Tensor], Tensor]:
    """Return a content loss; VGG19 has drawn weights."""
    if kind == "mse":
        return losses.MSEContent()
    vgg = models.VGG19("2,2", kind).astype(dtype)
    vgg.load_state_dict(draw_vgg_state(kind, shapes(vgg)))
    return losses.VGGContent(vgg)


def perceptual_loss(generated: Tensor, original: Tensor, logits: Tensor, content: str, **weights: float) -> Tensor:
    """Return the perceptual loss and its terms as one tensor."""
    loss = losses.PerceptualLoss(content_loss(content, str(generated.dtype)), **weights)
    total, terms = loss(generated, original, logits)
    return ops.stack([total, *terms.values()])


LOSSES: dict[str, Callable[..., Tensor]] = {
    "discriminator_loss": losses.discriminator_loss,
    "generator_loss": losses.generator_loss,
    "perceptual_loss": perceptual_loss,
}


def run(case: Case, inputs: list[Any], cotangent: np.ndarray, dtype: str, create_graph: bool = False) -> Results:
    """Return result, gradients and running statistics of an operation or a loss."""
    arrays = [x.astype(dtype) if isinstance(x, np.ndarray) else x for x in inputs]
    given = [Tensor(x, requires_grad=True) if isinstance(x, np.ndarray) else x for x in arrays]
    function = LOSSES.get(case.op) or getattr(ops, case.op)
    inputs, options = arguments(case.op, given, case.options)
    if case.op == "batch_norm":
        inputs = [*given[:3], *arrays[3:]]
    y = function(*inputs, **options)
    y.backward(Tensor(cotangent.astype(dtype)), create_graph=create_graph)
    tensors = {f"grad{i}": x for i, x in enumerate(given) if isinstance(x, Tensor)}
    results = {"y": y.data} | {name: x.grad.data for name, x in tensors.items() if x.grad is not None}
    if case.op == "batch_norm":
        results |= {"running_mean": arrays[3], "running_var": arrays[4]}
    return results


def build(case: ModelCase) -> Module:
    """Build a layer or a network; its first weights are overwritten."""
    rng = {"rng": np.random.default_rng(0)} if case.name in ("Conv2d", "Linear") else {}
    module: Module = getattr(nn if hasattr(nn, case.name) else models, case.name)(**case.options, **rng)
    return module


def run_model(case: ModelCase, given: Mapping[str, np.ndarray], dtype: str) -> Results:
    """Return results, all gradients and running statistics of every turn."""
    module = build(case).astype(dtype)
    module.load_state_dict(part(given, "state/"))
    results = {}
    for turn, mode in enumerate(case.modes):
        module.train(mode == "train").zero_grad()
        x = Tensor(given[f"x/{turn}"].astype(dtype), requires_grad=True)
        y = module(x)
        y.backward(Tensor(given[f"cotangent/{turn}"].astype(dtype)))
        results |= {f"y/{turn}": y.data, f"grad_x/{turn}": x.grad.data}
        results |= {f"grad/{turn}/{name}": p.grad.data for name, p in module.named_parameters()}
        results |= {f"buffer/{turn}/{name}": array.copy() for name, array in module.named_buffers()}
    return results


def run_adam(case: AdamCase, given: Mapping[str, np.ndarray], dtype: str) -> Results:
    """Return parameters and both running means after every step."""
    parameters = [nn.Parameter(given[f"parameter/{i}"].astype(dtype)) for i in range(len(case.shapes))]
    optimizer = optim.Adam(parameters, case.lr, case.betas, case.eps)
    results = {}
    for step in range(case.steps):
        for i, p in enumerate(parameters):
            p.grad = Tensor(given[f"gradient/{step}/{i}"].astype(dtype))
        optimizer.lr = case.rate(step)
        optimizer.step()
        for i, p in enumerate(parameters):
            results[f"{step}/parameter/{i}"] = p.data.copy()
            results[f"{step}/mean/{i}"], results[f"{step}/square/{i}"] = (
                means[i].copy() for means in (optimizer.mean, optimizer.square)
            )
    return results


def run_steps(case: StepsCase, given: Mapping[str, np.ndarray], dtype: str) -> Results:
    """Return all weights, statistics, Adam's means and the log, after every step of the real training stage."""
    generator = models.Generator(*case.generator).astype(dtype)
    discriminator = models.Discriminator(*case.discriminator).astype(dtype)
    generator.load_state_dict(part(given, "state/generator/"))
    discriminator.load_state_dict(part(given, "state/discriminator/"))
    config = Config(
        srgan_steps=case.planned,
        srgan_lr=case.g_lr,
        d_lr=case.d_lr,
        adversarial_weight=case.adversarial_weight,
        tv_weight=case.tv_weight,
    )
    stage = SRGANStage(generator, discriminator, content_loss(case.content, dtype), config)
    optimizers = {"generator": stage.g_optimizer, "discriminator": stage.d_optimizer}
    results = {}
    for step in range(case.steps):
        low, high = (Tensor(given[f"{name}/{step}"].astype(dtype)) for name in ("low", "high"))
        log = stage.step(step, low, high)
        watched = "outside", "contrast"  # and norms of gradients: PyTorch was not asked
        log = {name: value for name, value in log.items() if "grad" not in name and name not in watched}
        results |= {f"{step}/log/{name}": np.asarray(value, dtype) for name, value in log.items()}
        for player, module in stage.modules.items():
            results |= {f"{step}/state/{player}/{name}": a.copy() for name, a in module.state_dict().items()}
            for i, (name, _) in enumerate(module.named_parameters()):
                results[f"{step}/mean/{player}/{name}"] = optimizers[player].mean[i].copy()
                results[f"{step}/square/{player}/{name}"] = optimizers[player].square[i].copy()
    return results


def part(arrays: Mapping[str, np.ndarray], prefix: str) -> Results:
    """Return the entries whose names begin with a prefix, without it."""
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
