"""minisrgan against numbers that PyTorch left behind: needs no PyTorch. ``python -m tests.parity`` prints how close."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from minisrgan import kernels, losses, models, nn, ops
from minisrgan.kernels import network, norm
from minisrgan.losses import content
from minisrgan.training import stages
from tests.parity import ours
from tests.parity.cases import (
    LAYERS,
    LOSSES,
    NETWORKS,
    NO_COUNTERPART,
    OPERATIONS,
    STEPS,
    TOLERANCE,
    AdamCase,
    Case,
    ModelCase,
    StepsCase,
    draw,
)
from tests.parity.measure import FILES, allowed, errors, fixture, parity_table, row_of, size_of_fixtures, torch_version

ALL = [(file, case) for file, table in FILES.items() for case in table]
every_case = pytest.mark.parametrize(("file", "case"), ALL, ids=[str(case) for _, case in ALL])


def too_far(file: str, case: Any, dtype: str, create_graph: bool = False) -> dict[str, float]:
    """Return the arrays that are further from PyTorch's than allowed; NaN is."""
    found = errors(case, file, dtype, create_graph)
    return {name: error for name, error in found.items() if not error <= allowed(case, name, dtype)}


@pytest.mark.parametrize("dtype", TOLERANCE)
@every_case
def test_parity(file: str, case: Any, dtype: str):
    """Formula, gradient and reference of an operation have one author; PyTorch has another."""
    assert too_far(file, case, dtype) == {}


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize(("file", "case"), [pair for pair in ALL if isinstance(pair[1], Case)], ids=str)
def test_parity_of_recorded_gradients(file: str, case: Any, dtype: str):
    """With create_graph the backward that is written with operations runs, and not the fused one."""
    assert too_far(file, case, dtype, create_graph=True) == {}


# Is everything there?


def test_every_operation_is_compared():
    """An operation without a row is one that nobody has held against PyTorch."""
    compared = {case.op for case in OPERATIONS}
    assert compared | set(NO_COUNTERPART) == set(ops.__all__)
    assert compared & set(NO_COUNTERPART) == set()
    assert all(NO_COUNTERPART.values())


def test_every_layer_is_compared():
    """A layer hands settings on to its operation, and may forget one."""
    modules = {name for name in nn.__all__ if inspect.isclass(getattr(nn, name))} - {"Module", "Parameter"}
    inside = {type(part).__name__ for case in NETWORKS for _, part in ours.build(case).named_modules()}
    assert modules - {case.name for case in LAYERS} == {"ModuleList", "Sequential"}
    assert "Sequential" in inside


def test_every_network_and_loss_is_compared():
    """A model or loss added later is compared with nothing unless it is asked for here."""
    assert set(models.__all__) == {case.name for case in NETWORKS} | {"VGG19"}  # which is in the content losses
    contents = {case.options["content"] for case in LOSSES if "content" in case.options}
    assert contents == {"mse", *models.vgg.CONVENTIONS}
    compared = {case.op for case in LOSSES} | {"MSEContent", "VGGContent", "PerceptualLoss"}
    # By hand in tests/losses: PyTorch has none of them.
    ours = {"AdversarialBalance", "consistency_loss", "grid_penalty"}
    assert set(losses.__all__) | {"perceptual_loss"} == compared | ours


@pytest.mark.parametrize("file", FILES)
def test_fixtures_are_those_of_the_cases(file: str):
    """A case that was changed would be compared with what PyTorch said of another. Make the fixtures again."""
    names = [str(case) for case in FILES[file]]
    assert len(set(names)) == len(names)
    assert fixture(file).keys() == set(names)
    assert torch_version(file)[:2] == "2."
    for case in FILES[file]:
        for name, drawn in inputs_of(case).items():
            np.testing.assert_array_equal(fixture(file)[str(case)]["given"][name], drawn)


def inputs_of(case: Any) -> dict[str, np.ndarray]:
    """Draw what a case is given, but for weights and cotangents."""
    if isinstance(case, Case):
        return {str(i): x for i, x in enumerate(case.inputs()) if isinstance(x, np.ndarray)}
    if isinstance(case, ModelCase):
        return {f"x/{turn}": case.input(turn) for turn in range(len(case.modes))}
    if isinstance(case, AdamCase):
        return {f"gradient/{s}/{i}": g for s in range(case.steps) for i, g in enumerate(case.gradients(s))}
    assert isinstance(case, StepsCase)
    pairs = [(step, case.crops(step)) for step in range(case.steps)]
    return {f"{name}/{step}": x for step, crops in pairs for name, x in zip(("low", "high"), crops, strict=True)}


