"""What `explain` tells is what `backward` does, and the drawing shows every operation where it can be seen."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from itertools import pairwise

import numpy as np
import pytest

from minisrgan import Tensor, ops
from minisrgan.autograd import Function, Gradients
from minisrgan.backend import Array
from minisrgan.errors import GradientError
from minisrgan.explain import graph
from minisrgan.models import Generator
from minisrgan.models.generator import ResidualBlock

SVG = "{http://www.w3.org/2000/svg}"


def images(*shape: int, requires_grad: bool = False) -> Tensor:
    """Random numbers, the same every time."""
    return Tensor(np.random.default_rng(0).standard_normal(shape).astype(np.float32), requires_grad)


def residual() -> tuple[Tensor, dict[str, Tensor]]:
    """A loss behind a residual block whose input gets two gradients."""
    block, x = ResidualBlock(4, np.random.default_rng(1)), images(2, 5, 5, 4, requires_grad=True)
    return ops.mse(block(x), images(2, 5, 5, 4) * 0.5), {"x": x, **dict(block.named_parameters())}


def generator(blocks: int) -> tuple[Tensor, dict[str, Tensor]]:
    """A loss behind a whole generator."""
    model = Generator(scale=2, channels=4, blocks=blocks)
    return ops.mse(model(images(1, 4, 4, 3)), images(1, 8, 8, 3)), dict(model.named_parameters())


def of_leaves(text: str) -> dict[str, str]:
    """The norms printed for leaves, by name."""
    return dict(re.findall(r"^leaf (\S+) .* norm (\S+)", text, re.MULTILINE))


# explain


@pytest.mark.parametrize("make", [residual, lambda: generator(1)])
def test_norms_are_those_of_backward(make):
    """A walk of its own that adds up in another way than the engine would teach numbers that training never sees."""
    loss, names = make()
    told = of_leaves(graph.explain(loss, names=names))
    loss.backward()
    assert told == {name: f"{np.linalg.norm(leaf.grad.data):.4g}" for name, leaf in names.items()}


def test_nothing_is_changed():
    """A look that adds to `.grad`, or uses the graph up, changes the training step that it is put into."""
    loss, names = residual()
    names["x"].grad = Tensor(np.full((2, 5, 5, 4), 7.0, np.float32))
    seen: list[Tensor] = []
    names["x"].register_hook(seen.append)
    first = graph.explain(loss, names=names)
    assert (names["x"].grad.data == 7).all()
    assert all(leaf.grad is None for name, leaf in names.items() if name != "x")
    assert seen == []
    assert of_leaves(graph.explain(loss, names=names)) == of_leaves(first)
    loss.backward()
    assert len(seen) == 1


def test_every_step_tells_formula_shapes_and_where_gradients_go():
    """Numbers without the formula beside them are what a debugger prints, not what a student asks."""
    x, slope = images(3, 4, requires_grad=True), Tensor([0.25], requires_grad=True)
    text = graph.explain(ops.prelu(x, slope).sum(), names={"slope": slope})
    first, second = text.split("\n\n")[1:3]
    assert first.startswith("step 1  sum")
    assert re.search(r"grad_x +\(3, 4\) +norm 3.464 +to step 2, prelu", first)
    assert second.startswith("step 2  prelu")
    assert "dy/dx = 1 where x > 0, else a" in second
    assert re.search(r"grad_slope +\(1,\) +norm \S+ +to leaf slope", second)
    assert re.search(r"\d\.\d\d ms", second)


def test_formula_of_every_operation():
    """An operation renamed, or a docstring that calls the part otherwise, leaves a step without its formula."""
    functions = [f for f in Function.__subclasses__() if f.__module__.startswith("minisrgan.ops.")]
    assert len(functions) > 30
    assert [f.__name__ for f in functions if not graph.gradient_formula(f)] == []


class Twice(Function):
    """Formula     y = 2x
    Gradient    dy/dx = 2,
                everywhere
    Shapes      any
    """

    def forward(self, x: Array) -> Array:
        return 2 * x

    def backward(self, grad_y: Tensor) -> Gradients:
        return grad_y * 2.0


def twice(x: Tensor) -> Tensor:
    return Twice.apply(x)


def test_formula_of_a_function_of_ones_own():
    """A student's first Function has its own docstring, and beside it perhaps a function that has none."""
    assert graph.gradient_formula(Twice) == "dy/dx = 2,\neverywhere"
    assert "dy/dx = 2" in graph.explain(twice(Tensor([1.0], requires_grad=True)))


def test_large_graphs_are_cut_short():
    """Sixteen blocks are 900 lines that nobody reads; but cut in silence they would seem to be all there is."""
    loss, names = generator(16)
    text = graph.explain(loss, names=names, limit=10)
    assert "only the first 10 steps and leaves are shown" in text
    assert text.count("\nstep ") == len(of_leaves(text)) == 10
    assert "only the first" not in graph.explain(residual()[0])


def test_what_cannot_be_explained_says_why():
    """Without these the walk ends in a KeyError."""
    x = images(2, 3, requires_grad=True)
    with pytest.raises(GradientError, match="scalar"):
        graph.explain(x * 2.0)
    with pytest.raises(GradientError, match="without history"):
        graph.explain(images(2, 3))
    loss = (x * x).sum()
    loss.backward()
    with pytest.raises(GradientError, match="retain_graph"):
        graph.explain(loss)


