"""The page on which a pass can be clicked: its numbers are the library's, in Node and in a real browser."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from minisrgan import Tensor, models, nn, ops
from minisrgan.autograd import Function
from minisrgan.errors import ArgumentError
from minisrgan.explain import inspect, page
from minisrgan.explain.record import Step, record
from minisrgan.weights import load_generator

FOLDER = Path(page.__file__).with_name("page")
CLICKS, BROWSING = (Path(__file__).with_name(name) for name in ("clicks.js", "browser.js"))
NODE = shutil.which("node")
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
needs_node = pytest.mark.skipif(NODE is None, reason="needs node in the path")
needs_browser = pytest.mark.skipif(BROWSER is None, reason="needs chromium or chrome in the path")


class Everything(nn.Module):
    """Every operation that the page explains, with the cases in which an index could be wrong."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.conv1 = nn.Conv2d(3, 4, 3, padding=1, rng=rng)
        self.bn1 = nn.BatchNorm2d(4)
        self.prelu = nn.PReLU(4, slope=0.3)
        self.conv2 = nn.Conv2d(4, 4, 4, padding="same", rng=rng)  # an even kernel: one zero more below
        self.bn2 = nn.BatchNorm2d(4)
        self.widen = nn.Conv2d(4, 8, 3, stride=(2, 1), padding=(1, 2), bias=False, rng=rng)
        self.shuffle = nn.PixelShuffle(2)
        self.one = nn.PReLU(1, slope=-0.2)
        self.pool = nn.MaxPool2d(3, stride=2)
        self.leaky = nn.LeakyReLU(0.2)
        self.relu = nn.ReLU()
        self.scale = nn.Parameter(rng.normal(size=(4, 1)).astype(np.float32))
        self.head = nn.Sequential(nn.Flatten(), nn.Linear(72, 5, rng=rng))
        for path, parameter in self.named_parameters():
            if path.endswith(("bias", "bn1.weight", "bn2.weight")):
                parameter.data += rng.normal(size=parameter.shape).astype(np.float32) / 4
        self.bn2.eval()
        self.bn2.running_mean[:], self.bn2.running_var[:] = rng.normal(size=4), rng.uniform(0.5, 2, 4)

    def forward(self, x: Tensor) -> Tensor:
        y = self.prelu(self.bn1(self.conv1(x)))
        y = y + self.bn2(self.conv2(y))  # a skip
        y = self.one(self.shuffle(self.widen(y)))
        y = self.pool(ops.pad(y, ((0, 0), (1, 0), (0, 2), (0, 0))))
        y = self.leaky(y) - self.relu(y) * 0.5
        y = ops.concatenate([y, y[:, ::-1]], axis=3).transpose(0, 1, 3, 2)  # (2, 4, 4, 9)
        y = y * self.scale / (1.0 + ops.exp(y[..., :1]))  # broadcast: along one axis, along two
        y = ops.sqrt(ops.softplus(y) + abs(-y)) + ops.sigmoid(y) ** 1.5 - ops.tanh(y) * ops.log(1.0 + y * y)
        y = ops.pad(y[:, 1:3, :2], ((0, 0), (0, 0), (1, 1), (0, 0)))
        y = ops.pixel_unshuffle(y, 2).sum(axis=(1, 2)) + y.mean(axis=(1, 2))[:, :1]
        return self.head(ops.broadcast_to(y[:, None], (2, 2, y.shape[1])))


def loss(y: Tensor) -> Tensor:
    return ops.mse(y, Tensor(np.ones(y.shape, np.float32)))


@pytest.fixture(scope="module")
def net() -> Everything:
    return Everything(np.random.default_rng(0))


