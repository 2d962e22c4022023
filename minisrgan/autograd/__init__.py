"""Automatic differentiation: tensors, operations as forward and backward pairs, and the walk back through the graph.

Read in this order: `tensor`, `function`, `engine`; then `modes` and `gradcheck`.
"""

from minisrgan.autograd.engine import grad
from minisrgan.autograd.function import Function, Gradients
from minisrgan.autograd.gradcheck import Report, gradcheck, gradgradcheck
from minisrgan.autograd.modes import anomaly_mode, enable_grad, is_grad_enabled, no_grad
from minisrgan.autograd.profile import Cost, Profile, profile
from minisrgan.autograd.protocols import how_to_wrap
from minisrgan.autograd.tensor import Axis, Operand, Scalar, Tensor, mark_changed

__all__ = [
    "Axis", "Cost", "Function", "Gradients", "Operand", "Profile", "Report", "Scalar", "Tensor",
    "anomaly_mode", "enable_grad", "grad", "gradcheck", "gradgradcheck", "how_to_wrap", "is_grad_enabled",
    "mark_changed", "no_grad", "profile",
]  # fmt: skip
