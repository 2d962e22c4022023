"""What the first cell of every notebook starts: pictures with alternative text, sliders, guesses, the device.

    from course import DEVICE, guess, slider

A picture becomes ``<img alt=...>``: JupyterLab gives a plain PNG no alternative text. Live, the text says what the
figure itself says, its titles and labels; in the notebooks that build.py writes it is the caption.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Callable, Sequence
from html import escape, unescape
from typing import Any

import numpy as np
from IPython.core.getipython import get_ipython
from IPython.core.pylabtools import print_figure
from IPython.display import HTML, display
from IPython.utils.capture import capture_output

import minisrgan
from checks import Verdict, check
from grade import STUBS
from minisrgan.backend import thread_count, to_device
from minisrgan.errors import DeviceError

STATIC = "MINISRGAN_STATIC"  # environment: build.py sets it, for sliders that move without a kernel
_guesses: dict[str, str] = {}


def _find_device() -> str:
    try:
        to_device(np.zeros(1), "cuda")
    except DeviceError:
        return "cpu"
    return "cuda"


DEVICE = _find_device()  # "cuda" where there is a GPU, and CuPy to drive it


def begin() -> None:
    """Prepare the kernel, and say on which device the notebook runs."""
    shell = get_ipython()
    if shell is not None:
        show = shell.display_formatter.ipython_display_formatter
        show.for_type_by_name("matplotlib.figure", "Figure", lambda figure: _show(picture(figure)))
        show.for_type_by_name("minisrgan.explain.graph", "Drawing", lambda drawing: _show(drawn(drawing)))
        show.for_type_by_name("minisrgan.explain.page", "Inspection", lambda page: _show(framed(page._repr_html_())))
        shell.register_magic_function(after, "cell")
    threads = f"the CPU ({thread_count()} thread{'s' * (thread_count() != 1)})"
    gpu = "; cells that use DEVICE compute on the GPU" if DEVICE == "cuda" else "; no GPU with CuPy was found"
    print(f"minisrgan {minisrgan.__version__} computes on {threads}{gpu}.")  # noqa: T201


# Pictures


def _show(tag: str) -> None:
    display({"text/html": tag, "text/plain": unescape(tag.split('"')[1])}, raw=True)


def framed(frame: str) -> str:
    """Say below a page within the page why it may be missing."""
    note = "Nothing to be seen above? Run this cell, or trust the notebook (in JupyterLab: File, Trust Notebook)."
    return f"{frame}<p><small>{note}</small></p>"


def image(data: bytes, kind: str, alt: str) -> str:
    """Return an img tag that holds the picture itself.

    >>> image(b"<svg/>", "svg+xml", 'a "b"')
    '<img alt="a &quot;b&quot;" src="data:image/svg+xml;base64,PHN2Zy8+">'
    """
    return f'<img alt="{escape(alt)}" src="data:image/{kind};base64,{base64.b64encode(data).decode()}">'


def picture(figure: Any) -> str:
    """Return a figure as an img tag, with its own words as alternative text."""
    return image(base64.b64decode(print_figure(figure, base64=True)), "png", words_of(figure))


def drawn(drawing: str) -> str:
    """Return an SVG drawing as an img tag, which JupyterLab shows in a notebook that it does not trust, too."""
    return image(drawing.encode(), "svg+xml", "A drawing of the graph of operations.")


def words_of(figure: Any) -> str:
    """Say what stands in a figure: the title and the axes of each part, and the names of its lines."""
    parts = []
    for axes in figure.axes:
        names = [line.get_label() for line in axes.lines if not line.get_label().startswith("_")]
        labels = [axes.get_title(), " against ".join(filter(None, (axes.get_ylabel(), axes.get_xlabel())))]
        parts.append(", ".join([*filter(None, labels), *names]))
    return "A figure: " + "; ".join(" ".join(part.split()) for part in parts if part) + "."


# Sliders

_FRAME = """<!doctype html><meta charset="utf-8"><style>
body { font: 14px system-ui, sans-serif; margin: 4px } img { max-width: 100% }
input { width: 18rem; vertical-align: middle }
</style><label>NAME <input type="range" min="0" max="LAST" value="START"></label> <output></output><br><img>
<script>
const frames = FRAMES, input = document.querySelector("input"), shown = document.querySelector("img");
function show() {
  const [value, source, alt] = frames[input.value];
  document.querySelector("output").textContent = value;
  shown.src = source; shown.alt = alt; input.setAttribute("aria-valuetext", value);
}
input.addEventListener("input", show); show();
</script>"""


def slider(draw: Callable[[float], Any], name: str, values: Sequence[float], start: float) -> Any:
    """Show draw(value), a figure, for the value that a slider chooses.

    With a kernel and ipywidgets the cell computes each figure when it is asked for. Without ipywidgets, and in a page
    without a kernel, the figures of all values are there from the beginning.

    values  from left to right; where they are evenly spaced, ipywidgets offers those between them as well
    start   the first to be shown, one of them
    """
    try:
        import ipywidgets
    except ImportError:
        ipywidgets = None
    if ipywidgets is None or STATIC in os.environ:
        _show(framed(_frames(draw, name, values, start)))
        return None
    common = {"description": name, "continuous_update": False, "style": {"description_width": "initial"}}
    if np.allclose(np.diff(values, 2), 0):
        step = (values[1] - values[0]) / 4
        control = ipywidgets.FloatSlider(value=start, min=values[0], max=values[-1], step=step, **common)
    else:
        control = ipywidgets.SelectionSlider(value=start, options=values, **common)
    return ipywidgets.interactive(lambda value: display(draw(value)), value=control)


def _frames(draw: Callable[[float], Any], name: str, values: Sequence[float], start: float) -> str:
    frames = []
    for value in values:
        data = base64.b64encode(print_figure(draw(value), fmt="webp")).decode()
        frames.append((f"{value:g}", f"data:image/webp;base64,{data}", f"The figure for {name} {value:g}."))
    page = _FRAME.replace("NAME", escape(name)).replace("LAST", str(len(values) - 1))
    page = page.replace("START", str(list(values).index(start))).replace("FRAMES", json.dumps(frames))
    height = round(draw(start).get_size_inches()[1] * 100) + 60
    style = f'style="width: 100%; height: {height}px; border: 0" sandbox="allow-scripts"'
    return f'<iframe title="{escape(name)}: a slider" {style} srcdoc="{escape(page)}"></iframe>'


# Guesses


def guess(number: str, text: str) -> Verdict:
    """Keep the answer to a "Predict" question, such as 3.a, for the cells below it, which wait for it."""
    _guesses[number] = "" if text.strip() in STUBS else text.strip()
    if not _guesses[number]:
        return Verdict("open", f"Guess {number}: write it between the quotes. A wrong guess costs nothing.")
    return Verdict("right", f"Guess {number} is noted. Now run the next cell and compare.")


def after(line: str, cell: str) -> None:
    """Run a cell (``%%after 3.a``); until there is a guess, what it shows is folded."""
    shell: Any = get_ipython()
    if _guesses.get(line.strip()):
        shell.run_cell(cell)
        return
    with capture_output() as captured:
        shell.run_cell(cell)
    shown = [f"<pre>{escape(captured.stdout)}</pre>"] if captured.stdout else []
    for output in captured.outputs:
        data = output.data
        shown.append(data.get("text/html") or f"<pre>{escape(data.get('text/plain', ''))}</pre>")
    if shown:
        summary = f"<summary>The result is folded until your guess {escape(line.strip())} is written and run.</summary>"
        display(HTML(f"<details>{summary}{''.join(shown)}</details>"))


def score(number: str, answer: Any) -> float:
    """Return the points of an exercise, from 0 to 1: nbgrader reads them from the output of its locked cell."""
    return float(check(number, answer).share)