@pytest.fixture(scope="module")
def x() -> np.ndarray:
    return np.random.default_rng(1).normal(size=(2, 8, 7, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def steps(net: Everything, x: np.ndarray) -> list[Step]:
    return record(net, x, loss=loss)


def record_of(made: page.Inspection) -> dict[str, Any]:
    return json.loads(re.search(r'id="record">(.*?)</script>', made.html, re.DOTALL)[1])  # type: ignore[index]


def asked(made: page.Inspection, clicks: list[dict[str, Any]]) -> list[Any]:
    """Ask the page's own arithmetic."""
    script = "\n".join((FOLDER / name).read_text("utf-8") for name in ("arrays.js", "layers.js", "network.js"))
    script += CLICKS.read_text("utf-8")
    given = json.dumps({"record": record_of(made), "clicks": clicks})
    run = subprocess.run([NODE or "node", "-e", script], input=given, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


def random_clicks(steps: list[Step], count: int) -> tuple[list[dict[str, Any]], list[tuple[float, float]]]:
    """Return clicks on values, gradients and weights, and the number of the library with the size of its array."""
    rng, clicks, numbers = np.random.default_rng(2), [], []
    for k in range(count):
        i = 1 + k % (len(steps) - 1)  # every step comes up
        view = ("value", "gradient")[k // (len(steps) - 1) % 2]
        array = steps[i].value if view == "value" else steps[i].grad
        assert array is not None
        at = int(rng.integers(array.size))
        clicks.append({"step": i, "view": view, "at": at})
        numbers.append((float(array.flat[at]), float(np.abs(array).max())))
    return clicks, numbers


def weight_clicks(net: nn.Module, steps: list[Step], x: np.ndarray) -> tuple[list[Any], list[tuple[float, float]]]:
    """Return a click on an element of every parameter."""
    rng, clicks, numbers = np.random.default_rng(3), [], []
    net.zero_grad()
    loss(net(Tensor(x))).backward()
    grads = {path: parameter.grad.numpy() for path, parameter in net.named_parameters()}  # type: ignore[union-attr]
    for i, step in enumerate(steps):
        for name, path in step.names.items():
            at = int(rng.integers(grads[path].size))
            clicks.append({"step": i, "view": "weight", "name": name, "at": at})
            numbers.append((float(grads[path].flat[at]), float(np.abs(grads[path]).max())))
    assert {path for step in steps for path in step.names.values()} == set(grads)
    return clicks, numbers


def assert_told(told: list[Any], numbers: list[tuple[float, float]], clicks: list[Any]) -> None:
    """Five digits are printed: they are the library's, up to the rounding of its sums in 32 bits."""
    for answer, (number, size), click in zip(told, numbers, clicks, strict=True):
        rounding = 4e-6 * size + 1e-6 * answer["size"]  # of the map, and of the sum of products
        assert float(answer["shown"]) == pytest.approx(number, rel=5.1e-5, abs=rounding), (click, answer)


@needs_node
@pytest.mark.parametrize("small", [1e9, 0], ids=["maps held", "maps computed"])
def test_200_clicks_tell_the_numbers_of_the_library(small, net, x, steps, monkeypatch):
    """An explanation that ends in another number than the layer teaches a wrong formula."""
    monkeypatch.setattr(page, "_SMALL", small)
    made = inspect(net, x, loss)
    missing = [step["value"] is None for step in record_of(made)["networks"][0]["steps"]]
    assert sum(missing) == (0 if small else len(steps) - 1)
    clicks, numbers = random_clicks(steps, 200)
    more, gradients = weight_clicks(net, steps, x)
    assert_told(asked(made, clicks + more), numbers + gradients, clicks + more)


@needs_node
def test_whole_maps_that_the_page_computes(net, x, steps, monkeypatch):
    """What is drawn, and what deeper layers are computed from, is every element and not some."""
    monkeypatch.setattr(page, "_SMALL", 0)
    monkeypatch.setattr(np, "linspace", lambda first, last, count: np.arange(last + 1))  # all elements as probes
    (differences,) = asked(inspect(net, x, loss), [{"ask": "all"}])
    for step, found in zip(steps, differences, strict=True):
        assert found["value"] <= 1e-5 * np.abs(step.value).max(), step.name
        assert found["grad"] <= 1e-5 * np.abs(step.grad).max(), step.name


@needs_node
def test_a_wrong_number_is_seen(net, x, steps, monkeypatch):
    """The tests above would pass too if the page told what it was given instead of what it computes."""
    made = inspect(net, x, loss)
    net.conv1.weight.data[...] *= 1.001
    others = record(net, x)
    net.conv1.weight.data[...] /= 1.001
    clicks, numbers = random_clicks(steps, 2)
    wrong = [(float(others[c["step"]].value.flat[c["at"]]), size) for c, (_, size) in zip(clicks, numbers, strict=True)]
    with pytest.raises(AssertionError):
        assert_told(asked(made, clicks), wrong, clicks)


@needs_node
def test_the_page_knows_what_it_is_left_to_compute():
    """A map that is neither held nor computed would be missing."""
    (kinds,) = asked(inspect(nn.ReLU(), np.ones((1, 2), np.float32)), [{"ask": "kinds"}])
    assert set(kinds) == set(page.COMPUTED)


@needs_node
def test_maps_are_computed_in_small_parts(monkeypatch):
    """While a part is computed no click is answered: a whole map of the paper's generator at once took 60 ms."""
    monkeypatch.setattr(page, "_SMALL", 0)
    layers = nn.Conv2d(3, 8, 3, padding=1), nn.PReLU(8), nn.PixelShuffle(2), nn.LeakyReLU(0.2), nn.MaxPool2d(2)
    x = np.random.default_rng(0).random((1, 64, 64, 3)).astype(np.float32)
    made = inspect(nn.Sequential(*layers, nn.BatchNorm2d(2)), x, lambda y: (y * y).mean())
    (found,) = asked(made, [{"ask": "parts"}])
    assert [name for name, *_ in found[:6]] == ["0", "1", "2", "3", "4", "5"]
    assert all(parts >= size // 8192 for name, size, *counts in found for parts in counts), found


@needs_node
def test_the_receptive_field():
    """What the page frames is what a change reaches, and no wider than the model says."""
    model = models.Generator(2, 4, 2, rng=np.random.default_rng(0)).eval()
    x = np.random.default_rng(0).random((1, 32, 32, 3)).astype(np.float32)
    made, steps = inspect(model, x), record(model, x)
    out, start = len(steps) - 1, [(30, 33), (3, 60)]  # one whose field is inside the image, one at the border
    question = {"ask": "field", "step": out, "direction": -1}
    questions = [question | {"box": [*at, *at], "beyond": beyond} for beyond in (0, 1) for at in start]
    fields = [answer[-1][1] for answer in asked(made, questions)]
    for (row, column), field in zip(start, fields, strict=False):
        grad = record(model, x, loss=lambda y, at=(0, row, column): y[at].sum())[0].grad
        rows, columns = np.nonzero(np.abs(grad).sum(axis=(0, 3)))  # type: ignore[arg-type]
        assert field == [rows.min(), columns.min(), rows.max(), columns.max()]
    assert fields[0] == fields[2] != fields[1] != fields[3]
    reach = max(30 / 2 - fields[0][0], fields[0][2] - 30 / 2)
    assert model.receptive_radius - 1 < reach <= model.receptive_radius
    (down,) = asked(made, [{"ask": "field", "step": 0, "box": [9, 9, 9, 9], "direction": 1}])
    nudged = x.copy()
    nudged[0, 9, 9] += 1
    rows, columns = np.nonzero(np.abs(record(model, nudged)[-1].value - steps[-1].value).sum(axis=(0, 3)))
    assert down[-1] == [out, [rows.min(), columns.min(), rows.max(), columns.max()]]


# In a real browser


def in_browser(made: page.Inspection, script: str, folder: Path) -> Any:
    """Open a page with a script of ours at its end, and return what it writes."""
    (folder / "page.html").write_text(made.html.replace("</body>", f"<script>{script}</script></body>"), "utf-8")
    command = [str(BROWSER), "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder / 'profile'}"]
    command += ["--window-size=1500,1000", "--dump-dom", (folder / "page.html").as_uri()]
    run = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
    found = re.search(r'<pre id="answers">(.*?)</pre>', run.stdout, re.DOTALL)
    assert found, run.stderr[-2000:]
    return json.loads(html.unescape(found[1]))


@needs_browser
@pytest.mark.slow
def test_200_clicks_in_a_browser(net, x, steps, tmp_path: Path):
    """Numbers that are right, and then shown beside another pixel, teach a wrong formula too."""
    clicks, numbers = random_clicks(steps, 200)
    script = f"const CLICKS = {json.dumps(clicks)};{BROWSING.read_text('utf-8')}"
    answers = in_browser(inspect(net, x, loss), script, tmp_path)
    assert answers.get("resources") == 0, answers.get("error")
    for answer, (number, size), click in zip(answers["clicks"], numbers, clicks, strict=True):
        array = steps[click["step"]].value
        position = ", ".join(str(int(i)) for i in np.unravel_index(click["at"], array.shape))
        assert f"[{position}] = " in answer["title"]
        told = [answer["title"], *answer["numbers"][-1:]]
        if click["view"] == "gradient" and not answer["numbers"]:
            continue  # the loss: nothing was done with it
        for text in told:
            assert float(text.split("=")[-1]) == pytest.approx(number, rel=5.1e-5, abs=1e-5 * size), (click, text)
    assert answers["keys"] == [
        ["ArrowRight", 1, "value", 0, 3, 4, 1], ["ArrowDown", 1, "value", 0, 4, 4, 1], ["]", 1, "value", 0, 4, 4, 2],
        ["PageDown", 2, "value", 0, 4, 4, 2], ["g", 2, "gradient", 0, 4, 4, 2], ["PageUp", 1, "gradient", 0, 4, 4, 2],
        ["Escape", 2, "gradient", 0, 4, 4, 2], ["Escape", 1, "value", 0, 4, 4, 2],
    ]  # fmt: skip
    assert answers["mouse"] == [1, "value", 0, 4, 2, 2]
    assert answers["unlabelled"] == []


# What a page holds


def test_nothing_is_fetched(net, x):
    """A page that asks a network for a font does not open on a train, and tells who reads it."""
    text = inspect(net, x, loss).html
    assert "default-src 'none'" in text
    assert re.findall(r"""(?:src|href)\s*=|@import|url\(|fetch\(|XMLHttp|import\(|WebSocket|sendBeacon""", text) == []
    assert re.findall(r"https?://[^\s\"']+", text) == ["http://www.w3.org/2000/svg"]


def test_a_notebook_shows_it_in_a_frame(net, x, tmp_path: Path):
    """A quote in the page that is not escaped ends the frame in the middle."""
    made = inspect(net, x, title="<it> \"said\" 'so' </script>")
    frame = made._repr_html_()
    assert html.unescape(re.search(r'srcdoc="([^"]*)"', frame)[1]) == made.html  # type: ignore[index]
    assert "<title>&lt;it&gt; &quot;said&quot; &#x27;so&#x27; &lt;/script&gt;</title>" in made.html
    made.save(tmp_path / "page.html")
    assert (tmp_path / "page.html").read_text("utf-8") == made.html


def test_arrays_come_back_exactly(net, x):
    """Weights in 16 bits only where that loses nothing; what repeats is stored once."""
    made = record_of(inspect(nn.Sequential(nn.Conv2d(3, 2, 1), nn.ReLU()), x))
    conv = made["networks"][0]["steps"][1]["inputs"]
    kinds = {name: made["arrays"][conv[name]["array"]]["kind"] for name in ("weight", "bias")}
    assert kinds == {"weight": "f4", "bias": "f2"}
    assert len(made["arrays"]) == 5  # input, weight, bias and two results
    twice = nn.Conv2d(3, 3, 1)
    assert len(record_of(inspect(nn.Sequential(twice, twice), x))["arrays"]) == 5


def test_layers_that_it_does_not_know(x):
    """A module of one's own must not end the page, and must not be explained as another of the same name."""

    class Tanh(Function):
        def forward(self, x: np.ndarray) -> np.ndarray:
            return np.sin(x)

        def backward(self, grad_y: Tensor) -> Tensor:
            return grad_y

    class Mine(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return Tanh.apply(x)

    class Hidden(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return Tensor(np.sort(x.numpy(), axis=1))

    made = record_of(inspect(nn.Sequential(Mine(), Hidden(), nn.PReLU(3)), x, lambda y: y.sum()))
    steps = made["networks"][0]["steps"]
    assert [step["op"] for step in steps] == ["input", "Tanh", "Hidden", "prelu", "sum"]
    assert all(step["value"] is not None for step in steps[:3])
    assert steps[2]["inputs"] == {"x0": {"step": 1}}


def test_two_models_in_the_same_places(x):
    """Where two networks part can be seen only if a step of one is a step of the other."""
    pair = [nn.Sequential(nn.Conv2d(3, 2, 3, rng=np.random.default_rng(seed)), nn.ReLU()) for seed in (1, 2)]
    made = record_of(inspect(pair[0], x, other=pair[1], names=("one", "two")))
    assert [network["name"] for network in made["networks"]] == ["one", "two"]
    first, second = (network["steps"][1]["value"] for network in made["networks"])
    assert first != second
    with pytest.raises(ArgumentError, match=r"Sequential, 3 steps and Conv2d .*, 2 steps"):
        inspect(pair[0], x, other=pair[1][0])


def test_a_page_that_is_too_large(net, x):
    """A browser that takes a minute to open a page is a worse answer than an error with the numbers."""
    with pytest.raises(ArgumentError, match=r"at most max_megabytes = 0.01[\s\S]*0.\d MB, for [\d,]+ weights"):
        inspect(net, x, loss, max_megabytes=0.01)


def test_a_large_loss_is_left_out(x, monkeypatch):
    """VGG19 as a loss would make a page of 100 MB; the gradient that it gives is all that the generator gets of it."""
    judge, model = nn.Conv2d(3, 64, 5, rng=np.random.default_rng(0)), nn.Sequential(nn.Conv2d(3, 3, 1), nn.ReLU())
    monkeypatch.setattr(page, "_SMALL", 2e4)
    steps = record_of(inspect(model, x, lambda y: judge(y).mean()))["networks"][0]["steps"]
    assert [step["op"] for step in steps] == ["input", "conv2d", "relu", "loss"]
    assert [step["gradient"] is None for step in steps] == [True, True, False, False]


@needs_node
@pytest.mark.slow
def test_the_generator_of_the_paper():
    """What is small and right on four channels must be both on 1.5 million weights, whose maps the page computes."""
    x = np.random.default_rng(0).random((1, 24, 24, 3)).astype(np.float32)
    model, start = load_generator("srgan"), time.process_time()
    made = inspect(model, x, loss)
    assert time.process_time() - start < 10
    assert len(made.html) < 6e6
    (differences,) = asked(made, [{"ask": "all"}])
    for step, found in zip(record(model, x, loss=loss), differences, strict=True):
        if step.value.size > 1:
            assert found["value"] <= 1e-5 * np.abs(step.value).max(), step.name
            assert found["grad"] <= 1e-5 * np.abs(step.grad).max(), step.name