def test_grad_output():
    """A result that is no scalar is explained for the gradient that comes back to it."""
    x = images(2, 3, requires_grad=True)
    grad_y = images(2, 3)
    told = of_leaves(graph.explain(x * 2.0, grad_y, {"x": x}))
    assert told == {"x": f"{2 * np.linalg.norm(grad_y.data):.4g}"}


def test_the_method_prints(capsys: pytest.CaptureFixture[str]):
    """In a notebook loss.explain() stands between other lines, where a value that is returned is not shown."""
    x = images(2, requires_grad=True)
    assert (x * x).sum().explain(names={"x": x}) is None
    assert "step 2  multiply" in capsys.readouterr().out


# Drawings


def boxes(svg: str) -> list[tuple[str, float, float, float, float]]:
    """Title, left, top, width and height of every box."""
    found = []
    for group in ET.fromstring(svg).iter(f"{SVG}g"):
        rect, title = group.find(f"{SVG}rect"), group.find(f"{SVG}text")
        assert rect is not None
        assert title is not None
        numbers = (float(rect.get(key, "nan")) for key in ("x", "y", "width", "height"))
        found.append((title.text or "", *numbers))
    return found


@pytest.mark.parametrize("make", [residual, lambda: generator(2)])
def test_svg_shows_every_operation_and_leaf_once(make):
    """XML that does not parse is an empty cell; a box left out is a step that a student looks for in vain."""
    loss, names = make()
    titles = [title for title, *_ in boxes(graph.to_svg(loss, names, limit=100))]
    steps = re.findall(r"^step +\d+ +(\S+)", graph.explain(loss, names=names, limit=100), re.MULTILINE)
    for op in set(steps):
        assert titles.count(op) == steps.count(op)
    for name in names:
        assert titles.count(name) == 1


@pytest.mark.parametrize("make", [residual, lambda: generator(2)])
def test_boxes_do_not_overlap_and_lie_in_the_picture(make):
    """Names of weights are long: boxes of one width would cover each other, or be cut off at the edge."""
    loss, names = make()
    svg = graph.to_svg(loss, names, limit=100)
    root = ET.fromstring(svg)
    width, height = float(root.get("width", "nan")), float(root.get("height", "nan"))
    rows: dict[float, list[tuple[float, float]]] = {}
    for title, left, top, wide, high in boxes(svg):
        assert wide >= 8.4 * len(title)
        assert left >= 0
        assert left + wide <= width
        assert top + high <= height
        rows.setdefault(top, []).append((left, left + wide))
    tops = sorted(rows)
    assert all(below - above > 42 for above, below in pairwise(tops))
    for row in rows.values():
        assert all(end < start for (_, end), (start, _) in pairwise(sorted(row)))


def test_lines_of_one_operation_to_another():
    """In x * x both inputs are x: one line alone would be the picture of another formula."""
    x = images(2, 2, requires_grad=True)
    once, twice = (ET.fromstring(graph.to_svg(y.sum())) for y in (ops.exp(x), x * x))
    assert [len(list(svg.iter(f"{SVG}path"))) for svg in (once, twice)] == [6, 8]  # line and arrowhead, also below


def test_names_are_escaped():
    """A name such as a<b&c breaks the XML."""
    x = images(2, requires_grad=True)
    names = {'a<b&"c"': x}
    assert boxes(graph.to_svg(x.sum(), names))[0][0] == 'a<b&"c"'


def test_large_drawings_are_cut_short():
    """A hundred operations are a picture three screens high; what is not drawn is said."""
    loss, names = generator(16)
    drawn = boxes(graph.to_svg(loss, names, limit=5))
    steps = len(re.findall(r"^step ", graph.explain(loss, limit=1000), re.MULTILINE))
    assert f"{steps - 5} earlier steps" in [title for title, *_ in drawn]
    assert len(drawn) < 15


def test_a_notebook_shows_the_picture():
    """IPython asks an object for _repr_svg_; plain text would be shown as text."""
    drawing = graph.to_svg(images(2, requires_grad=True).sum())
    assert drawing._repr_svg_() == drawing
    assert type(drawing._repr_svg_()) is str


def test_a_leaf_alone():
    """A tensor that nothing has been done with yet has a graph too, of one box."""
    assert [title for title, *_ in boxes(graph.to_svg(images(2, requires_grad=True)))] == ["leaf"]


def test_deep_graphs():
    """A recursion would end at a thousand operations."""
    x = y = images(2, requires_grad=True)
    for _ in range(3000):
        y = y * 1.0
    assert "2961 earlier steps" in [title for title, *_ in boxes(graph.to_svg(y.sum()))]
    assert "3001 steps" in graph.explain(y.sum(), names={"x": x})


def test_parameters_are_named_by_their_paths(capsys: pytest.CaptureFixture[str]):
    """In a network of sixteen blocks every other leaf is called weight."""
    model = Generator(2, 4, 1)
    model(np.zeros((1, 4, 4, 3), np.float32)).sum().explain()
    told = capsys.readouterr().out
    assert "leaf generator.blocks.0.conv1.weight " in told
    assert "to leaf generator.conv_first.bias" in told
