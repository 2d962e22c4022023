"""What a run works with: which photographs, on which device, and how often it saves."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from minisrgan.backend import Array
from minisrgan.data import load_photos
from minisrgan.errors import ConfigError
from minisrgan.training.config import Config

_VALIDATION = 3  # photographs that are looked at, and not trained on where there are enough
Photos = Mapping[str, Array]


@dataclass(frozen=True)
class Options:
    """What a run works with and how; nothing of it is a setting of the training.

    data            folder of photographs; or the photographs, name -> uint8 (H, W, 3), without any to validate on
    validation      folder of others to validate on; without it three of the photographs are kept for that
    cache           GB of decoded photographs to keep in memory
    vgg             weights of VGG19, where the content takes them
    save_every, validate_every
                    steps between two checkpoints, and between two validations
    Errors          ConfigError for numbers out of range
    """

    data: Path | Photos
    validation: Path | None = None
    cache: float = 2.0
    vgg: Path | None = None
    device: str = "cpu"
    save_every: int = 1000
    validate_every: int = 1000

    def __post_init__(self) -> None:
        """Refuse what is no number of steps, or no amount of memory."""
        for name, least, most in (("save_every", 1, 10**9), ("validate_every", 1, 10**9), ("cache", 0, 10**6)):
            if not least <= getattr(self, name) <= most:
                told, got = f"at least {least}, and at most {most:,}", str(getattr(self, name))
                raise ConfigError(f"--{name.replace('_', '-')}", expected=told, got=got, fix="leave it out")

    def photographs(self, config: Config, kept: Sequence[str] = ()) -> tuple[Photos, Photos, list[str]]:
        """Return the photographs to train on, those to validate on, and the names of those that are kept for that.

        kept    the names of those that were kept when the run began
        Errors  as `load_photos`
        """
        if isinstance(self.data, Mapping):
            return self.data, {}, []
        found = load_photos(self.data, config.crop, round(self.cache * 1e9))
        photos, seen = found.photos, ""
        for name, why in found.skipped.items():
            tqdm.write(f"skipped {name}: {why}", file=sys.stderr)
        apart = [name for name in kept if name in photos]
        if not kept and len(photos) >= 4 * _VALIDATION:
            apart = list(photos)[-_VALIDATION:]
        if self.validation:
            others = load_photos(self.validation, 4 * config.scale).photos
            chosen, apart = {name: others[name] for name in list(others)[:_VALIDATION]}, []
        elif apart:
            chosen = {name: photos.take(name) for name in apart}
        else:
            chosen = {name: photos[name] for name in list(photos)[:_VALIDATION]}
            seen = " (trained on as well, being so few)"
        tqdm.write(f"{len(photos)} photographs, {len(found.skipped)} skipped; validation on {', '.join(chosen)}{seen}")
        return photos, chosen, list(kept) or apart
