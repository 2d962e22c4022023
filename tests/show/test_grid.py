"""Small multiples: each picture under its own title, with its own numbers, in the colours that say their sign."""

from __future__ import annotations

import numpy as np
import pytest

from minisrgan.show import histogram_figure, images_figure, lines_figure

pytest.importorskip("matplotlib")


def test_images_stand_in_rows():
    """A title under the wrong picture is worse than none."""
    images = {f"map {k}": np.full((4, 5), float(k)) for k in range(7)}
    figure = images_figure(images, columns=3)
    assert [axes.get_title() for axes in figure.axes] == list(images)
    assert [float(axes.images[0].get_array()[0, 0]) for axes in figure.axes] == list(range(7))
    assert figure.axes[3].get_subplotspec().rowspan.start == 1
    assert figure.get_size_inches()[0] == pytest.approx(3 * 1.8)


def test_sign_is_seen():
    """A scale that is not centred shows 0 in a colour, and the reader takes nothing for something."""
    figure = images_figure({"signed": np.array([[-0.5, 2.0]]), "not": np.array([[0.5, 2.0]])})
    signed, plain = (axes.images[0] for axes in figure.axes)
    assert (signed.norm.vmin, signed.norm.vmax, signed.cmap.name) == (-2.0, 2.0, "PuOr")
    assert (plain.norm.vmin, plain.norm.vmax, plain.cmap.name) == (0.0, 2.0, "gray")
    assert [axes.get_xlabel() for axes in figure.axes] == ["-0.5 to 2", "0.5 to 2"]
    limited = images_figure({"signed": np.array([[-0.5, 2.0]])}, limit=0.1).axes[0].images[0]
    assert (limited.norm.vmin, limited.norm.vmax) == (-0.1, 0.1)


def test_photos_are_shown_as_they_are():
    """uint8 from black to white whatever the photo holds; a network's 1.02 is white and no warning."""
    grey = np.array([[10, 100]], np.uint8)
    figure = images_figure({"grey": grey, "float": np.full((2, 2, 3), 1.02)})
    assert (figure.axes[0].images[0].norm.vmin, figure.axes[0].images[0].norm.vmax) == (0, 255)
    assert float(figure.axes[1].images[0].get_array().max()) == 1.0
    assert [axes.get_xlabel() for axes in figure.axes] == ["", ""]


def test_zeros_can_be_drawn():
    """A dead feature map has no largest value to divide by."""
    assert images_figure({"dead": np.zeros((3, 3))}).axes[0].images[0].norm.vmax == 1.0


def test_lines_are_told_apart_without_colour():
    """Two lines of one colour and one dash are one line to the reader."""
    figure = lines_figure({str(k): ([0, 1], [k, k]) for k in range(20)})
    looks = {(line.get_color(), line.get_linestyle()) for line in figure.axes[0].lines}
    assert len(looks) == 20


def test_histograms_share_their_bins():
    """Bins of their own make two equal distributions look different."""
    rng = np.random.default_rng(0)
    figure = histogram_figure({"narrow": rng.normal(size=999), "wide": 3 * rng.normal(size=(9, 11))}, bins=30)
    narrow, wide = figure.axes[0].lines
    assert narrow.get_xdata().tolist() == wide.get_xdata().tolist()
    assert narrow.get_ydata().sum() == pytest.approx(1.0)
    assert wide.get_ydata().sum() == pytest.approx(1.0)
