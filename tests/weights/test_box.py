"""Models in the box, the manifest that guards them, and downloads."""

from __future__ import annotations

import http.server
import json
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from minisrgan.errors import WeightsError
from minisrgan.models import VGG19
from minisrgan.weights import box as box_module
from minisrgan.weights import boxed, download, load_generator, load_state, load_vgg19, save_model
from minisrgan.weights.box import BOX, check_manifest, find, write_manifest
from minisrgan.weights.store import digest
from tests.weights.files import small_generator, tensors, torch_layout, used, write_old


@pytest.fixture
def box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put a small model into a box of our own."""
    folder = tmp_path / "boxed"
    save_model(folder / "srgan.safetensors", small_generator(), half=True, licence="MIT")
    monkeypatch.setattr(box_module, "BOX", folder)
    return folder


def test_a_model_by_its_name(box: Path) -> None:
    """A path into the installed package is nothing that a person can type."""
    assert boxed("srgan") == box / "srgan.safetensors"
    state = load_generator("srgan").state_dict()
    for name, array in small_generator().state_dict().items():
        np.testing.assert_allclose(state[name], array, rtol=1e-3, atol=1e-6, err_msg=name)
        assert state[name].dtype == np.float32


def test_a_name_that_is_none(box: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A typing error must be told from a missing file; and a name must not lead out of the box."""
    for name in ("srresnet", "", "*", "../boxed/srgan"):
        with pytest.raises(WeightsError, match=r"(?s)expected  srgan\n"):
            boxed(name)
    with pytest.raises(WeightsError, match="which does not exist"):
        load_generator("srgan.safetensors")
    (box.parent / "srgan").write_text("a file of this name goes before")
    monkeypatch.chdir(box.parent)
    assert find("srgan") == Path("srgan")


def test_the_manifest_tells_a_changed_model(box: Path) -> None:
    """A bit that flips on the disk gives another, still finite, weight, and pictures with a spot."""
    path = box / "srgan.safetensors"
    assert check_manifest(path) == digest(path)  # no manifest yet
    manifest = json.loads(write_manifest(box).read_text())
    assert manifest["srgan.safetensors"] | {"sha256": digest(path), "licence": "MIT"} == manifest["srgan.safetensors"]
    assert manifest["srgan.safetensors"]["bytes"] == path.stat().st_size
    assert manifest["srgan.safetensors"]["settings"]["blocks"] == 2
    assert check_manifest(path) == digest(path)
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    load_generator(path)
    with pytest.raises(WeightsError, match=r"(?s)expected  SHA-256.*srgan\.safetensors, whose SHA-256 is"):
        check_manifest(path)


def test_what_is_in_the_box_is_whole() -> None:
    """What the package brings along is what was put in, small enough, and described."""
    files = sorted(BOX.glob("*.safetensors"))
    if not files:
        pytest.skip("the box is empty")
    manifest = json.loads((BOX / "manifest.json").read_text())
    assert sorted(manifest) == [file.name for file in files]
    for file in files:
        assert check_manifest(file) == manifest[file.name]["sha256"]
        assert file.stat().st_size < 4_000_000
        assert {"licence", "input", "output"} <= manifest[file.name].keys()
        load_generator(file.stem)


# Downloads, from a server of our own


