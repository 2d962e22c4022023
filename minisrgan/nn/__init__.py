"""Modules: operations together with the parameters they learn. The mathematics is in `minisrgan.ops`."""

from minisrgan.nn.container import ModuleList, Sequential
from minisrgan.nn.init import he_normal, icnr
from minisrgan.nn.layers import BatchNorm2d, Conv2d, Flatten, LeakyReLU, Linear, MaxPool2d, PixelShuffle, PReLU, ReLU
from minisrgan.nn.module import Module, Parameter

__all__ = [
    "BatchNorm2d", "Conv2d", "Flatten", "LeakyReLU", "Linear", "MaxPool2d", "Module", "ModuleList",
    "PReLU", "Parameter", "PixelShuffle", "ReLU", "Sequential", "he_normal", "icnr",
]  # fmt: skip
