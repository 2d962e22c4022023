"""A figure of a profile: one bar per operation, forward and backward."""

from __future__ import annotations

from minisrgan.autograd import Profile
from minisrgan.show.style import PALETTE, SMALL, Figure, new_figure, style_plot


def profile_figure(profile: Profile) -> Figure:
    """Draw the time of each operation, the slowest on top: forward, then backward, and its share of the total.

    Errors  ConfigError if matplotlib is not installed.

    >>> from minisrgan.autograd import Cost
    >>> figure = profile_figure(Profile(costs={"conv2d": Cost(0.2, 0.6)}, seconds=1.0))
    >>> [text.get_text() for text in figure.axes[0].texts]
    ['80 %', '20 %']
    """
    names, _, shares, costs = zip(*profile.rows(), strict=True)
    figure = new_figure(7, 1.2 + 0.28 * len(names), "tight")
    axes = figure.add_subplot()
    forward, backward = [cost.forward * 1e3 for cost in costs], [cost.backward * 1e3 for cost in costs]
    axes.barh(names, forward, color=[*[PALETTE[0]] * (len(names) - 1), "0.6"], label="forward")  # the rest is neither
    bars = axes.barh(names, backward, left=forward, color=PALETTE[1], label="backward")
    axes.bar_label(bars, [f"{share:.0%}".replace("%", " %") for share in shares], padding=3, fontsize=SMALL)
    axes.set(ylim=(len(names) - 0.4, -0.6), xmargin=0.1, xlabel=f"ms, {profile.seconds * 1e3:,.0f} in all")
    axes.legend(frameon=False, fontsize=SMALL, loc="lower right")
    style_plot(axes)
    return figure
