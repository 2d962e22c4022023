"""Advice that is true: where the fix of an error is code, the code is run, and the call that failed then works.

Advice is code where what follows its colon is an expression. It speaks of the arguments by their names in the
operation, as the calls below do.
"""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from minisrgan import Tensor, nn, ops
from minisrgan.errors import MinisrganError
from tests.ops.test_errors import MISTAKES

PACKAGE = Path(inspect.getfile(ops)).parents[1]


def ones(*shape: int, dtype: Any = np.float32) -> Tensor:
    """A tensor of ones."""
    return Tensor(np.ones(shape, dtype))


STATISTICS = "ops.batch_norm(x, x[0], x[0], running_mean, running_var, training=False)"
# a call, its arguments, and the one that the advice is about: none where the advice is another call
ADVICE: list[tuple[str, dict[str, Any], str]] = [
    ("ops.conv2d(x, weight)", {"x": ones(4, 5, 3), "weight": ones(3, 3, 3, 8)}, "x"),
    ("ops.conv2d(x, weight)", {"x": ones(4, 5), "weight": ones(3, 3, 1, 8)}, "x"),
    ("ops.conv2d(x, weight)", {"x": ones(2, 3, 4, 5), "weight": ones(3, 3, 3, 8)}, "x"),
    ("ops.conv2d(x, weight)", {"x": ones(2, 4, 5, 1), "weight": ones(3, 3, 3, 8)}, "x"),
    ("ops.conv2d(x, weight)", {"x": ones(2, 4, 5, 4), "weight": ones(3, 3, 3, 8)}, "x"),
    ("ops.conv2d(x, weight)", {"x": ones(2, 4, 5, 6), "weight": ones(8, 6, 3, 3)}, "weight"),
    ("ops.conv2d(x, weight)", {"x": ones(2, 4, 5, 3), "weight": ones(64, 3, 3, 3)}, "weight"),
    ("ops.conv2d(x, weight)", {"x": ones(2, 7, 7, 5), "weight": ones(8, 5, 5, 5)}, "weight"),
    ("ops.conv2d_transpose(x, weight)", {"x": ones(2, 4, 5, 6), "weight": ones(6, 8, 3, 3)}, "weight"),
    ("ops.conv2d(x, weight)", {"x": ones(1, 4, 5, 3), "weight": ones(3, 3, 3, 8, dtype=np.float64)}, "weight"),
    ("ops.conv2d(x, weight)", {"x": np.ones((1, 4, 5, 3), np.uint8), "weight": ones(3, 3, 3, 8)}, "x"),
    ("ops.max_pool2d(x, size)", {"x": ones(1, 4, 5, 3), "size": 2.0}, "size"),
    (STATISTICS, {"x": ones(2, 3), "running_mean": np.ones(3), "running_var": np.ones(3, np.float32)}, "running_mean"),
    (STATISTICS, {"x": ones(2, 3), "running_mean": np.ones(3, np.float32), "running_var": [1, 1, 1]}, "running_var"),
    ("ops.linear(x, weight)", {"x": ones(3), "weight": ones(3, 2)}, "x"),
    ("ops.linear(x, weight)", {"x": ones(4, 3), "weight": ones(2, 3)}, "weight"),
    ("ops.linear(x, weight)", {"x": ones(4, 2, 3, 5), "weight": ones(30, 2)}, "x"),
    ("ops.matmul(a, b)", {"a": ones(4, 3), "b": ones(3)}, "b"),
    ("ops.matmul(a, b)", {"a": ones(3), "b": ones(3, 2)}, "a"),
    ("ops.matmul(a, b)", {"a": ones(4, 3), "b": ones(2, 3)}, "b"),
    ("ops.add(a, b)", {"a": ones(4, 3), "b": ones(4)}, "b"),
    ("ops.maximum(a, b)", {"a": ones(4), "b": ones(4, 3, 2)}, "a"),
    ("ops.subtract(a, b)", {"a": ones(4), "b": ones(4, dtype=np.float64)}, "b"),
    ("ops.clip(x, 1.0, 0.0)", {"x": ones(3)}, ""),
    ("ops.mse(prediction, target)", {"prediction": ones(4, 1), "target": ones(4)}, "target"),
    ("ops.l1(prediction, target)", {"prediction": ones(2, 2), "target": ones(4)}, "target"),
    ("ops.binary_cross_entropy_with_logits(logits, targets)", {"logits": ones(4, 1), "targets": ones(4)}, "targets"),
    ("x[index]", {"x": ones(3), "index": Tensor([0.0, 1.0, 1.0])}, "index"),
    ("x[index]", {"x": ones(3), "index": Tensor([0.0, 2.0])}, "index"),
    ("x[index, :1]", {"x": ones(3, 2), "index": np.array([0.0, 2.0])}, "index"),
    ("x[index]", {"x": ones(3), "index": np.array([0.0, 1.0, 1.0])}, "index"),
    ("x[index]", {"x": ones(1, 3), "index": np.ones((1, 3), bool).view(np.matrix)}, "index"),
    ("x[index]", {"x": ones(3), "index": np.ma.array([True, False, True], mask=[0, 0, 1])}, "index"),
    ("ops.where(condition, a, 0.0)", {"condition": Tensor([1.0, 0.0]), "a": ones(2)}, "condition"),
    ("ops.where(condition, a, 0.0)", {"condition": np.array([1, 0]), "a": ones(2)}, "condition"),
    ("ops.where(condition, a, 0.0)", {"condition": [True, False], "a": ones(2)}, "condition"),
    ("ops.where(condition, a, 0.0)", {"condition": np.ma.array([True, False]), "a": ones(2)}, "condition"),
    ("ops.conv2d(x, x, padding=padding)", {"x": ones(3, 3, 3, 3), "padding": "full"}, "padding"),
    ("ops.conv2d(x, x, stride=2, padding=padding)", {"x": ones(3, 3, 3, 3), "padding": "same"}, "padding"),
    ("ops.pad(x, widths)", {"x": ones(3, 2), "widths": 1}, "widths"),
    ("ops.concatenate(tensors)", {"tensors": ones(3, 2)}, "tensors"),
    ("ops.relu(x)", {"x": [-1.0, 2.0]}, "x"),
    ("ops.add(a, b)", {"a": ones(2), "b": [1, 2]}, "b"),
    ("x.sum(0, 1)", {"x": ones(2, 3, 4)}, ""),
    ("nn.Sequential(layers)", {"layers": [nn.ReLU(), nn.ReLU()]}, ""),
    ("module.running_mean = values", {"module": nn.BatchNorm2d(2), "values": [1.0, 2.0]}, ""),
]  # fmt: skip


