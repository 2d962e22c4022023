"""A result as text, tables and a picture: ``python -m benchmarks.report FILE.json`` shows one that was saved.

A ratio is ours / theirs, so below 1 we are faster. It is formed within each round, in which every side was asked in
turn; the table shows the median of the rounds and, as its spread, the quartiles. Of PyTorch's two layouts the one that
took less time for the whole job counts.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.jobs import NETWORKS, OURS, PEERS, TORCH, TORCH_LAST
from minisrgan.show import PALETTE, new_figure, save_figure, style_plot

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Record = Mapping[str, Any]
TOLERANCE = 1e-3  # between the mean magnitudes of results; the sides round differently


def disagree(magnitudes: Mapping[str, list[float]]) -> list[str]:
    """Return the sides whose results are not as large as ours: they did other work, and their time says nothing."""
    ours = magnitudes.get(OURS, [])
    return [
        name
        for name, theirs in magnitudes.items()
        if len(theirs) != len(ours) or not np.allclose(theirs, ours, rtol=TOLERANCE, atol=0)
    ]


def seconds(record: Record, side: str, phase: str | None = None) -> np.ndarray:
    """Return the seconds of every round: of one phase, or of all together."""
    samples = record["samples"][side]
    return np.sum([samples[name] for name in ([phase] if phase else record["phases"])], axis=0)


def median(record: Record, side: str, phase: str | None = None) -> float:
    """Return the median seconds, NaN for a side that did not run."""
    return float(np.median(seconds(record, side, phase))) if side in record["samples"] else math.nan


def rival(record: Record) -> str | None:
    """Return PyTorch's faster layout, or None where it did not run."""
    there = [side for side in (TORCH, TORCH_LAST) if side in record["samples"]]
    return min(there, key=lambda side: median(record, side), default=None)


def ratio(record: Record, side: str, phase: str | None = None) -> tuple[float, float, float]:
    """Return median and quartiles of ours / theirs; NaN where one of them did not run."""
    if not {side, OURS} <= record["samples"].keys():
        return math.nan, math.nan, math.nan
    low, middle, high = np.percentile(seconds(record, OURS, phase) / seconds(record, side, phase), (25, 50, 75))
    return float(middle), float(low), float(high)


def _ratio_text(record: Record, side: str | None, phase: str | None = None) -> str:
    if side is None or OURS not in record["samples"]:
        return "-"
    return "{:.2f} ({:.2f}-{:.2f})".format(*ratio(record, side, phase))


def heading(result: Record) -> str:
    """Say on what was measured, and with which versions."""
    machine, settings = result["machine"], result["settings"]
    memory = f", {machine['memory_gb']} GB" if "memory_gb" in machine else ""
    gpu = f"{machine['gpu']}, {'TF32' if settings['tf32'] else 'float32'}; " if "gpu" in machine else ""
    lines = [
        f"{gpu}{machine['cpu']}, {machine['cores']} cores{memory}, {machine['system']}",
        f"{settings['threads']} threads on every side, {settings['samples']} samples, {result['date']}"
        + (", QUICK: small sizes, few samples, the numbers mean nothing" if settings["quick"] else ""),
    ]
    for name, facts in result["sides"].items():
        numpy = f", NumPy {facts['numpy']}" if "numpy" in facts else ""
        cpu = f", {facts['instructions']}" if "instructions" in facts else ""
        lines.append(f"{name} {facts['version']}{numpy}, Python {facts['python']}{cpu}, {facts['threads']} threads; "
                     f"{'; '.join(facts['blas'])}")  # fmt: skip
    pins = {name: value for facts in result["sides"].values() for name, value in facts["environment"].items() if value}
    lines.append("OpenBLAS " + (", ".join(f"{k}={v}" for k, v in pins.items()) or "free to choose its kernels"))
    return "\n".join(lines + [f"left out: {name}, since {why}" for name, why in result["missing"].items()])


