"""Explanations: the backward pass step by step, a drawing of the graph, a layer's calculation, a model's summary.

The core needs none of them. ``import minisrgan`` loads this file, which defines `Tensor.explain`, `Module.explain` and
the output of print(module). The other files are loaded when they are first used: most programs use none, and loading
them took a quarter of the time of ``import minisrgan``.
"""

from __future__ import annotations

from typing import Any

from minisrgan import autograd
from minisrgan.autograd import Operand, Tensor
from minisrgan.nn import Module

__all__ = ["explain_layers", "graph", "inspect", "summarize", "summary_table", "tree"]


def __getattr__(name: str) -> Any:
    """Load the files of this package when one of its names is first used."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import minisrgan.explain.graph  # noqa: F401
    from minisrgan.explain.layers import explain_layers, tree
    from minisrgan.explain.page import inspect
    from minisrgan.explain.summary import summarize, summary_table

    found = (explain_layers, inspect, summarize, summary_table, tree)
    globals().update({function.__name__: function for function in found})
    return globals()[name]


def _explain_tensor(tensor: Tensor, grad_output: Operand | None = None, names: Any = None) -> None:
    """Print the backward pass from this tensor step by step; see `minisrgan.explain.graph.explain`."""
    from minisrgan.explain.steps import explain

    print(explain(tensor, grad_output, names))  # noqa: T201


def _explain_module(module: Module, *inputs: Any, at: tuple[int, ...] | None = None) -> str:
    """Explain how one number of each layer's output is computed; see `minisrgan.explain.explain_layers`."""
    from minisrgan.explain.layers import explain_layers

    return explain_layers(module, *inputs, at=at)


def _tree(module: Module) -> str:
    """Return the tree of modules with shapes and counts."""
    from minisrgan.explain.layers import tree

    return tree(module)


Tensor.explain = _explain_tensor
Module.explain = _explain_module
Module.__repr__ = _tree  # type: ignore[method-assign, assignment]


def _old_name(name: str) -> Any:
    """Return `graph` for its former import, ``from minisrgan.autograd import graph``."""
    if name != "graph":
        raise AttributeError(f"module 'minisrgan.autograd' has no attribute {name!r}")
    return __getattr__(name)


autograd.__getattr__ = _old_name  # type: ignore[method-assign]
