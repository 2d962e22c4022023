"""Modules: operations together with the parameters they learn. The mathematics is in `minisrgan.ops`."""

from minisrgan.nn.activation import LeakyReLU, PReLU, ReLU
from minisrgan.nn.container import Flatten, ModuleList, Sequential
from minisrgan.nn.conv import Conv2d, MaxPool2d, PixelShuffle
from minisrgan.nn.init import he_normal, icnr
from minisrgan.nn.linear import Linear
from minisrgan.nn.module import Module, Parameter
from minisrgan.nn.norm import BatchNorm2d

__all__ = [
    "BatchNorm2d", "Conv2d", "Flatten", "LeakyReLU", "Linear", "MaxPool2d", "Module", "ModuleList",
    "PReLU", "Parameter", "PixelShuffle", "ReLU", "Sequential", "he_normal", "icnr",
]  # fmt: skip