def test_drawing_has_not_changed():
    """The weights of VGG19 are drawn, not stored: another draw is another network."""
    assert (draw("VGG19", 2, 2) * 2**23).tolist() == [[1361137, -6808586], [-3334145, 1788394]]


def test_fixtures_are_small():
    """They are part of every copy of the project."""
    assert 1_000_000 < size_of_fixtures() < 3_000_000


def test_table_of_errors():
    """What is attained, and not only what is allowed; seen with ``pytest -s``."""
    table = parity_table()
    print("\n" + table)
    rows = table.splitlines()[1:]
    assert len(rows) == len({(file, row_of(case)) for file, case in ALL}) + 3 * len(STEPS)
    assert "nan" not in table


# Can it fail?


def reversed_momentum(patch: Callable[..., None]) -> None:
    """PyTorch's momentum is the part that is new, TensorFlow's the part that is kept."""
    right = ops.batch_norm
    patch(ops, "batch_norm", lambda *xs, momentum=0.1, **options: right(*xs, momentum=1 - momentum, **options))


def biased_running_variance(patch: Callable[..., None]) -> None:
    """The running variance without n / (n - 1)."""
    right = norm.channel_moments

    def smaller(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        mean, var = right(x)
        count = x.size // x.shape[-1]
        return mean, var * ((count - 1) / count)

    patch(norm, "channel_moments", smaller)


def gradient_without_statistics(patch: Callable[..., None]) -> None:
    """The gradient of evaluation in training."""

    def scaled(g: np.ndarray, x: np.ndarray, mean: np.ndarray, inv_std: np.ndarray, weight: np.ndarray) -> Any:
        _, *others = norm.normalize_gradient(g, x, mean, inv_std, weight)
        return g * (weight * inv_std), *others

    patch(kernels, "normalize_gradient", scaled)


def channels_last_shuffle(patch: Callable[..., None]) -> None:
    """TensorFlow's order of channels."""

    def shuffle(x: Any, factor: int) -> Any:
        n, h, w, c = x.shape
        split = x.reshape(n, h, w, factor, factor, c // factor**2).transpose(0, 1, 3, 2, 4, 5)
        return split.reshape(n, h * factor, w * factor, c // factor**2)

    patch(ops, "pixel_shuffle", shuffle)


def eps_inside_the_root(patch: Callable[..., None]) -> None:
    """Adam with sqrt(v + eps)."""
    right = network.adam

    def adam(p: Any, g: Any, m: Any, v: Any, lr: float, betas: Any, eps: float, step: int) -> None:
        right(p, g, m, v, lr, betas, eps**0.5, step)

    patch(network, "adam", adam)


def one_rate_for_both(patch: Callable[..., None]) -> None:
    """A learning rate that never falls."""
    patch(stages, "piecewise", lambda values, *rest: lambda step: values[0])


def features_divided_by_channels(patch: Callable[..., None]) -> None:
    """Eq. 5 with a mean over channels, as a mean squared error of features is."""
    patch(content.VGGContent, "__call__", lambda self, a, b: ops.mse(self.vgg(a), self.vgg(b).detach()) * self.scale**2)


@pytest.mark.parametrize(
    ("sabotage", "name"),
    [
        (reversed_momentum, "BatchNorm2d"),
        (reversed_momentum, "srgan-mse"),
        (biased_running_variance, "batch_norm"),
        (gradient_without_statistics, "batch_norm"),
        (gradient_without_statistics, "Discriminator"),
        (channels_last_shuffle, "pixel_shuffle"),
        (channels_last_shuffle, "Generator"),
        (eps_inside_the_root, "adam"),
        (one_rate_for_both, "srgan-mse"),
        (features_divided_by_channels, "perceptual_loss"),
    ],
)
@pytest.mark.parametrize("dtype", TOLERANCE)
def test_a_wrong_one_is_seen(sabotage: Any, name: str, dtype: str, monkeypatch: pytest.MonkeyPatch):
    """A comparison that passes whatever is computed is worth nothing."""
    sabotage(monkeypatch.setattr)
    cases = [(file, case) for file, case in ALL if str(case).startswith(name)]
    assert any(too_far(file, case, dtype) for file, case in cases)
