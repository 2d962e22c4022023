"""What the checks keep in mine.py, and what runs on it."""

from __future__ import annotations

import importlib
import linecache
import threading
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from minisrgan import Tensor, ops
from minisrgan.optim import Adam

answers, keep, own = (importlib.import_module(name) for name in ("answers", "keep", "own"))  # of notebooks/


def in_a_notebook(text: str, name: str, number: int = 0) -> Any:
    """Define a function as a cell of a notebook does."""
    cell = f"<cell {number} {hash(text)}>"
    linecache.cache[cell] = (len(text), None, text.splitlines(keepends=True), cell)
    space: dict[str, Any] = {"__name__": "__main__", "np": np}
    exec(compile(text, cell, "exec"), space)
    return space[name]


def double(body: str = "2 * x") -> Any:
    return in_a_notebook(f"def double(x):\n    return {body}\n", "double")


def is_double(answer: Any) -> bool:
    return bool(answer(3) == 6)


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty place for mine.py."""
    monkeypatch.setenv("MINISRGAN_MINE", str(tmp_path / "mine.py"))
    return tmp_path / "mine.py"


@pytest.fixture(scope="module")
def solved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The mine.py of somebody who has solved everything."""
    path = tmp_path_factory.mktemp("solved") / "mine.py"
    assert answers.write(path) > 40
    return path


def test_an_answer_is_stored_once_and_replaced_by_a_better_one(mine: Path):
    """A file with three versions of a function is not one's own library."""
    assert keep.store(mine, "0.9", double(), is_double) == "Kept in mine.py as double."
    assert keep.store(mine, "0.9", double(), is_double) == "It is in mine.py."
    assert "in place of your earlier answer" in keep.store(mine, "0.9", double("x + x"), is_double)
    assert mine.read_text().count("def double") == 1
    assert "x + x" in mine.read_text()


def test_what_was_changed_by_hand_stays(mine: Path):
    """Right, it is the student's choice; wrong, it is still the student's text."""
    keep.store(mine, "0.9", double(), is_double)
    mine.write_text("# my notes\n" + mine.read_text().replace("2 * x", "x * 2  # mine") + "# %%\nprint('tried')\n")
    before = mine.read_text()
    assert "it stays" in keep.store(mine, "0.9", double(), is_double)
    assert mine.read_text() == before
    mine.write_text(before.replace("x * 2", "x * 3"))
    assert "as a comment" in keep.store(mine, "0.9", double(), is_double)
    text = mine.read_text()
    assert text.startswith("# my notes\n")
    assert "#     return x * 3  # mine\n" in text
    assert text.endswith("# %%\nprint('tried')\n")
    assert is_double(next(b for b in keep.read(mine) if b.number == "0.9").answer())


