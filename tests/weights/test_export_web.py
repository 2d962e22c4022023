"""The web page that upscales: what stands in its folder, and, in a real browser, the picture that comes out of it."""

from __future__ import annotations

import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import Empty, SimpleQueue

import numpy as np
import pytest
from PIL import Image

from minisrgan.images import read_image
from minisrgan.weights import save_model
from tests.cli.conftest import command
from tests.weights.files import small_generator

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "export.md"
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)

# A page that does what a person does: chooses a file, waits, takes the download.
DRIVER = """<!doctype html><iframe id="frame" src="index.html" style="width: 600px; height: 600px"></iframe><script>
const frame = document.getElementById("frame");
const send = (kind, body) => fetch("/" + kind, { method: "POST", body });
frame.onload = async () => {
  const page = frame.contentDocument, find = id => page.getElementById(id);
  const photo = await (await fetch("NAME")).blob(), files = new DataTransfer();
  files.items.add(new File([photo], "NAME", { type: photo.type }));
  find("file").files = files.files;
  find("file").dispatchEvent(new Event("change"));
  const wait = setInterval(async () => {
    if (!find("error").hidden) { clearInterval(wait); send("error", find("error").textContent); }
    if (find("download").hidden) return;
    clearInterval(wait);
    send(find("download").download, await (await fetch(find("download").href)).blob());
  }, 50);
};
</script>"""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in a folder of our own, which holds a generator whose tiles have a margin of 12 pixels."""
    pytest.importorskip("onnx", reason="onnx is not installed: ONNX files cannot be written")
    monkeypatch.chdir(tmp_path)
    save_model("model.safetensors", small_generator(scale=2), licence="CC0 & more")


def test_the_folder(capsys: pytest.CaptureFixture[str]) -> None:
    """The page asks nothing of other machines, and its tiles overlap by what this generator sees."""
    assert command("export", "model.safetensors", "-o", "site.v1", "--format", "web") == 0
    told = capsys.readouterr().out
    assert "npm pack onnxruntime-web@" in told
    assert "-C site.v1 " in told
    assert {path.name for path in Path("site.v1").iterdir()} == {"index.html", "model.onnx"}
    html = Path("site.v1/index.html").read_text("utf-8")
    assert "SCALE = 2, MARGIN = 12;" in html
    assert "licence CC0 &amp; more" in html
    assert not re.search(r"https?:|//[a-z]+\.|@import|url\(", html)
    assert "default-src 'none'; connect-src 'self'" in html
    Path("site.v1/mine.txt").write_text("mine")
    assert command("export", "model.safetensors", "-o", "site.v1", "--format", "web") == 2
    assert "--overwrite" in capsys.readouterr().err
    assert command("export", "model.safetensors", "-o", "site.v1", "--format", "web", "--overwrite", "--half") == 0
    assert Path("site.v1/mine.txt").read_text() == "mine"
    assert command("export", "model.safetensors", "-o", "model.safetensors", "--format", "web", "--overwrite") == 2


@pytest.mark.parametrize("name", ["index.html", "model.onnx"])
def test_neither_of_the_two_files_is_replaced_in_silence(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The network of another program, in the folder of its own page, was replaced without a word."""
    file = Path("site", name)
    file.parent.mkdir()
    file.write_text("mine")
    assert command("export", "model.safetensors", "-o", "site", "--format", "web") == 2
    assert f"{file}, which is there" in " ".join(capsys.readouterr().err.split())
    assert [path.read_text() for path in file.parent.iterdir()] == ["mine"]


def test_the_document_has_the_commands(capsys: pytest.CaptureFixture[str]) -> None:
    """Of two versions of a command one is old."""
    assert command("export", "model.safetensors", "-o", "site", "--format", "web") == 0
    commands = capsys.readouterr().out.partition("now onnxruntime-web:\n")[2].splitlines()
    assert len(commands) == 3
    for line in commands:
        assert line in DOCUMENT.read_text("utf-8")


