"""The page with the slider: what it holds, and, in a real browser, that it moves."""

from __future__ import annotations

import base64
import io
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from minisrgan.images import read_image
from minisrgan.inference.evaluate import Score
from minisrgan.show.comparison import make_strip
from minisrgan.show.slider import slider_page

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
needs_browser = pytest.mark.skipif(BROWSER is None, reason="needs chromium or chrome in the path")
TITLE = "a<b>&\"c'</script>$x.png"


class Page(HTMLParser):
    """All tags of a page with their attributes, and the text inside each kind of tag."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.text: dict[str, list[str]] = {}
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))

    def handle_data(self, data: str) -> None:
        if self.tags:
            self.text.setdefault(self.tags[-1][0], []).append(data)

    def all(self, tag: str) -> list[dict[str, str]]:
        """Return the attributes of every tag of one kind."""
        return [attributes for name, attributes in self.tags if name == tag]


def pictures() -> dict[str, np.ndarray]:
    """Three pictures that are told apart by colour, with a name that has to be escaped."""
    colours = {"red": (255, 0, 0), 'run/"<i>green': (0, 255, 0), "blue": (0, 0, 255)}
    return {name: np.full((48, 64, 3), colour, np.uint8) for name, colour in colours.items()}


def page() -> str:
    """Return a page of these pictures."""
    strip = make_strip(TITLE, pictures(), {"red": Score(12.345, 0.6789)}, (8, 4, 16, 20))
    return slider_page(pictures(), strip, "red", "blue")


def test_the_page_stands_alone() -> None:
    """A picture, font or script from elsewhere is missing on a train, and tells others who looks."""
    html = page()
    parsed = Page(html)
    assert not re.search(r"https?:|//[a-z]|@import|url\(", html)
    assert not parsed.all("link")
    assert all("src" not in script for script in parsed.all("script"))
    addresses = [image["src"] for image in parsed.all("img")]
    shapes = []
    for address in addresses:
        assert address.startswith("data:image/png;base64,")
        data = base64.b64decode(address.partition(",")[2], validate=True)
        shapes.append(np.asarray(Image.open(io.BytesIO(data))).shape)
    assert shapes == [(48, 64, 3)] * 3 + [(16, 20, 3)] * 3
    (policy,) = [
        meta["content"] for meta in parsed.all("meta") if "content" in meta and "default-src" in meta["content"]
    ]
    assert "default-src 'none'" in policy


def test_names_are_escaped() -> None:
    """A file name with a bracket would break the page, or run as a script."""
    parsed = Page(page())
    assert "".join(parsed.text["title"]).strip() == TITLE
    assert not parsed.all("i")
    assert len(parsed.all("script")) == 1
    green = 'run/"<i>green'
    assert [image["alt"] for image in parsed.all("img")][1] == f"{TITLE}, {green}"
    assert [image.get("data-name") for image in parsed.all("img")][1] == green


def test_the_page_is_usable_without_a_mouse_or_eyes() -> None:
    """Pictures without words, or controls without a name, are not there for a screen reader."""
    html = page()
    parsed = Page(html)
    assert parsed.all("html") == [{"lang": "en"}]
    assert all(image["alt"] for image in parsed.all("img"))
    (slider,) = parsed.all("input")
    assert slider["type"] == "range"
    assert slider["aria-label"]
    assert [select["id"] for select in parsed.all("select")] == ["left", "size", "right"]
    assert re.findall(r"<label[^>]*>(\w+) <select", html) == ["Left", "Size", "Right"]
    assert any("width=device-width" in meta.get("content", "") for meta in parsed.all("meta"))
    assert "red, 12.35 dB / 0.6789" in "".join(parsed.text["figcaption"])


def browse(tmp_path: Path, fragment: str, *options: str) -> str:
    """Open the page in a browser without a window; return what it prints."""
    assert BROWSER is not None
    file = tmp_path / "page.html"
    file.write_text(page(), "utf-8")
    command = [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--window-size=600,700",
               f"--user-data-dir={tmp_path / 'profile'}", *options, file.as_uri() + fragment]  # fmt: skip
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout


@needs_browser
@pytest.mark.parametrize(
    ("fragment", "share"), [("", 0.5), ("#split=25", 0.25), ("#left=red&right=blue&split=80", 0.8)]
)
def test_moving_the_split_changes_the_picture(tmp_path: Path, fragment: str, share: float) -> None:
    """A slip in the script, and the page shows one picture whatever the slider does."""
    browse(tmp_path, fragment, f"--screenshot={tmp_path / 'screen.png'}")
    row = read_image(tmp_path / "screen.png")[300].astype(int)
    red, blue = ((np.abs(row - colour).sum(axis=1) < 30) for colour in ((255, 0, 0), (0, 0, 255)))
    assert red.sum() + blue.sum() > 500
    assert red.sum() / (red.sum() + blue.sum()) == pytest.approx(share, abs=0.01)
    assert np.flatnonzero(red).max() < np.flatnonzero(blue).min()  # the left picture is on the left


@needs_browser
def test_sides_of_the_address(tmp_path: Path) -> None:
    """The pictures not chosen must be hidden; a broken value must leave the rest as it is."""
    html = browse(tmp_path, "#left=blue&right=run/%22%3Ci%3Egreen&split=25", "--dump-dom")
    parsed = Page(html)
    assert "".join(parsed.text["option"]).count('run/"<i>green') == 2
    images = parsed.all("img")[:3]
    assert ["hidden" in image for image in images] == [True, False, False]
    assert "clip-path" not in images[1]["style"]
    assert "inset(0px 75% 0px 0px)" in images[2]["style"]
    html = browse(tmp_path, "#left=yellow&right=red&split=", "--dump-dom")
    assert ["hidden" in image for image in Page(html).all("img")[:3]] == [False, True, True]
    assert "clip-path: inset" not in html  # the same picture on both sides is shown whole
