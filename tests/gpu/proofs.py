"""What `tests.gpu.prove` asks of a device, one question a process: ``python -m tests.gpu.proofs agree --device cuda``.

Each prints lines for a reader, and last a line ``RESULT {...}``. With --small the sizes are those of a laptop.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from minisrgan import Tensor, kernels
from minisrgan.backend import algorithm, array_module, choose_device, to_device, to_numpy
from minisrgan.kernels.cuda.winograd import pays
from minisrgan.losses import MSEContent, VGGContent
from minisrgan.models import VGG19, Discriminator, Generator
from minisrgan.training import Config, SRGANStage, SRResNetStage
from minisrgan.training.captured import Captured


def stage_of(name: str, device: str, small: bool, dtype: Any = np.float32, batch: int = 0) -> tuple[Any, list[Tensor]]:
    """Return a stage at the paper's size, or a small one, with a batch of noise: low in [0, 1], high in [-1, 1]."""
    rng = np.random.default_rng(0)
    size: dict[str, Any] = {"channels": 8, "blocks": 1, "d_channels": 4, "crop": 16} if small else {}
    config = Config(**size, batch=batch or (2 if small else 16))
    generator = Generator(config.scale, config.channels, config.blocks, rng=rng).astype(dtype).to(device)
    if name == "srresnet":
        stage: Any = SRResNetStage(generator, MSEContent(), config)
    else:
        vgg = VGG19("2,2" if small else "5,4", rng=rng).astype(dtype).to(device)
        discriminator = Discriminator(config.crop, config.d_channels, rng=rng).astype(dtype).to(device)
        stage = SRGANStage(generator, discriminator, VGGContent(vgg, scale=1e-3), config)
    low, high = (rng.random((config.batch, n, n, 3), np.float32) for n in (config.crop // config.scale, config.crop))
    return stage, [Tensor(to_device(array.astype(dtype), device)) for array in (low, 2 * high - 1)]


def one_step(device: str, small: bool, dtype: Any = np.float32) -> tuple[dict[str, float], dict[str, np.ndarray]]:
    """Take a step of SRGAN; return its log, and gradients and weights by name."""
    stage, batch = stage_of("srgan", device, small, dtype, batch=2)
    log, arrays = stage.step(0, *batch), {}
    for network, module in stage.modules.items():
        arrays |= {f"{network}.{name}": to_numpy(array) for name, array in module.state_dict().items()}
        arrays |= {
            f"grad {network}.{name}": to_numpy(p.grad.data)
            for name, p in module.named_parameters()
            if p.grad is not None
        }
    return log, arrays


def difference(ours: tuple[Any, Any], right: tuple[Any, Any]) -> dict[str, Any]:
    """Return how far a step is from another: gradients by their norms, and numbers of the log.

    Left out are biases before a batch norm: their gradient is 0, and what is computed is rounding.
    """
    away = {}
    for name, array in right[1].items():
        before_norm = name.endswith("bias") and ("conv" in name or "features" in name) and "conv_" not in name
        if name.startswith("grad") and not before_norm and "conv_middle" not in name:
            norm = float(np.linalg.norm(array))
            away[name] = float(np.linalg.norm(ours[1][name] - array)) / norm if norm else 0.0
    logs = max(abs(ours[0][name] - value) / (abs(value) + 1e-9) for name, value in right[0].items())
    worst = max(away, key=lambda name: away[name])
    return {"median": statistics.median(away.values()), "largest": away[worst], "at": worst, "log": logs}


def agree(device: str, small: bool) -> dict[str, Any]:
    """One step of SRGAN against float64 on the CPU; two runs must be equal to the last bit."""
    right, cpu, first, again = (one_step(*how) for how in (
        ("cpu", small, np.float64), ("cpu", small), (device, small), (device, small)))  # fmt: skip
    same = first[0] == again[0] and all(np.array_equal(array, again[1][name]) for name, array in first[1].items())
    return {"cpu": difference(cpu, right), "device": difference(first, right), "repeats": same}


def tf32(device: str, small: bool) -> dict[str, Any]:
    """The error of a step with CUPY_TF32=1, which `prove` sets."""
    return {"device": difference(one_step(device, small), one_step(device, small, np.float64))}


def timed(work: Callable[[], Any], seconds: float, wait: Callable[[], Any]) -> dict[str, float]:
    """Return microseconds a call: until Python is back, and until the device is done."""
    work()
    wait()
    calls, began = 0, time.perf_counter()
    while time.perf_counter() - began < seconds:
        work()
        calls += 1
    back = time.perf_counter() - began
    wait()
    return {"python_us": 1e6 * back / calls, "done_us": 1e6 * (time.perf_counter() - began) / calls}


def waiting_for(array: Any) -> Callable[[], Any]:
    """Return what waits until the device of an array is done."""
    xp = array_module(array)
    return (lambda: None) if xp is np else (lambda: xp.cuda.get_current_stream().synchronize())


def winograd(device: str, small: bool) -> dict[str, Any]:
    """Winograd's algorithm and im2col, layer by layer: microseconds, and the largest error against float64."""
    rng, found = np.random.default_rng(0), {}
    layers = [(24, 64, 64), (24, 64, 256), (48, 64, 128), (96, 64, 64), (24, 256, 256), (12, 512, 512), (6, 512, 512)]
    for side, inputs, outputs in [(6, 8, 8)] if small else layers:
        shapes = (16, side, side, inputs), (16, side, side, outputs), (3, 3, inputs, outputs)
        exact = [to_device(rng.standard_normal(shape), device) for shape in shapes]
        x, grad_y, weight = (array.astype(np.float32) for array in exact)
        ways: dict[str, Any] = {"pays": pays(16, (side, side), inputs, outputs)}
        right = both_ways(*exact)
        for name in ("im2col", "winograd"):
            with algorithm(name):
                pairs = zip(both_ways(x, grad_y, weight), right, strict=True)
                away = [float(abs(a - b).max() / abs(b).max()) for a, b in pairs]
                times = timed(lambda: both_ways(x, grad_y, weight), 0.02 if small else 0.3, waiting_for(x))  # noqa: B023
            ways[name] = {"error": max(away), "us": times["done_us"]}
        found[f"{inputs}-{outputs} @{side}"] = ways
        print(f"{inputs}-{outputs} @{side}", ways)
    return found


def both_ways(x: Any, grad_y: Any, weight: Any) -> list[Any]:
    """Return the result of a 3x3 layer, and its gradients."""
    return [kernels.conv2d(x, weight, padding=1), *kernels.conv2d_gradients(x, grad_y, weight, padding=1)]


def probe(device: str, small: bool) -> dict[str, Any]:
    """What a launch costs, what memory and products give, and what convolutions make of it."""
    rng, n, seconds = np.random.default_rng(0), 1 if small else 16, 0.02 if small else 0.3

    def random(*shape: int) -> Any:
        return to_device(rng.standard_normal(shape, dtype=np.float32), device)

    few, many = random(64), random(1 << (16 if small else 27))
    xp, side, wait = array_module(few), 128 if small else 8192, waiting_for(few)
    square = random(side, side)
    copy, result, maps = xp.empty_like(many), xp.empty_like(square), random(n, 24, 24, 64)
    jobs: dict[str, tuple[Callable[[], Any], float, str]] = {
        "launch a + b": (lambda: few + few, 0, ""),
        "copy": (lambda: xp.copyto(copy, many), 2 * many.nbytes, "GB/s"),
        "product": (lambda: xp.matmul(square, square, out=result), 2 * side**3, "GFLOP/s"),
        "channel sums": (lambda: kernels.channel_sums(maps), maps.nbytes, "GB/s"),
    }
    for width, kernel, inputs, outputs in ((24, 3, 64, 64), (48, 3, 64, 256), (96, 9, 64, 3), (24, 3, 256, 256)):
        x, weight = random(n, width, width, inputs), random(kernel, kernel, inputs, outputs)
        flops = 2 * n * width**2 * weight.size
        jobs[f"conv {kernel}x{kernel} {inputs}-{outputs} @{width}"] = (
            lambda x=x, w=weight, p=kernel // 2: kernels.conv2d(x, w, padding=p), flops, "GFLOP/s")  # fmt: skip
    found: dict[str, Any] = {}
    for name, (work, amount, unit) in jobs.items():
        found[name] = timed(work, seconds, wait)
        if amount:
            found[name][unit] = amount / found[name]["done_us"] / 1e3
        print(f"{name:24}", *(f"{key} {value:,.1f}" for key, value in found[name].items()))
    return found


def profile(device: str, small: bool) -> dict[str, Any]:
    """Kernels of one step of each stage, as a Chrome trace; PyTorch's profiler sees those of CuPy too."""
    try:
        from torch.profiler import ProfilerActivity
        from torch.profiler import profile as record
    except ImportError as error:
        return {"left out": str(error)}
    kind, found = ProfilerActivity.CPU if device == "cpu" else ProfilerActivity.CUDA, {}
    for name in ("srresnet", "srgan"):
        stage, batch = stage_of(name, device, small)
        stage.step(0, *batch)
        with record(activities=[kind]) as seen:
            stage.step(1, *batch)
        events = [(e.self_device_time_total, e.count, e.key[:80]) for e in seen.key_averages()]
        events.sort(reverse=True)
        busy, launches = sum(e[0] for e in events) / 1e3, sum(e[1] for e in events if e[0])
        found[name] = {"busy_ms": busy, "launches": launches, "largest": events[:5]}
        seen.export_chrome_trace(str(Path(os.environ.get("PROVE_OUT", "."), f"{name}.trace.json")))
    return found


def captured(device: str, small: bool) -> dict[str, Any]:
    """Milliseconds of a step that Python starts piece by piece, and of one that is a CUDA graph."""
    found: dict[str, Any] = {"left out": "a CPU has no graphs"} if device == "cpu" else {}
    for name in ("srresnet", "srgan") if not found else ():
        stage, batch = stage_of(name, device, small)
        for kind, step in (("python", stage.step), ("graph", Captured(stage).step)):
            for number in range(4):
                log = step(number, *batch)
            began = time.perf_counter()
            for number in range(4, 24):
                log = step(number, *batch)  # whose numbers Python waits for
            found[f"{name} {kind}"] = {"ms": 50 * (time.perf_counter() - began), "loss": log["loss"]}
    return found


def amiss(question: str, found: dict[str, Any], small: bool) -> list[str]:
    """Return what is wrong with an answer: float32 on a device may be ten times as far off as on the CPU, TF32 5 %."""
    if question == "winograd":  # what is chosen must be exact and, on a GPU, the faster one
        wrong = [name for name, ways in found.items() if not 0 < ways["winograd"]["error"] < 5e-5]
        slow = [name for name, ways in found.items() if ways["pays"] and ways["winograd"]["us"] > ways["im2col"]["us"]]
        return wrong + [f"{name} is slower" for name in slow if not small]
    if question == "captured":
        return [name for name, step in found.items() if name != "left out" and not math.isfinite(step["loss"])]
    if question == "profile":
        return ["no profile"] if not small and "left out" in found else []
    if question == "probe":
        return [name for name, times in found.items() if not 0 < times["done_us"] < 1e8]
    most = {"median": 0.05, "largest": 1.0, "log": 0.05}
    if question == "agree":
        most = {name: 10 * found["cpu"][name] + 1e-6 for name in most}
    wrong = [name for name, bound in most.items() if not 0 <= found["device"][name] <= bound]
    return wrong + ["two runs differ"] * (not found.get("repeats", True))


QUESTIONS = {
    "agree": agree, "tf32": tf32, "probe": probe, "winograd": winograd, "profile": profile, "captured": captured,
}  # fmt: skip


def main() -> None:
    """Ask one of them."""
    parser = argparse.ArgumentParser(prog="python -m tests.gpu.proofs", description=__doc__)
    parser.add_argument("question", choices=QUESTIONS)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--small", action="store_true")
    options = parser.parse_args()
    choose_device(options.device)
    found = QUESTIONS[options.question](options.device, options.small)
    print("RESULT " + json.dumps(found))
    if wrong := amiss(options.question, found, options.small):
        raise SystemExit("amiss: " + ", ".join(wrong))


if __name__ == "__main__":
    main()
