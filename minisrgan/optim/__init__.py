"""Optimizers, learning rates, gradient clipping, and averages of weights."""

from minisrgan.optim.adam import Adam
from minisrgan.optim.clip import clip_grad_norm, grad_norm
from minisrgan.optim.ema import EMA
from minisrgan.optim.optimizer import SGD, Optimizer
from minisrgan.optim.schedule import Schedule, piecewise

__all__ = ["EMA", "SGD", "Adam", "Optimizer", "Schedule", "clip_grad_norm", "grad_norm", "piecewise"]
