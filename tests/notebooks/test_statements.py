"""What the text of a notebook states is what its code has printed, or what a few lines compute."""

from __future__ import annotations

import re

import nbformat
import numpy as np
import pytest

pytest.importorskip("nbclient")

import build  # notebooks/build.py, found by conftest

from minisrgan import Tensor, ops


def printed(name: str) -> str:
    """Return all that the solved form of a notebook prints."""
    notebook = nbformat.read(build.target(build.sources([name])[0], True), as_version=4)
    return "\n".join(o.text for cell in notebook.cells for o in cell.get("outputs", []) if o.output_type == "stream")


def numbers(name: str, *rows: str) -> list[list[float]]:
    """Return the numbers in the printed lines that begin with each of `rows`."""
    lines = printed(name).splitlines()
    found = [next((line for line in lines if line.startswith(row)), "") for row in rows]
    return [[float(number) for number in re.findall(r"-?\d+\.\d+", line)] for line in found]


def test_00_texture_grows_over_thousands_of_steps():
    """And srgan has most of the detail, at the cost of decibels."""
    first, middle, last = numbers("00", "start      detail", "step 1,000", "srgan      detail")
    assert first[0] < middle[0] < last[0]
    (blurred, _), (sharp, grid) = numbers("00", "srresnet  detail", "srgan     detail")
    assert blurred < 0.3
    assert sharp > 0.6
    assert grid <= 1


def test_02_the_quotient_of_float32_is_0():
    """A plateau: x + eps rounds to x."""
    x = np.float32(1)
    assert x + np.float32(1e-8) - x == 0
    assert x + np.float32(1e-6) - x != 0


def test_06_a_tent_of_size_3_covers_evenly():
    """Whether a checkerboard appears depends on the weights, not only on 3 x 3 at stride 2."""
    ones = Tensor(np.ones((1, 8, 8, 1), np.float32))
    for row, even in (([0.5, 1, 0.5], True), ([1, 1, 1], False)):
        weight = Tensor(np.outer(row, row).astype(np.float32).reshape(3, 3, 1, 1))
        y = ops.conv2d_transpose(ones, weight, stride=2, padding=1).numpy()[0, 2:-2, 2:-2, 0]
        assert bool(np.ptp(y) == 0) is even


def test_07_the_average_has_the_smallest_error():
    """Of all guesses, not only of those drawn: it is the mean."""
    errors = [float(text) for text in re.findall(r"'(\d+)'", printed("07"))]
    assert len(errors) == 4
    assert errors[3] == min(errors)


def test_08_trained_features_tolerate_movement_as_far_as_the_text_says():
    """A claim as general as its numbers: up to six pixels with the trained ones, at most four with random ones."""
    rows = [row for row in printed("08").splitlines() if re.match(r"[1-6]  ", row)]
    table = np.array([[float(number) for number in row.split()[1:]] for row in rows])  # (shifts, trained and 4 seeds)
    assert table.shape == (6, 5)
    assert (table[:, 0] > 1).all()
    assert (table[:5, 0] > 1.2).all()
    assert (table[:, 1:] > 1).sum(axis=0).tolist() == [4, 0, 4, 3]


def test_10_the_training_ends_sharper_and_d_is_above_chance():
    """Each failure differs from the healthy run in the number by which the text says that the log shows it."""
    (mse, blurred, _), (psnr, sharp, _) = numbers("10", "MSE", "features + GAN")
    assert sharp > 1.5 * blurred
    assert psnr < mse
    names = ("healthy", "grid ", "colour", "mode", "D won", "D at", "wrong", "detached", "train()")
    columns = ("content", "ratio", "real", "fake", "psnr", "grid", "colour")
    rows = {name: dict(zip(columns, row, strict=True)) for name, row in zip(names, numbers("10", *names), strict=True)}
    healthy = rows["healthy"]
    assert healthy["real"] > 0.5 > healthy["fake"]
    assert rows["grid "]["grid"] > 3 * healthy["grid"]
    assert abs(rows["colour"]["colour"]) > 2 * abs(healthy["colour"])
    assert rows["mode"]["content"] > 3 * healthy["content"]
    assert rows["D won"]["real"] > 0.95  # where the package warns
    assert rows["D won"]["fake"] < 0.05
    assert abs(rows["D at"]["real"] - rows["D at"]["fake"]) < 0.05
    assert rows["wrong"]["content"] > 1000 * healthy["content"]
    assert rows["detached"]["ratio"] == 0
    assert rows["train()"]["content"] == healthy["content"]
    assert numbers("10", "noise in its batch")[0][0] > 0.5  # in evaluation mode 0


def test_11_both_curves_begin_at_srresnet_and_a_quarter_of_srgan_costs_little():
    """Two curves that seem to begin apart: the first point of one is hidden below that of the other."""
    mixed, sharpened = numbers("11", "srresnet to srgan", "srresnet, sharpened")
    assert mixed[0] == sharpened[0]
    assert abs(mixed[0] - mixed[1]) < 0.015
    assert mixed[0] > mixed[-1] + 1
    assert sharpened == sorted(sharpened, reverse=True)


def test_11_the_networks_are_decibels_apart():
    """A plot over a tenth of a decibel shows no trade-off."""
    mse, gan = numbers("11", "srresnet", "srgan")
    assert mse[0] - gan[0] > 1
    assert gan[3] > 2 * mse[3]
