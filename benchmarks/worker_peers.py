"""Other libraries on NumPy at work: ``--library mygrad``, ``dezero`` or ``chainer``. They want NumPy below 1.24.

Each runs the residual stack alone, with its own convolution, batch norm and leaky ReLU, in its layout (N, C, H, W).
"""

from __future__ import annotations

import importlib
import importlib.metadata
import os
import sys
import warnings
from typing import Any

import numpy as np

from benchmarks import jobs
from benchmarks.serve import Clock, Once, serve

LIBRARY = next((name for name in jobs.PEERS if name in sys.argv), jobs.PEERS[0])
SLOPE, EPS = 0.25, 1e-5


def describe() -> dict[str, Any]:
    """Name versions."""
    importlib.import_module(LIBRARY)
    version = importlib.metadata.version(LIBRARY)
    return {"version": version, "numpy": np.__version__, "threads": int(os.environ["OPENBLAS_NUM_THREADS"])}


def draw(job: jobs.Job) -> tuple[list[list[Any]], Any, Any]:
    """Return for each convolution its weight, bias, gamma and beta; the input; and the gradient of the result."""
    shapes = [(3, 3, 64, 64)] * (2 * job.blocks)
    zeros, ones = np.zeros(64, np.float32), np.ones(64, np.float32)
    layers = [[np.ascontiguousarray(w.transpose(3, 2, 0, 1)), zeros.copy(), ones.copy(), zeros.copy()]
              for w in jobs.draw_weights(shapes)]  # fmt: skip
    x = jobs.draw_input(job)
    x, grad_y = (np.ascontiguousarray(a.transpose(0, 3, 1, 2)) for a in (x, jobs.draw_gradient(x.shape)))
    return layers, x, grad_y


def residual(x: Any, layers: list[Any], convolve: Any, normalize: Any, activate: Any) -> Any:
    """Run the stack, given a library's three operations."""
    for first, second in zip(layers[::2], layers[1::2], strict=True):
        y = activate(normalize(convolve(x, *first[:2]), *first[2:]))
        x = x + normalize(convolve(y, *second[:2]), *second[2:])
    return x


def mygrad_stack(job: jobs.Job) -> Once:
    """Take MyGrad's conv_nd and batchnorm; a bias is added as its documentation does."""
    import mygrad
    from mygrad.nnet.activations import leaky_relu
    from mygrad.nnet.layers import batchnorm, conv_nd

    layers, x, grad_y = draw(job)
    layers = [[mygrad.tensor(p if p.ndim == 4 or i > 1 else p.reshape(1, -1, 1, 1)) for i, p in enumerate(layer)]
              for layer in layers]  # fmt: skip
    x = mygrad.tensor(x)

    def once() -> Any:
        for tensor in (x, *(p for layer in layers for p in layer)):
            tensor.null_grad()
        clock = Clock()
        y = residual(x, layers, lambda x, w, b: conv_nd(x, w, stride=1, padding=1) + b,
                     lambda x, gamma, beta: batchnorm(x, gamma=gamma, beta=beta, eps=EPS),
                     lambda x: leaky_relu(x, SLOPE))  # fmt: skip
        clock.mark("forward")
        y.backward(grad_y)
        clock.mark("backward")
        return clock.seconds, lambda: jobs.magnitude(y.data, x.grad, layers[0][0].grad)

    return once


def dezero_stack(job: jobs.Job) -> Once:
    """Take DeZero's functions; batch_nrom is how it spells it."""
    import dezero.functions as F
    from dezero import Variable

    arrays, x, grad_y = draw(job)
    layers = [[Variable(p) for p in layer] for layer in arrays]
    running = [np.zeros(64, np.float32), np.ones(64, np.float32)]
    x, grad_y = Variable(x), Variable(grad_y)

    def once() -> Any:
        for variable in (x, *(p for layer in layers for p in layer)):
            variable.cleargrad()
        clock = Clock()
        y = residual(x, layers, lambda x, w, b: F.conv2d(x, w, b, 1, 1),
                     lambda x, gamma, beta: F.batch_nrom(x, gamma, beta, *running, eps=EPS),
                     lambda x: F.leaky_relu(x, SLOPE))  # fmt: skip
        clock.mark("forward")
        y.grad = grad_y
        y.backward()
        clock.mark("backward")
        return clock.seconds, lambda: jobs.magnitude(y.data, x.grad.data, layers[0][0].grad.data)

    return once


def chainer_stack(job: jobs.Job) -> Once:
    """Take Chainer's functions."""
    import chainer.functions as F
    from chainer import Variable

    arrays, x, grad_y = draw(job)
    layers = [[Variable(p) for p in layer] for layer in arrays]
    running = {"running_mean": np.zeros(64, np.float32), "running_var": np.ones(64, np.float32)}
    x = Variable(x)

    def once() -> Any:
        for variable in (x, *(p for layer in layers for p in layer)):
            variable.cleargrad()
        clock = Clock()
        y = residual(x, layers, lambda x, w, b: F.convolution_2d(x, w, b, 1, 1),
                     lambda x, gamma, beta: F.batch_normalization(x, gamma, beta, eps=EPS, **running),
                     lambda x: F.leaky_relu(x, SLOPE))  # fmt: skip
        clock.mark("forward")
        y.grad = grad_y
        y.backward()
        clock.mark("backward")
        return clock.seconds, lambda: jobs.magnitude(y.data, x.grad, layers[0][0].grad)

    return once


def prepare(job: jobs.Job) -> Once:
    """Return the function that runs a job once."""
    return {"mygrad": mygrad_stack, "dezero": dezero_stack, "chainer": chainer_stack}[LIBRARY](job)


if __name__ == "__main__":
    warnings.simplefilter("ignore")  # they were written for older Pythons and say so at length
    serve(describe, prepare)
