"""A drawing of the recorded graph: `to_svg`.

It runs downwards, from the leaves to the result. Operations are rounded boxes, leaves are rectangles, and constants,
which get no gradient, are dashed. The layout is a simple form of the one by Sugiyama, Tagawa and Toda (1981): assign
every box to a row, lead long lines through the rows between, order each row, and place every box above a user of it if
there is room.
"""

from collections import Counter
from dataclasses import dataclass, field
from html import escape
from itertools import pairwise
from typing import TypeAlias

from minisrgan.autograd import Function, Tensor
from minisrgan.autograd.engine import topological_order, vertex_of
from minisrgan.explain.steps import Names, explain, gradient_formula, names_of

__all__ = ["Drawing", "explain", "gradient_formula", "to_svg"]

Point: TypeAlias = tuple[int, int]  # (box, row): the box itself or, in a lower row, a line that comes from it
Lines: TypeAlias = Counter[tuple[Point, Point]]

_HEIGHT, _ROW, _GAP, _MARGIN = 42, 88, 20, 16  # pixels: height of a box and of a row, gap between boxes, margin
_FONT = "DejaVu Sans Mono, Menlo, Consolas, monospace"  # each letter is 0.6 of the font size wide, so widths are known
_STYLES = {  # different shapes, and colours that colour-blind readers can distinguish (Okabe and Ito 2008)
    "op": 'rx="12" fill="#E1EEF7" stroke="#0072B2"',
    "leaf": 'fill="#FDF1DA" stroke="#B87400"',
    "constant": 'fill="white" stroke="#555555" stroke-dasharray="5 4"',
}


class Drawing(str):
    """The text of an SVG picture; a notebook shows it as the picture."""

    def _repr_svg_(self) -> str:
        return str(self)


@dataclass
class _Box:
    title: str
    detail: str
    kind: str
    shape: tuple[int, ...]  # of the result, or of the leaf
    inputs: list[int] = field(default_factory=list)
    formula: str = ""
    row: int = 0

    @property
    def width(self) -> float:
        """The width in pixels: that of the text, and a margin."""
        return 0.6 * max(14 * len(self.title), 12 * len(self.detail)) + 24


def to_svg(tensor: Tensor, names: Names | None = None, limit: int = 40) -> Drawing:
    """Draw the graph. A notebook shows the result as a picture; written into a file it is an SVG.

    names   names for leaves and results
    limit   number of operations to draw, those nearest the result; the drawing says how many are left out

    >>> x = Tensor([1.0, 2.0], requires_grad=True)
    >>> to_svg((x * 2.0).sum(), names={"x": x})[:4]
    '<svg'
    """
    boxes = _boxes(tensor, names, limit)
    rows, lines = _rows(boxes)
    x = _columns(boxes, rows, lines)
    wide = max(x[i, box.row] + max(box.width / 2, 8 + 7.2 * len(str(box.shape))) for i, box in enumerate(boxes))
    width, height = round(wide + _MARGIN), _ROW * len(rows) + 2 * _MARGIN
    marks = []
    for (start, end), count in lines.items():
        arrives = end[1] == boxes[end[0]].row
        reach = boxes[end[0]].width / 2 - 12
        for copy in range(count if arrives else 1):  # x * x has two lines from one box to another
            aside = max(-reach, min(reach, x[start] - x[end])) + 12 * (copy - (count - 1) / 2)
            marks.append(_curve(x[start], x[end] + aside * arrives, end[1], arrives))
    marks.append(_curve(x[rows[-1][0]], x[rows[-1][0]], len(rows), True))  # the result
    marks += [_drawn(box, x[i, box.row]) for i, box in enumerate(boxes)]
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
    head += f'font-family="{_FONT}" font-size="12" text-anchor="middle"><rect width="100%" height="100%" fill="white"/>'
    return Drawing("\n".join([head, *marks, "</svg>"]))