class Server(http.server.ThreadingHTTPServer):
    """Serves one file, and fails as often as it is told to."""

    def __init__(self, content: bytes) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.content, self.failures, self.requests = content, 0, 0


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers a request; a failure is a file cut short."""

    server: Server

    def do_GET(self) -> None:
        self.server.requests += 1
        failing, self.server.failures = self.server.failures > 0, self.server.failures - 1
        content = self.server.content
        self.send_response(200 if self.path == "/models/vgg19-test.pth" else 404)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content[: len(content) // 2] if failing else content)

    def log_message(self, *args: object) -> None:
        """Keep quiet."""


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """Serve the start of a VGG19 in PyTorch's format, with a dense layer that nobody wants, as vgg19."""
    pooch = pytest.importorskip("pooch", reason="pooch is not installed: nothing can be downloaded")
    arrays = torch_layout(used(VGG19("1,2")).state_dict())
    names = {"block1_conv1": "features.0", "block1_conv2": "features.2"}
    arrays = {f"{names[name[:12]]}{name[12:]}": array for name, array in arrays.items()}
    arrays["classifier.0.weight"] = np.zeros((1000, 100), np.float32)
    path = write_old(tmp_path / "vgg19-test.pth", tensors(arrays), list(arrays.values()))
    server = Server(path.read_bytes())
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    url = f"http://127.0.0.1:{server.server_port}/models/vgg19-test.pth"
    monkeypatch.setattr(download, "SOURCES", {"vgg19": (url, digest(path), "BSD")})
    monkeypatch.setattr(pooch.core.time, "sleep", lambda seconds: None)
    monkeypatch.setenv("MINISRGAN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    path.unlink()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_fetch(server: Server, tmp_path: Path) -> None:
    """Of 548 MB only 80 are of use: the rest must not stay on the disk, nor be downloaded twice."""
    path = download.fetch("vgg19")
    assert path == tmp_path / "cache/vgg19.safetensors"
    assert sorted(file.name for file in path.parent.iterdir()) == ["manifest.json", "vgg19.safetensors"]
    state, about = load_state(path)
    assert sorted(state) == [f"block1_conv{i}.{part}" for i in (1, 2) for part in ("bias", "weight")]
    assert about["licence"] == "BSD"
    assert about["source"].startswith("vgg19-test.pth, SHA-256 ")
    assert load_vgg19(path, "1,2").convention == "torchvision"
    assert check_manifest(path) == digest(path)
    assert download.fetch("vgg19") == path
    assert server.requests == 1


def test_fetch_tries_again(server: Server) -> None:
    """A connection that breaks off in the middle of 548 MB is the usual one."""
    server.failures = 2
    load_vgg19(download.fetch("vgg19"), "1,2")
    assert server.requests == 3


@pytest.mark.parametrize("wrong", ["cut", "other", "missing", "nobody"])
def test_fetch_says_what_to_do(wrong: str, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the internet, or behind a proxy that sends another page, there is still a way, and nothing half done."""
    url, sha256, licence = download.SOURCES["vgg19"]
    if wrong == "cut":
        server.failures = 100
    elif wrong == "other":
        server.content += b" "
    elif wrong == "missing":
        monkeypatch.setattr(download, "SOURCES", {"vgg19": (url.replace("models", "other"), sha256, licence)})
    else:
        monkeypatch.setattr(
            download, "SOURCES", {"vgg19": ("http://127.0.0.1:9/models/vgg19-test.pth", sha256, licence)}
        )
    with pytest.raises(
        WeightsError, match=r"(?s)vgg19-test\.pth with its checksum.*get http.* elsewhere, put it into .*cache"
    ):
        download.fetch("vgg19")
    assert list((tmp_path / "cache").iterdir()) == []
    assert server.requests == (0 if wrong == "nobody" else 3)


def test_fetch_by_hand(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the message recommends has to work, even where pooch is missing."""
    monkeypatch.setitem(sys.modules, "pooch", None)
    with pytest.raises(WeightsError, match=r'(?s)pip install "minisrgan\[weights\]"; or get http'):
        download.fetch("vgg19")
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache/vgg19-test.pth").write_bytes(server.content + b" ")
    with pytest.raises(WeightsError, match="SHA-256"):
        download.fetch("vgg19")
    (tmp_path / "cache/vgg19-test.pth").write_bytes(server.content)
    load_vgg19(download.fetch("vgg19"), "1,2")
    assert server.requests == 0


def test_the_real_one_is_pinned() -> None:
    """PyTorch puts the start of the checksum into the name of the file."""
    url, sha256, _ = download.SOURCES["vgg19"]
    assert url.endswith(f"/vgg19-{sha256[:8]}.pth")
    assert len(sha256) == 64
