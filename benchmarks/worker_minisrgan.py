"""minisrgan at work, called as its users call it; with --gpu on the first GPU, with --tf32 in TF32."""

from __future__ import annotations

import os
import sys
from functools import partial
from typing import Any

import numpy as np

import minisrgan
from benchmarks import jobs
from benchmarks.serve import Clock, Once, serve
from minisrgan import Tensor, nn
from minisrgan.backend import choose_device, thread_count, to_device, to_numpy
from minisrgan.inference import upscale
from minisrgan.losses import MSEContent, VGGContent
from minisrgan.models import VGG19, Discriminator, Generator
from minisrgan.training import Config, SRGANStage, SRResNetStage

DEVICE = "cuda" if "--gpu" in sys.argv else "cpu"


def describe() -> dict[str, Any]:
    """Name versions."""
    facts = {"version": minisrgan.__version__, "numpy": np.__version__, "threads": thread_count()}
    if DEVICE == "cpu":
        return facts
    import cupy

    device = cupy.cuda.runtime.getDeviceProperties(0)["name"].decode()
    return facts | {"device": device, "instructions": f"CuPy {cupy.__version__}"}


def peak_of_gpu() -> float:
    """Return what CuPy has ever taken of the GPU's memory, in MB: it gives nothing back."""
    import cupy

    return float(cupy.get_default_memory_pool().total_bytes() / 2**20)


def wait_for_gpu() -> None:
    """Wait until the GPU has done what it was given."""
    import cupy

    cupy.cuda.get_current_stream().synchronize()


def load(module: nn.Module, seed: int = 0) -> Any:
    """Give a module the weights that all sides get."""
    weights = [p for p in module.parameters() if p.ndim > 1]
    for parameter, values in zip(weights, jobs.draw_weights([p.shape for p in weights], seed), strict=True):
        parameter.data[...] = values
    return module.to(DEVICE)


def layer_module(layer: jobs.Layer) -> nn.Module:
    """Build a layer."""
    rng, inputs, outputs = np.random.default_rng(0), layer.inputs, layer.outputs
    if layer.kind == "conv":
        return nn.Conv2d(inputs, outputs, layer.kernel, stride=layer.stride, padding=layer.kernel // 2, rng=rng)
    if layer.kind == "linear":
        return nn.Linear(inputs, outputs, rng=rng)
    if layer.kind in ("batchnorm", "prelu"):
        return (nn.BatchNorm2d if layer.kind == "batchnorm" else nn.PReLU)(inputs)
    kinds = {"leakyrelu": nn.LeakyReLU, "relu": nn.ReLU, "pixelshuffle": partial(nn.PixelShuffle, 2)}
    return kinds[layer.kind]() if layer.kind in kinds else nn.MaxPool2d(2)


class Block(nn.Module):
    """A residual block with a leaky ReLU, which every library has."""

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        self.conv1, self.bn1 = nn.Conv2d(64, 64, 3, padding=1, rng=rng), nn.BatchNorm2d(64)
        self.relu = nn.LeakyReLU(0.25)
        self.conv2, self.bn2 = nn.Conv2d(64, 64, 3, padding=1, rng=rng), nn.BatchNorm2d(64)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, H, W, 64) to the same shape."""
        return x + self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))


def prepare_module(job: jobs.Job) -> Once:
    """Forward and backward through a layer or a stack."""
    layer = job.layer
    module = load(layer_module(layer) if layer else nn.Sequential(*(Block() for _ in range(job.blocks))))
    module.requires_grad_(layer is None or not layer.frozen)
    x = Tensor(jobs.draw_input(job), requires_grad=layer is None or layer.input_grad).to(DEVICE)
    grad_y = to_device(jobs.draw_gradient(module(x).shape), DEVICE)

    def once() -> Any:
        module.zero_grad()
        x.zero_grad()
        clock = Clock()
        y = module(x)
        clock.mark("forward")
        y.backward(grad_y)
        clock.mark("backward")
        grads = [t.grad.data for t in (x, *module.parameters()[:1]) if t.grad is not None]
        return clock.seconds, lambda: jobs.magnitude(*map(to_numpy, (y.data, *grads)))

    return once


def prepare_step(job: jobs.Job) -> Once:
    """One training step at the paper's sizes."""
    config = Config(batch=job.batch)
    low, high = (Tensor(array).to(DEVICE) for array in jobs.draw_batch(job))
    generator = load(Generator())
    if job.name.startswith("SRResNet"):
        stage: Any = SRResNetStage(generator, MSEContent(), config)
    else:
        content = VGGContent(load(VGG19("5,4"), seed=20))
        stage = SRGANStage(generator, load(Discriminator(), seed=10), content, config)

    def once() -> Any:
        clock = Clock()
        log = stage.step(0, low, high)
        clock.mark("step")
        return clock.seconds, lambda: [log[name] for name in ("loss", "d_loss") if name in log]

    return once


def prepare_upscale(job: jobs.Job) -> Once:
    """Bytes in, bytes out."""
    generator, image = load(Generator()), jobs.draw_image(job)

    def once() -> Any:
        clock = Clock()
        large = upscale(generator, image, tile=None if job.tiles else max(job.size))
        clock.mark("image")
        return clock.seconds, lambda: jobs.magnitude(large)

    return once


def prepare(job: jobs.Job) -> Once:
    """Return the function that runs a job once."""
    return {"step": prepare_step, "upscale": prepare_upscale}.get(job.group, prepare_module)(job)


if __name__ == "__main__":
    if DEVICE == "cuda":
        os.environ["CUPY_TF32"] = str(int("--tf32" in sys.argv))
        choose_device(DEVICE)  # or says what is missing
        Clock.wait = staticmethod(wait_for_gpu)
    serve(describe, prepare, peak_of_gpu if DEVICE == "cuda" else None)