def _boxes(tensor: Tensor, names: Names | None, limit: int) -> list[_Box]:
    """Return the boxes to draw, each after its inputs; a box ``9 earlier steps`` stands for all beyond the limit."""
    nodes = [vertex for vertex in topological_order([vertex_of(tensor)]) if isinstance(vertex, Function)]
    called, earlier = names_of(names, nodes), f"{max(len(nodes) - limit, 0)} earlier steps"
    boxes = [] if nodes else [_Box(called.get(id(tensor), "leaf"), str(tensor.shape), "leaf", tensor.shape)]
    place: dict[int, int] = {}
    for node in nodes[-limit:]:
        op = _Box(node.name, called.get(id(node), ""), "op", tensor.shape, formula=gradient_formula(type(node)))
        for position, (parent, shape) in enumerate(zip(node.parents, node.shapes, strict=True)):
            if parent is None and shape == ():
                continue  # a Python number
            if parent is None or id(parent) not in place:
                place[id(parent)] = len(boxes)
                title = node.argument(position) if parent is None else called.get(id(parent), earlier)
                kind = "leaf" if isinstance(parent, Tensor) else "constant"
                boxes.append(_Box(title, str(shape), kind, shape))
            boxes[place[id(parent)]].shape = shape
            op.inputs.append(place[id(parent)])
        place[id(node)] = len(boxes)
        boxes.append(op)
    return boxes


def _rows(boxes: list[_Box]) -> tuple[list[list[Point]], Lines]:
    """Assign every box to the row just above its first user; return the points of each row, and the lines."""
    for box in reversed(boxes):
        for j in box.inputs:
            boxes[j].row = max(boxes[j].row, box.row + 1)
    last = max(box.row for box in boxes)
    lines: Lines = Counter()
    for i, box in enumerate(boxes):
        box.row = last - box.row  # counted from above
        for j in box.inputs:
            for start, end in pairwise([*((j, row) for row in range(boxes[j].row, box.row)), (i, box.row)]):
                lines[start, end] += 1
    rows: list[list[Point]] = [[] for _ in range(last + 1)]
    stack = [(len(boxes) - 1, last)]
    while stack:  # from the result upwards, the first input first
        point = stack.pop()
        if point not in rows[point[1]]:
            rows[point[1]].append(point)
            stack += reversed([start for start, end in lines if end == point])
    return rows, lines


def _columns(boxes: list[_Box], rows: list[list[Point]], lines: Lines) -> dict[Point, float]:
    """Return x of each point, row by row from below: that of its first user, or further right if there is no room."""
    x: dict[Point, float] = {}
    for row in reversed(rows):
        right: float = _MARGIN - _GAP  # where the point before ends
        for point in row:
            box = boxes[point[0]]
            half = box.width / 2 if point[1] == box.row else 0.0
            users = [x[end] for start, end in lines if start == point]
            x[point] = max([right + _GAP + half, *users[:1]])
            right = x[point] + half
    return x


def _curve(x: float, x_end: float, row: int, arrives: bool) -> str:
    """Draw a line from one row to a box of the next row, or through the next row."""
    top, bottom = _MARGIN + _ROW * (row - 1) + _HEIGHT, _MARGIN + _ROW * row
    middle = (top + bottom) / 2
    path = f"M{x:.1f} {top}C{x:.1f} {middle} {x_end:.1f} {middle} {x_end:.1f} {bottom - 6 * arrives}"
    head = f'<path d="M{x_end - 4:.1f} {bottom - 8}h8l-4 8z" fill="#444444"/>' if arrives else ""
    return f'<path d="{path}{"" if arrives else f"v{_HEIGHT}"}" fill="none" stroke="#444444" stroke-width="1.3"/>{head}'


def _drawn(box: _Box, x: float) -> str:
    """Draw a box, with its formula as a tooltip, and below an operation the shape of its result."""
    x, y, wide = round(x, 1), _MARGIN + _ROW * box.row, round(box.width, 1)
    marks = f"<g><title>{escape(box.formula or box.title)}</title>"
    marks += f'<rect x="{x - wide / 2:.1f}" y="{y}" width="{wide}" height="{_HEIGHT}" {_STYLES[box.kind]}/>'
    marks += f'<text x="{x}" y="{y + (18 if box.detail else 26)}" font-size="14" font-weight="bold">'
    marks += f'{escape(box.title)}</text><text x="{x}" y="{y + 34}">{escape(box.detail)}</text></g>'
    if box.kind == "op":
        halo = 'text-anchor="start" stroke="white" stroke-width="4" paint-order="stroke"'
        marks += f'<text x="{x + 8}" y="{y + _HEIGHT + 15}" {halo}>{box.shape}</text>'
    return marks