def line(record: Record) -> str:
    """Say in one line how a job went, as soon as it is done."""
    parts = [f"{record['name']:<30}"]
    for side in record["samples"]:
        parts.append(f"{side} " + "+".join(f"{median(record, side, phase) * 1e3:.1f}" for phase in record["phases"]))
    other = rival(record)
    parts += [f"ratio {_ratio_text(record, other)}"] if other else []
    parts += [f"{side} FAILED: {why}" for side, why in record["errors"].items()]
    parts += [f"RESULTS DIFFER: {', '.join(record['disagree'])}"] if record["disagree"] else []
    return "  ".join(parts)


def _table(title: str, columns: list[str], rows: list[list[str]]) -> str:
    """Lay out a table in Markdown that is readable as it is."""
    rows = [[cell.replace("nan", "-") for cell in cells] for cells in rows]  # of a side that did not run
    widths = [max(map(len, column)) for column in zip(columns, *rows, strict=True)]
    lines = [[*columns], ["-" * width for width in widths], *rows]
    padded = [[cell.ljust(width) for cell, width in zip(cells, widths, strict=True)] for cells in lines]
    return "\n".join([title, "", *("| " + " | ".join(cells) + " |" for cells in padded)])


def tables(result: Record) -> str:
    """Return every table for which there are jobs, and what to doubt."""
    groups: Mapping[str, Callable[[list[Record]], str]] = {
        "step": _networks, "upscale": _networks, "stack": _stack, "layer": _layers
    }  # fmt: skip
    texts = []
    for make in dict.fromkeys(groups.values()):
        records = [record for record in result["jobs"] if groups[record["group"]] is make and record["samples"]]
        texts += [make(records)] if records else []
    return "\n\n".join(texts + doubts(result))


def doubts(result: Record) -> list[str]:
    """Say which numbers not to trust, and why."""
    quiet, texts = result["settings"]["quiet"], []
    for record in result["jobs"]:
        shares = [share for others in record["others"].values() for share in others]
        loud = sum(share is not None and share > quiet for share in shares)
        if loud:
            share = f"{loud} of {len(shares)} samples"
            texts.append(f"{record['name']}: others used over {quiet:.0%} of the machine in {share}")
        texts += [f"{record['name']}, {side}: other results than ours" for side in record["disagree"]]
        texts += [f"{record['name']}, {side}: {why}" for side, why in record["errors"].items()]
    if result["jobs"] and all(share is None for r in result["jobs"] for o in r["others"].values() for share in o):
        texts.append("without /proc/stat nothing is known of who else used the machine")
    return ["To doubt:\n" + "\n".join(f"- {text}" for text in texts)] if texts else []


def _networks(records: list[Record]) -> str:
    rows = []
    for record in records:
        other, peaks = rival(record), record["peak_mb"]
        times = [f"{median(record, side):.2f}" for side in NETWORKS]
        ours, theirs = (peaks.get(side, {}).get("peak", math.nan) for side in (OURS, other))
        memory = [f"{ours:,.0f} / {theirs:,.0f}", f"{ours / theirs:.2f}"]
        rows.append([record["name"], *times, _ratio_text(record, other), *memory])
    columns = ["", "minisrgan s", "PyTorch s", "channels-last s", "ratio to the better", "peak MB", "ratio"]
    return _table("Whole networks: seconds, and ours / PyTorch (quartiles)", columns, rows)


def _stack(records: list[Record]) -> str:
    rows = []
    for record in records:
        for side in (side for side in (*NETWORKS, *PEERS) if side in record["samples"]):
            times = [f"{median(record, side, phase) * 1e3:.1f}" for phase in record["phases"]]
            middle, low, high = ratio(record, side)
            peak = record["peak_mb"].get(side, {}).get("peak", math.nan)
            rows.append([side, *times, f"{1 / middle:.2f} ({1 / high:.2f}-{1 / low:.2f})", f"{peak:,.0f}"])
    title = "Four residual blocks of 64 channels, 24x24: times our time (quartiles)"
    return _table(title, ["", "forward ms", "backward ms", "times ours", "peak MB"], rows)


