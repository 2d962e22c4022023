"""Options of a run: its photographs, its device, and how often it saves."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from minisrgan.backend import Array
from minisrgan.data import load_photos
from minisrgan.errors import ConfigError, plain
from minisrgan.images import describe_skipped
from minisrgan.training.config import Config
from minisrgan.training.parallel import ALONE, Ranks

_VALIDATION = 3  # photographs for validation; if there are enough, they are not trained on
Photos = Mapping[str, Array]


@dataclass(frozen=True)
class Options:
    """Options of a run that are not settings of the training (`Config`).

    data            folder of photographs; or a dict of photographs, name -> uint8 (H, W, 3), without validation
    validation      folder of photographs for validation; without it, three photographs of ``data`` are used
    cache           GB of memory for decoded photographs
    vgg             weights of VGG19, if the content loss needs them
    save_every, validate_every
                    steps between checkpoints, and between validations
    quiet           show no progress
    check_every     steps between comparisons of the ranks' states
    ranks           the processes that train together
    Errors          ConfigError for numbers out of range
    """

    data: Path | Photos
    validation: Path | None = None
    cache: float = 2.0
    vgg: Path | None = None
    device: str = "cpu"
    save_every: int = 1000
    validate_every: int = 1000
    quiet: bool = False
    check_every: int = 1000
    ranks: Ranks = ALONE

    def __post_init__(self) -> None:
        """Refuse invalid numbers of steps or amounts of memory."""
        counts = ((name, 1, 10**9) for name in ("save_every", "validate_every", "check_every"))
        for name, least, most in (*counts, ("cache", 0, 10**6)):
            if not least <= getattr(self, name) <= most:
                told, got = f"at least {least}, and at most {most:,}", str(getattr(self, name))
                raise ConfigError(f"--{name.replace('_', '-')}", expected=told, got=got, fix="leave it out")

    def photographs(self, config: Config, run: Path, kept: Sequence[str] = ()) -> tuple[Photos, Photos, list[str]]:
        """Return photographs for training and for validation, and names of the ``data`` that are used for validation.

        run     the folder of the run: if it lies below ``data``, its pictures are not trained on
        kept    the names used for validation when the run began
        Errors  as for `load_photos`; ConfigError if the run's folder is that of the photographs
        """
        if isinstance(self.data, Mapping):
            return self.data, {}, []
        if run.resolve() == Path(self.data).resolve():
            fix = f"--out {run / 'run'}: there its pictures are not trained on"
            raise ConfigError("train --out", expected="a folder other than that of --data", got=str(run), fix=fix)
        found = load_photos(self.data, config.crop, round(self.cache * 1e9), (run, self.validation or run))
        photos, seen = found.photos, ""
        for line in describe_skipped(found.skipped):
            tqdm.write(line, file=sys.stderr)
        apart = [name for name in kept if name in photos]
        if not kept and len(photos) >= 4 * _VALIDATION:
            apart = list(photos)[-_VALIDATION:]
        if self.validation:
            others = load_photos(self.validation, 4 * config.scale).photos
            chosen, apart = {name: others[name] for name in list(others)[:_VALIDATION]}, []
            if {others.known[name] for name in chosen} & set(photos.known.values()):
                seen = " (trained on as well)"
        elif apart:
            chosen = {name: photos.take(name) for name in apart}
        else:
            chosen = {name: photos[name] for name in list(photos)[:_VALIDATION]}
            seen = " (trained on as well, being so few)"
        names = plain(", ".join(chosen))
        tqdm.write(f"{len(photos)} photographs, {len(found.skipped)} skipped; validation on {names}{seen}")
        return photos, chosen, list(kept) or apart
