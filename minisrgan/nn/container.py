"""Modules that hold other modules, or only reshape."""

from __future__ import annotations

from collections.abc import Iterator

from minisrgan.autograd import Tensor
from minisrgan.nn.module import Module


class Sequential(Module):
    """Modules one after the other, named 0, 1, 2 ...

    >>> from minisrgan import nn
    >>> nn.Sequential(nn.ReLU(), nn.ReLU())(Tensor([-1.0, 2.0])).numpy()
    array([0., 2.], dtype=float32)
    """

    def __init__(self, *modules: Module) -> None:
        for position, module in enumerate(modules):
            setattr(self, str(position), module)

    def __iter__(self) -> Iterator[Module]:
        """Walk over the modules."""
        return iter(self.children().values())

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self.children())

    def __getitem__(self, position: int) -> Module:
        """Return one of them."""
        return list(self)[position]

    def forward(self, x: Tensor) -> Tensor:
        """Apply each to the result of the one before."""
        for module in self:
            x = module(x)
        return x


class Flatten(Module):
    """Turn (N, H, W, C) into (N, H*W*C), rows before columns before channels."""

    def forward(self, x: Tensor) -> Tensor:
        """Flatten all axes but the first."""
        return x.reshape(x.shape[0], -1)
