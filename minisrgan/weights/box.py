"""Models in the box: they come with the package, and are called by their names."""

from __future__ import annotations

import json
from pathlib import Path

from minisrgan.errors import WeightsError
from minisrgan.images import replacing
from minisrgan.weights.store import digest, load_state

BOX = Path(__file__).parent / "boxed"


def boxed(name: str) -> Path:
    """Return the file of a model in the box; WeightsError that lists them if there is none of this name."""
    path = BOX / f"{name}.safetensors"
    if path not in BOX.glob("*.safetensors"):
        told = " or ".join(sorted(file.stem for file in BOX.glob("*.safetensors"))) or "none: the box is empty"
        fix = "check the spelling, or give the path of a file"
        raise WeightsError("models in the box", expected=told, got=name, fix=fix)
    return path


def find(path: str | Path) -> Path:
    """Return the path of a file, or where a mere word names none the model in the box that is called so."""
    path = Path(path)
    word = path.name == str(path) and not path.suffix and not path.exists()
    return boxed(path.name) if word else path


def write_manifest(folder: str | Path = BOX) -> Path:
    """Write manifest.json for the models of a folder: of each its checksum, size, and what it says of itself."""
    models = {
        path.name: {"sha256": digest(path), "bytes": path.stat().st_size, **load_state(path)[1]}
        for path in sorted(Path(folder).glob("*.safetensors"))
    }
    manifest = Path(folder, "manifest.json")
    with replacing(manifest) as temporary:
        temporary.write_text(json.dumps(models, indent=1) + "\n", encoding="utf-8")
    return manifest


def check_manifest(path: str | Path) -> str:
    """Return a file's SHA-256; WeightsError if the manifest of its folder says another."""
    path = Path(path)
    manifest, found = path.with_name("manifest.json"), digest(path)
    known = json.loads(manifest.read_text(encoding="utf-8")).get(path.name) if manifest.is_file() else None
    if known and known["sha256"] != found:
        told = f"SHA-256 {known['sha256']}, as {manifest} has it"
        raise WeightsError("verify", expected=told, got=f"{path}, whose SHA-256 is {found}", fix="get it again")
    return found