def test_notebooks_that_store_at_the_same_time_lose_nothing(mine: Path):
    """Two notebooks read the same file and write their own answer: the second would erase the first's."""
    work = [(f"0.{k}", in_a_notebook(f"def f{k}(x):\n    return 2 * x\n", f"f{k}", k)) for k in range(12)]
    threads = [threading.Thread(target=keep.store, args=(mine, number, f, is_double)) for number, f in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(b.number for b in keep.read(mine) if b.number) == sorted(number for number, _ in work)
    assert [p.name for p in mine.parent.iterdir()] == ["mine.py"]


def test_what_cannot_run_alone_is_not_stored(mine: Path):
    """A function that needs an array of its notebook fails in the next one."""
    answer = in_a_notebook("table = np.arange(3)\ndef f(x):\n    return x * table[2]\n", "f")
    with pytest.raises(keep.Unkept, match="it uses `table` of the notebook"):
        keep.store(mine, "0.9", answer, is_double)
    with_helper = in_a_notebook(
        "K = 2\ndef twice(x):\n    return np.int64(K) * x\ndef f(x):\n    return twice(x)\n", "f"
    )
    keep.store(mine, "0.9", with_helper, is_double)
    assert is_double(next(b for b in keep.read(mine) if b.number == "0.9").answer())
    assert not mine.with_name("other.py").exists()


def test_outside_of_a_notebook_nothing_is_stored(mine: Path):
    """Tests and graders call checks, too."""
    assert keep.keep("0.9", double(), is_double) == ""
    assert not mine.exists()


def test_a_wrong_or_broken_answer_falls_back_by_name(mine: Path, solved: Path, monkeypatch: pytest.MonkeyPatch):
    """A student who changes mine.py must hear which function stood in, and why."""
    text = solved.read_text()
    mine.write_text(
        text.replace("np.minimum(x, 0)).sum", "np.minimum(x, 0)).mean").replace("np.repeat(weight", "np.nope(")
    )
    assert keep.found("4.2") == (None, "in mine.py, but not right any more")
    assert keep.found("6.3")[0] is None
    assert keep.use("4.2", None) is None
    assert keep.use("8.3", None).__module__ == "mine"
    told = own.milestone("7")
    assert told.state == "open"
    assert "3.2 conv_im2col" in told.text
    assert "The package's stood in for 4.2 (in mine.py, but not right any more), 6.3 (" in told.text
    monkeypatch.setenv("MINISRGAN_MINE", "")
    assert "for yours: 3.2 (not in mine.py)" in own.milestone("3").text


@pytest.mark.parametrize("notebook", own.MILESTONES)
def test_milestones_run_on_the_students_code(notebook: str, solved: Path, monkeypatch: pytest.MonkeyPatch):
    """A milestone that would say so without it is a certificate for nothing."""
    monkeypatch.setenv("MINISRGAN_MINE", str(solved))
    told = own.milestone(notebook)
    assert told.state == "right"
    numbers = own.MILESTONES[notebook][1]
    assert all(f"{number} " in told.text for number in numbers)


def test_the_milestone_comes_with_the_last_answer(solved: Path, monkeypatch: pytest.MonkeyPatch):
    """It is told where the student is: below the check."""
    monkeypatch.setenv("MINISRGAN_MINE", str(solved))
    assert own.reached("3.4", "It is in mine.py.").startswith("Milestone: a layer of the engine")
    assert own.reached("3.3", "Kept in mine.py.").startswith("Milestone: a layer of the engine")
    assert own.reached("3.3", "It is in mine.py.") == own.reached("3.1", "Kept.") == own.reached("7.1", "Kept.") == ""


def test_the_network_trains_on_the_students_functions(solved: Path, monkeypatch: pytest.MonkeyPatch):
    """The gradients that train it are those that the student wrote, and they fit the forward pass."""
    monkeypatch.setenv("MINISRGAN_MINE", str(solved))
    rng = np.random.default_rng(7)
    net = own.Upscaler(rng, channels=3)
    assert {f.__module__ for f in net.conv1.apply.keywords["by"]} == {"mine"}
    assert {f.__module__ for f in (net.block, net.shuffle, net.bn1.update, net.prelu.apply.keywords["by"])} == {"mine"}
    x, y = (Tensor(rng.random((2, n, n, 3), np.float32)) for n in (5, 10))
    optimizer, losses = Adam(net.parameters(), 0.01), []
    for _ in range(4):
        net.zero_grad()
        loss = ops.mse(net(x), y)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    assert own.enlarge(net, x.numpy()).shape == (10, 10, 3)


def test_features_are_compared_by_the_students_loss(solved: Path, monkeypatch: pytest.MonkeyPatch):
    """Exercise 8.3 in notebook 10: the same number as the package's, and a gradient for the generator."""
    from minisrgan.losses import VGGContent
    from minisrgan.models import VGG19

    monkeypatch.setenv("MINISRGAN_MINE", str(solved))
    rng, vgg = np.random.default_rng(0), VGG19("1,1", "torchvision")
    x, y = (Tensor(rng.uniform(-1, 1, (1, 6, 6, 3)).astype(np.float32), requires_grad=k == 0) for k in (0, 1))
    content = own.FeatureContent(vgg)
    loss = content(x, y)
    assert loss.item() == pytest.approx(VGGContent(vgg)(x, y).item(), rel=1e-5)
    loss.backward()
    assert x.grad is not None
    assert list(content.wanted) == [y]  # whose features are computed once, for all copies of a stage
    assert deepcopy(content) is content


def test_srgan_trains_on_the_students_losses(solved: Path, mine: Path):
    """Notebook 10: D by exercise 9.2, G by exercise 8.3. A loss made twice as large shows in the log."""
    from minisrgan.models import VGG19, Discriminator, Generator
    from minisrgan.training.config import Config

    config = Config(channels=4, blocks=1, d_channels=2, crop=32, batch=1, srgan_steps=2, srresnet_steps=1)
    rng = np.random.default_rng(0)
    low, high = (Tensor(rng.random((1, n, n, 3), np.float32)) for n in (8, 32))

    def d_loss() -> float:
        networks = Generator(4, channels=4, blocks=1), Discriminator(32, 2)
        content = own.FeatureContent(VGG19("1,1", "torchvision"))
        assert own.keep.found("8.3")[0] is None or content.distance.__module__ == "mine"
        return float(own.Stage(*networks, content, config).step(0, low, high)["d_loss"])

    package = d_loss()  # mine.py does not exist
    mine.write_text(solved.read_text())
    assert d_loss() == pytest.approx(package, rel=1e-5)
    wrong = "ops.softplus(-real_logits).mean() * 2"
    mine.write_text(solved.read_text().replace("ops.softplus(-real_logits).mean()", wrong))
    assert d_loss() == pytest.approx(package, rel=1e-5), "a wrong loss is not used"
    calls = []
    stage = own.Stage(
        Generator(4, channels=4, blocks=1), Discriminator(32, 2), own.FeatureContent(VGG19("1,1")), config
    )
    stage.loss_of_d = lambda real, fake: calls.append(1) or (real.mean() + fake.mean())
    stage.step(0, low, high)
    assert calls == [1]
