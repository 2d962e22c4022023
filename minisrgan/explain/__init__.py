"""Looking into a computation: the backward pass step by step, the graph drawn, a layer's numbers, a model's summary.

The core needs none of it. When this room is imported, as ``import minisrgan`` does, it gives `Tensor.explain`,
`Module.explain` and print(module) what they show.
"""

import sys

from minisrgan import autograd
from minisrgan.autograd import Tensor
from minisrgan.explain import graph
from minisrgan.explain.layers import explain_layers, tree
from minisrgan.explain.steps import print_steps
from minisrgan.explain.summary import summarize, summary_table
from minisrgan.nn import Module

__all__ = ["explain_layers", "graph", "summarize", "summary_table", "tree"]

Tensor.explain = print_steps
Module.explain = explain_layers
Module.__repr__ = tree  # type: ignore[method-assign, assignment]
autograd.graph = sys.modules["minisrgan.autograd.graph"] = graph  # where it used to be
