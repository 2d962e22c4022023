"""Weights from the internet, which the package is too small to bring along."""

from __future__ import annotations

import os
from pathlib import Path

from minisrgan.errors import WeightsError
from minisrgan.weights.box import write_manifest
from minisrgan.weights.models import convert

# Where each lies, its SHA-256, and its licence.
SOURCES = {
    "vgg19": (
        "https://download.pytorch.org/models/vgg19-dcbb9e9d.pth",
        "dcbb9e9dad569fff7a846263a77324fc34978fea2bfb039c012d710e1776ae44",
        "torchvision, BSD-3-Clause; trained on ImageNet",
    )
}


def cache_folder() -> Path:
    """Return where downloads are kept: $MINISRGAN_CACHE, or .cache/minisrgan in the home folder."""
    return Path(os.environ.get("MINISRGAN_CACHE") or Path.home() / ".cache" / "minisrgan")


def downloaded(name: str) -> Path | None:
    """Return the file of weights that `fetch` has downloaded, None where it has not."""
    path = cache_folder() / f"{name}.safetensors"
    return path if path.is_file() else None


def fetch(name: str, folder: str | Path | None = None) -> Path:
    """Download weights unless they are there, and keep of them what minisrgan uses: of VGG19 80 of 548 MB.

    name    "vgg19"
    folder  `cache_folder` by default
    Errors  WeightsError without pooch, without the internet, or where the checksum is wrong after three tries

    A proxy is taken from the environment, as in HTTPS_PROXY.
    """
    url, sha256, licence = SOURCES[name]
    folder, file = Path(folder or cache_folder()), url.rpartition("/")[2]
    out = folder / f"{name}.safetensors"
    download = folder / file
    if not out.exists():
        if not download.exists():
            manual = f"get {url} elsewhere, put it into {folder}, and say `minisrgan weights fetch {name}` again"
            try:
                import pooch

                known = {file: f"sha256:{sha256}"}
                shelf = pooch.create(folder, url.removesuffix(file), registry=known, retry_if_failed=2)
                shelf.fetch(file, downloader=pooch.HTTPDownloader(progressbar=True, timeout=30))
            except ImportError as error:
                fix = f'pip install "minisrgan[weights]"; or {manual}'
                raise WeightsError("fetch", expected="pooch, which downloads", got=str(error), fix=fix) from error
            except (OSError, ValueError) as error:  # no connection; another checksum
                raise WeightsError("fetch", expected=f"{url} with its checksum", got=str(error), fix=manual) from error
        convert(download, out, sha256=sha256, licence=licence)
        download.unlink()
        write_manifest(folder)
    return out