def code_of(advice: str) -> str:
    """Return what follows the colon where it is a statement that does something, else nothing."""
    code = advice.partition(": ")[2]
    try:
        (statement,) = ast.parse(code).body
    except (SyntaxError, ValueError):
        return ""
    return "" if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Name) else code


def run(code: str, names: dict[str, Any]) -> Any:
    """Run a statement; return the value of an expression, and of an assignment what it assigned to."""
    if isinstance(ast.parse(code).body[0], ast.Expr):
        return eval(code, names)
    exec(code, names)
    return names[re.split(r"\W", code)[0]]


def failure(call: str, names: dict[str, Any]) -> MinisrganError:
    """Return the error of a call that must fail."""
    with pytest.raises(MinisrganError) as caught:
        run(call, {"ops": ops, "nn": nn, **names})
    return caught.value


@pytest.mark.parametrize(("call", "arguments", "about"), ADVICE)
def test_advice_is_true(call: str, arguments: dict[str, Any], about: str):
    """'write it as (2, 3)' was said to somebody who had written (2, 3)."""
    names = {"ops": ops, "nn": nn, "np": np, "Tensor": Tensor, **arguments}
    error = failure(call, arguments)
    code = code_of(error.fix)
    assert code, f"no code in {error}"
    if about:
        names |= {"value": names[about], "array": names[about]}  # what Tensor(...) calls what it is given
    result = run(code, names)
    if about:
        result = run(call, names | {about: result})
    assert isinstance(result, Tensor | nn.Module)


def advice_in(path: Path) -> Iterator[str]:
    """Walk over the advice in a source that is code, as the words before the colon."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        parts = node.values if isinstance(node, ast.JoinedStr) else [node]
        text = "".join(p.value if isinstance(p, ast.Constant) and isinstance(p.value, str) else "x" for p in parts)
        if re.match(r"[a-z][^:\n]+: \S[^\n]*$", text) and code_of(text):
            yield text.partition(": ")[0]


def test_all_advice_that_is_code_is_run():
    """A new error with a line of code in it is not tried by anybody until a student does."""
    tried = {failure(call, arguments).fix.partition(": ")[0] for call, arguments, _ in ADVICE}
    files = [*(PACKAGE / "ops").glob("*.py"), *(PACKAGE / "nn").glob("*.py"), PACKAGE / "autograd/arguments.py"]
    written = {words for path in files for words in advice_in(path)}
    assert written - tried == set()
    assert len(written) > 15


def raises_in(path: Path) -> Iterator[tuple[Path, range]]:
    """Walk over the statements of a source that raise an error of ours."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Raise) and re.match(r"\w+Error\(.*expected=", ast.unparse(node)[len("raise ") :]):
            yield path, range(node.lineno, (node.end_lineno or 0) + 1)


def test_every_error_is_made():
    """An error that no test makes may fail itself while it is being put together."""
    made = set()
    for _, call, _, _ in MISTAKES:
        with pytest.raises(MinisrganError) as caught:
            call()
        last = caught.traceback[-1]
        made.add((Path(last.path), last.lineno + 1))
    for call, arguments, _ in ADVICE:
        with pytest.raises(MinisrganError) as caught:
            run(call, {"ops": ops, "nn": nn, **arguments})
        made.add((Path(caught.traceback[-1].path), caught.traceback[-1].lineno + 1))
    files = [*(PACKAGE / "ops").glob("*.py"), PACKAGE / "autograd/arguments.py"]
    sites = [site for path in files for site in raises_in(path)]
    assert len(sites) > 40
    missed = [f"{path.name}:{lines[0]}" for path, lines in sites if not any((path, n) in made for n in lines)]
    assert missed == []


def test_what_was_advised_wrongly():
    """The four misleading messages of the bug report."""
    x = ones(2, 3)
    counted = x * Tensor([1.0, 2.0, 3.0])
    np.testing.assert_array_equal(counted[counted.data > 1.5].numpy(), [2, 3, 2, 3])
    assert x.reshape((3, 2)).shape == x.reshape([3, 2]).shape == ops.reshape(x, [3, 2]).shape == (3, 2)
    assert x.transpose((1, 0)).shape == x.transpose([1, 0]).shape == (3, 2)
    assert ops.reshape(x, 6).shape == x.reshape(6).shape == (6,)
    layer = nn.Linear(3, 2, rng=np.random.default_rng(0))
    with pytest.raises(MinisrganError) as caught:
        layer(ones(1, 4))
    assert "RGB" not in str(caught.value)
    with pytest.raises(MinisrganError, match="PyTorch") as caught:
        ops.conv2d(ones(1, 24, 24, 3), ones(64, 3, 9, 9))
    assert "crop" not in str(caught.value)


