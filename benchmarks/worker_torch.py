"""PyTorch at work, in either of its layouts: ``--layout channels-last`` or ``contiguous``.

float32, plain modules, torch.optim.Adam as it comes, no autocast, no compiler. With --gpu on the first GPU, where cuDNN
may try out its algorithms (`cudnn.benchmark`); with --tf32 it may use TF32, and without it may not.
"""

from __future__ import annotations

import os
import sys
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from benchmarks import jobs
from benchmarks.serve import Clock, Once, serve
from benchmarks.torch_models import VGG19, Discriminator, Generator, ResidualBlock

LAYOUT = torch.channels_last if "channels-last" in sys.argv else torch.contiguous_format


DEVICE = "cuda" if "--gpu" in sys.argv else "cpu"


def describe() -> dict[str, Any]:
    """Name versions."""
    if DEVICE == "cuda":
        cudnn = f"CUDA {torch.version.cuda}, cuDNN {torch.backends.cudnn.version()}"
        return {"version": torch.__version__, "threads": torch.get_num_threads(), "instructions": cudnn}
    onednn = "with oneDNN" if torch.backends.mkldnn.is_available() else "without oneDNN"
    instructions = f"{torch.backends.cpu.get_cpu_capability()} {onednn}"
    return {"version": torch.__version__, "threads": torch.get_num_threads(), "instructions": instructions}


def to_torch(array: Any) -> torch.Tensor:
    """Turn (N, H, W, C) into this layout; leave (N, C) as it is."""
    tensor = torch.from_numpy(array).to(DEVICE)
    return tensor.permute(0, 3, 1, 2).contiguous(memory_format=LAYOUT) if array.ndim == 4 else tensor


def load(module: nn.Module, seed: int = 0) -> Any:
    """Give a module the weights that all sides get, and this layout."""
    weights = [p for p in module.parameters() if p.ndim > 1]
    turns = [(2, 3, 1, 0) if p.ndim == 4 else (1, 0) for p in weights]  # theirs to ours
    shapes = [tuple(p.shape[axis] for axis in turn) for p, turn in zip(weights, turns, strict=True)]
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            if name.endswith("bias"):
                parameter.zero_()
        for parameter, values in zip(weights, jobs.draw_weights(shapes, seed), strict=True):
            if values.shape == (6 * 6 * 512, 1024) and isinstance(module, Discriminator):
                # Ours flattens (6, 6, 512), theirs (512, 6, 6).
                values = values.reshape(6, 6, 512, 1024).transpose(2, 0, 1, 3).reshape(-1, 1024)
            parameter.copy_(torch.from_numpy(values.transpose(3, 2, 0, 1) if values.ndim == 4 else values.T))
    return module.to(DEVICE, memory_format=LAYOUT)


def layer_module(layer: jobs.Layer) -> nn.Module:
    """Build a layer."""
    if layer.kind == "conv":
        return nn.Conv2d(layer.inputs, layer.outputs, layer.kernel, layer.stride, layer.kernel // 2)
    if layer.kind == "linear":
        return nn.Linear(layer.inputs, layer.outputs)
    if layer.kind in ("batchnorm", "prelu"):
        return (nn.BatchNorm2d if layer.kind == "batchnorm" else nn.PReLU)(layer.inputs)
    kinds = {"leakyrelu": nn.LeakyReLU(0.2), "relu": nn.ReLU(), "pixelshuffle": nn.PixelShuffle(2)}
    return kinds.get(layer.kind) or nn.MaxPool2d(2)


def prepare_module(job: jobs.Job) -> Once:
    """Forward and backward through a layer or a stack."""
    layer = job.layer
    stack = (ResidualBlock(nn.LeakyReLU(0.25, inplace=True)) for _ in range(job.blocks))
    module = load(layer_module(layer) if layer else nn.Sequential(*stack))
    module.requires_grad_(layer is None or not layer.frozen)
    x = to_torch(jobs.draw_input(job)).requires_grad_(layer is None or layer.input_grad)
    shape = module(x).shape
    grad_y = to_torch(jobs.draw_gradient((shape[0], *shape[2:], shape[1])))

    def once() -> Any:
        module.zero_grad(set_to_none=True)
        x.grad = None
        clock = Clock()
        y = module(x)
        clock.mark("forward")
        y.backward(grad_y)
        clock.mark("backward")
        grads = [t.grad for t in (x, *list(module.parameters())[:1]) if t.grad is not None]
        return clock.seconds, lambda: jobs.magnitude(*(tensor.detach().cpu() for tensor in (y, *grads)))

    return once


def prepare_step(job: jobs.Job) -> Once:
    """One training step at the paper's sizes; the same as in minisrgan.training.stages."""
    low, high = map(to_torch, jobs.draw_batch(job))
    generator = load(Generator()).train()
    g_optimizer = torch.optim.Adam(generator.parameters(), lr=1e-4)
    if job.name.startswith("SRResNet"):

        def step() -> list[torch.Tensor]:
            loss = F.mse_loss(generator(low), high)
            g_optimizer.zero_grad()
            loss.backward()
            g_optimizer.step()
            return [loss]

    else:
        discriminator = load(Discriminator(), seed=10).train()
        vgg = load(VGG19(), seed=20).eval().requires_grad_(False)
        d_optimizer = torch.optim.Adam(discriminator.parameters(), lr=1e-4)

        def step() -> list[torch.Tensor]:
            generated = generator(low)
            discriminator.requires_grad_(True)
            real, fake = discriminator(high), discriminator(generated.detach())
            d_loss = F.softplus(-real).mean() + F.softplus(fake).mean()
            d_optimizer.zero_grad()
            d_loss.backward()
            d_optimizer.step()

            discriminator.requires_grad_(False)
            with torch.no_grad():
                target = vgg(high)
            features = vgg(generated)
            content = F.mse_loss(features, target) * (features.shape[1] / 12.75**2)
            g_loss = content + 1e-3 * F.softplus(-discriminator(generated)).mean()
            g_optimizer.zero_grad()
            g_loss.backward()
            g_optimizer.step()
            return [g_loss, d_loss]

    def once() -> Any:
        clock = Clock()
        losses = [loss.item() for loss in step()]
        clock.mark("step")
        return clock.seconds, lambda: losses

    return once


def prepare_upscale(job: jobs.Job) -> Once:
    """Bytes in, bytes out, the whole image at once."""
    generator, image = load(Generator()).eval(), jobs.draw_image(job)

    @torch.inference_mode()
    def run() -> Any:
        low = to_torch(image[None]).float().div_(255)
        high = generator(low).add_(1).mul_(127.5).round_().clamp_(0, 255).to(torch.uint8)
        return high[0].permute(1, 2, 0).contiguous().cpu().numpy()

    def once() -> Any:
        clock = Clock()
        large = run()
        clock.mark("image")
        return clock.seconds, lambda: jobs.magnitude(large)

    return once


def prepare(job: jobs.Job) -> Once:
    """Return the function that runs a job once."""
    return {"step": prepare_step, "upscale": prepare_upscale}.get(job.group, prepare_module)(job)


if __name__ == "__main__":
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    if DEVICE == "cuda":
        torch.cuda.init()  # or says what is missing
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = "--tf32" in sys.argv
        torch.backends.cudnn.benchmark = True
        Clock.wait = staticmethod(torch.cuda.synchronize)
    serve(describe, prepare, (lambda: torch.cuda.max_memory_reserved() / 2**20) if DEVICE == "cuda" else None)