class Handler(SimpleHTTPRequestHandler):
    """Files of a folder, and what the driver sends."""

    extensions_map = SimpleHTTPRequestHandler.extensions_map | {".mjs": "text/javascript", ".wasm": "application/wasm"}

    def __init__(self, came: SimpleQueue[tuple[str, bytes]], *args: object) -> None:
        self.came = came
        super().__init__(*args, directory="site")  # type: ignore[arg-type]

    def do_POST(self) -> None:
        """Note what was sent."""
        self.came.put((self.path[1:], self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def served() -> Iterator[tuple[str, SimpleQueue[tuple[str, bytes]]]]:
    """Serve the folder; return its address, and what comes from the driver."""
    came: SimpleQueue[tuple[str, bytes]] = SimpleQueue()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, came))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", came
    server.shutdown()
    thread.join()
    server.server_close()


def browse(address: str, came: SimpleQueue[tuple[str, bytes]], photo: str, seconds: float) -> tuple[str, bytes]:
    """Give the page a photo in a browser without a window; return the name and the bytes of the download."""
    shutil.copy(photo, "site")
    Path("site/driver.html").write_text(DRIVER.replace("NAME", photo))
    assert BROWSER is not None
    options = ("--headless", "--no-sandbox", "--disable-gpu", "--user-data-dir=profile", "--remote-debugging-port=0")
    with Path("browser.log").open("w") as log:
        process = subprocess.Popen([BROWSER, *options, f"{address}/driver.html"], stdout=log, stderr=log)
        try:
            return came.get(timeout=seconds)
        except Empty:
            return "nothing", Path("browser.log").read_bytes()[-2000:]
        finally:
            process.terminate()
            process.wait()


@pytest.mark.skipif(BROWSER is None, reason="needs chromium or chrome in the path")
def test_without_the_runtime_the_page_says_what_to_do(served: tuple[str, SimpleQueue[tuple[str, bytes]]]) -> None:
    """An empty page and a line in the console, which nobody opens, is what an import that fails leaves."""
    assert command("export", "model.safetensors", "-o", "site", "--format", "web") == 0
    Image.fromarray(np.zeros((9, 8, 3), np.uint8)).save("photo.png")
    kind, message = browse(*served, "photo.png", 60)
    assert kind == "error", message
    assert b"npm pack onnxruntime-web@" in message
    assert b"http.server" in message


@pytest.mark.slow
@pytest.mark.skipif(BROWSER is None, reason="needs chromium or chrome in the path")
def test_the_picture_is_that_of_minisrgan_upscale(
    served: tuple[str, SimpleQueue[tuple[str, bytes]]], capsys: pytest.CaptureFixture[str]
) -> None:
    """Tiles at every border, grey and colour, a JPEG that lies on its side: at most 1 level apart."""
    if shutil.which("npm") is None:
        pytest.skip("npm is not installed: onnxruntime-web cannot be had")
    assert command("export", "model.safetensors", "-o", "site", "--format", "web") == 0
    lines = capsys.readouterr().out.partition("now onnxruntime-web:\n")[2].splitlines()
    for line in lines[:2]:  # the commands that were printed
        done = subprocess.run(line.split(), capture_output=True, text=True, check=False)
        if done.returncode and line.startswith("npm"):
            pytest.skip(f"npm does not get onnxruntime-web: {done.stderr[-200:]}")
        assert done.returncode == 0, done.stderr
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (150, 290, 4), np.uint8)
    noise[..., 3] |= 255
    smooth = np.asarray(Image.fromarray(noise[:9, :13, :3]).resize((200, 140), Image.Resampling.BICUBIC))
    Image.fromarray(noise[..., :3]).save("colour.png")
    Image.fromarray(noise[:20, :30, 0]).save("grey.png")
    Image.fromarray(smooth).save("photo.jpg", quality=95)
    Image.fromarray(smooth[..., 1]).save("grey.jpg", quality=95)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(smooth).save("turned.jpg", quality=95, exif=exif)
    for name in ("colour.png", "grey.png", "photo.jpg", "grey.jpg", "turned.jpg"):
        words = ("--model", "model.safetensors", "--out", f"large/{name}", "--format", "png")
        assert command("upscale", name, *words) == 0
        kind, data = browse(*served, name, 300)
        assert kind == f"{Path(name).stem}_x2.png", data
        Path("page.png").write_bytes(data)
        (large,) = Path("large", name).rglob("*.png")
        expected = read_image(large)
        got = read_image("page.png")
        assert got.shape == expected.shape
        assert np.abs(got.astype(int) - expected).max() <= 1, name