def _layers(records: list[Record]) -> str:
    rows = []
    for record in records:
        other, cells = rival(record), []
        for phase in record["phases"]:
            theirs = f"{median(record, other, phase) * 1e3:.2f}" if other else "-"
            cells += [f"{median(record, OURS, phase) * 1e3:.2f} / {theirs}", _ratio_text(record, other, phase)]
        rows.append([record["name"], *cells])
    columns = ["layer", "forward ms", "ratio", "backward ms", "ratio"]
    text = _table("Layers: ours / PyTorch in the better layout (quartiles)", columns, rows)
    ratios = [ratio(r, other)[0] for r in records if (other := rival(r)) and OURS in r["samples"]]
    if ratios:
        faster = f"Faster in {sum(value < 1 for value in ratios)} of {len(ratios)} layers"
        text += f"\n\n{faster}, forward and backward together; geometric mean {math.exp(np.mean(np.log(ratios))):.2f}."
    return text


def figure(result: Record) -> Figure:
    """Draw the ratios to PyTorch with their quartiles, networks above and layers below; left of 1 we are faster."""
    records = [record for record in result["jobs"] if rival(record) and OURS in record["samples"]]
    wholes = [record for record in records if record["group"] != "layer"]
    layers = [record for record in records if record["group"] == "layer"]
    panels = [(part, phases) for part, phases in ((wholes, (None,)), (layers, ("forward", "backward"))) if part]
    drawing = new_figure(8, 1.5 + 0.24 * max(4, len(records)))
    drawing.suptitle(f"minisrgan / PyTorch, {_where(result)}",
                     fontsize=11)  # fmt: skip
    heights = [len(part) + 2 for part, _ in panels]
    grid = drawing.subplots(len(panels), 1, sharex=True, squeeze=False, height_ratios=heights) if panels else []
    for axes, (part, phases) in zip((row[0] for row in grid), panels, strict=True):
        _draw(axes, part, phases)
    drawing.supxlabel("time ratio, below 1 minisrgan is faster", fontsize=10)
    drawing.set_layout_engine("constrained")
    return drawing


def _where(result: Record) -> str:
    machine, settings = result["machine"], result["settings"]
    if "gpu" in machine:
        return f"{machine['gpu']}, {'TF32' if settings['tf32'] else 'float32'}"
    return f"{machine['cpu']}, {settings['threads']} threads"


def _draw(axes: Axes, records: list[Record], phases: tuple[str | None, ...]) -> None:
    style_plot(axes)
    for number, phase in enumerate(phases):
        values = np.array([ratio(record, rival(record) or "", phase) for record in records])
        at = np.arange(len(records)) + 0.2 * (number - (len(phases) - 1) / 2)
        spread = (values[:, 0] - values[:, 1], values[:, 2] - values[:, 0])
        axes.errorbar(values[:, 0], at, xerr=spread, fmt="o", markersize=4, linewidth=1, color=PALETTE[number],
                      label=phase or "whole")  # fmt: skip
    axes.axvline(1, color="0.3", linewidth=1)
    axes.set(xscale="log", ylim=(len(records) - 0.4, -0.6))
    axes.set_yticks(range(len(records)), [record["name"] for record in records])
    ticks = (0.2, 0.3, 0.5, 0.7, 1, 1.5, 2, 3, 5)
    axes.set_xticks(ticks, map(str, ticks), minor=False)
    axes.minorticks_off()
    if len(phases) > 1:
        axes.legend(frameon=False, fontsize=9, loc="upper right")


def save(result: Record, out: Path) -> None:
    """Write OUT.json and OUT.png."""
    out.parent.mkdir(parents=True, exist_ok=True)
    Path(f"{out}.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    save_figure(figure(result), f"{out}.png", dpi=120)


def main(path: str) -> None:
    """Show a saved result."""
    result = json.loads(Path(path).read_text(encoding="utf-8"))
    print(heading(result) + "\n\n" + tables(result))


if __name__ == "__main__":
    main(sys.argv[1])
