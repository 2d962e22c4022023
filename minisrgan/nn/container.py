"""Modules that hold other modules."""

from collections.abc import Iterable, Iterator
from typing import Any

from minisrgan.autograd import Tensor
from minisrgan.autograd.arguments import is_integer
from minisrgan.errors import ArgumentError
from minisrgan.nn.module import Module


class ModuleList(Module):
    """A list of modules, named 0, 1, 2 ..., which the module that contains it calls one by one.

    Errors  ArgumentError for anything that is not a module: a class, a function, a list; or a position out of range.

    >>> from minisrgan import nn
    >>> layers = nn.ModuleList([nn.ReLU()])
    >>> layers.append(nn.PReLU(4))
    >>> len(layers), layers[-1].parameter_count(), len(layers[:1])
    (2, 4, 1)
    """

    def __init__(self, modules: Iterable[Module] = ()) -> None:
        for module in modules:
            self.append(module)

    def append(self, module: Module) -> None:
        """Add a module at the end."""
        self[len(self)] = module

    def __setitem__(self, position: int, module: Module) -> None:
        """Replace one of the modules."""
        if not isinstance(module, Module):
            got = f"the class {module.__name__}" if isinstance(module, type) else type(module).__name__
            fix = "give a module, as ReLU() is and the class ReLU is not"
            if isinstance(module, list | tuple):
                fix = "give its layers one by one: nn.Sequential(*layers)"
            raise ArgumentError(type(self).__name__, expected=f"a module as {position}", got=got, fix=fix)
        if not is_integer(position) or not -len(self) <= position <= len(self):
            raise ArgumentError(type(self).__name__, expected="a position in it", got=repr(position), fix="use append")
        setattr(self, str(position if position >= 0 else len(self) + position), module)

    def __iter__(self) -> Iterator[Any]:
        """Iterate over the modules."""
        return iter(self.children().values())

    def __len__(self) -> int:
        """Return the number of modules."""
        return len(self.children())

    def __getitem__(self, position: int | slice) -> Any:
        """Return one module or, for a slice, a container of the same class that shares the selected modules."""
        if not isinstance(position, slice):
            return list(self)[position]
        part = type(self)()
        vars(part).update({str(i): module for i, module in enumerate(list(self)[position])}, training=self.training)
        return part


class Sequential(ModuleList):
    """Modules that are applied one after the other, named 0, 1, 2 ...

    >>> from minisrgan import nn
    >>> net = nn.Sequential(nn.ReLU(), nn.LeakyReLU(0.5))
    >>> net(Tensor([-1.0, 2.0])).numpy(), net[1:](Tensor([-1.0, 2.0])).numpy()
    (array([0., 2.], dtype=float32), array([-0.5,  2. ], dtype=float32))
    """

    def __init__(self, *modules: Module) -> None:
        super().__init__(modules)

    def forward(self, x: Tensor) -> Tensor:
        """Apply each module to the result of the previous one."""
        for module in self:
            x = module(x)
        return x
