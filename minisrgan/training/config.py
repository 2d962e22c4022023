"""Settings of a training: their valid ranges, three presets, and TOML files."""

from __future__ import annotations

import json
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from minisrgan.errors import ConfigError, turned_into
from minisrgan.images import write_whole
from minisrgan.training.content import CONTENT, FEATURES


@dataclass(frozen=True)
class Config:
    """Settings of both stages; the defaults are the paper's (SRGAN sec. 3.2).

    preset                    the preset that gives all other settings; "" means the paper's
    scale, channels, blocks   sizes of the generator
    tanh, eps                 variants of the generator that some published weights need (`Generator`)
    start                     initialization: "random" (He), or "nearest" (`Generator.start_as_nearest`)
    d_channels                width of the discriminator's first layer; its input size is the training crop
    crop, batch               side of an original crop in pixels; crops per step
    srresnet_steps            steps of stage srresnet
    srresnet_lr               its learning rate
    srresnet_warmup           steps over which the learning rate rises to its value: Adam's first steps have full size,
                              however small the gradient, and would destroy a good initialization; 0 in the paper
    srresnet_decay            the learning rate is divided by 10 after this fraction of the steps; 1 in the paper
    srgan_steps, srgan_lr     steps of stage srgan, and the generator's learning rate there
    d_lr                      the discriminator's learning rate
    srgan_decay               both are divided by 10 after this fraction of the steps; 0.5 in the paper
    adversarial_weight        weight of the adversarial loss, eq. 3
    tv_weight                 weight of the total variation: 2e-8 for SRResNet-VGG22, otherwise 0
    consistency_weight        weight of the difference between the downscaled images (`consistency_loss`), in stage
                              srgan; 0 in the paper
    d_head_start              steps at the start of stage srgan in which only the discriminator learns, at most half of
                              all steps; 0 in the paper
    adversarial_balance       norm of the adversarial gradient at the generator's output, relative to the content
                              gradient's (`AdversarialBalance`); replaces adversarial_weight unless 0, as in the paper
    grid_weight               weight of the penalty on a grid with the period of the scale (`grid_penalty`); 0 in the
                              paper
    real_label                the discriminator's target for originals; 0.9 is label smoothing; 1 in the paper
    relativistic              the discriminator compares each original with the image generated for it, instead of
                              judging each alone (`discriminator_loss`); false in the paper
    ema                       decay of the running average of the generator's weights that is published; 0 publishes the
                              weights of the last step, as the paper does
    seed                      seed of the initialization, the crops and all other random numbers
    content                   what the content loss compares: "mse", "vgg22", "vgg54", or "features:FILE"
    calibrate                 number of batches that determine the scale of VGG's features (`calibrated_scale`); 0 uses
                              the scale of their convention
    bn_batches                number of batches on which batch norm's statistics are recomputed before the generator is
                              published; 0 keeps the running statistics, as the paper does
    Errors                    ConfigError for a setting out of range
    """

    preset: str = ""
    scale: int = 4
    channels: int = 64
    blocks: int = 16
    tanh: bool = False
    eps: float = 1e-5
    start: Literal["random", "nearest"] = "random"
    d_channels: int = 64
    crop: int = 96
    batch: int = 16
    srresnet_steps: int = 1_000_000
    srresnet_lr: float = 1e-4
    srresnet_warmup: int = 0
    srresnet_decay: float = 1.0
    srgan_steps: int = 200_000
    srgan_lr: float = 1e-4
    d_lr: float = 1e-4
    srgan_decay: float = 0.5
    adversarial_weight: float = 1e-3
    tv_weight: float = 0.0
    consistency_weight: float = 0.0
    d_head_start: int = 0
    adversarial_balance: float = 0.0
    grid_weight: float = 0.0
    real_label: float = 1.0
    relativistic: bool = False
    ema: float = 0.0
    seed: int = 0
    content: str = "mse"
    calibrate: int = 0
    bn_batches: int = 0

    def __post_init__(self) -> None:
        """Refuse settings that cannot be trained."""
        for names, (least, most) in _RANGES.items():
            for name in names.split():
                good = least <= getattr(self, name) <= most
                self._require(name, f"at least {least:,} and at most {most:,}", good)
        self._require("scale", "2, 4 or 8", self.scale in (2, 4, 8))
        self._require("start", '"random" or "nearest"', self.start in ("random", "nearest"))
        known = self.content in CONTENT or self.content.startswith(FEATURES)
        self._require("content", f"one of {', '.join(CONTENT)}, or {FEATURES}FILE", known)
        encodable = not any("\ud800" <= sign <= "\udfff" for sign in self.content)
        self._require("content", "a file whose name UTF-8 can hold", encodable)
        fits = self.crop >= 16 and self.crop % self.scale == 0
        self._require("crop", f"at least 16, and a multiple of scale {self.scale}", fits)

    def _require(self, name: str, expected: str, good: bool) -> None:
        if not good:
            value = f"{name} = {getattr(self, name)!r}"
            raise ConfigError("Config", expected=f"{name} {expected}", got=value, fix="change this setting")

    def changed(self, settings: Mapping[str, Any], where: str) -> Config:
        """Return these settings with some of them changed; a named preset changes all of them first.

        Errors  ConfigError for an unknown name or a value of the wrong type

        >>> Config().changed({"batch": 4}, "--set").batch
        4
        """
        preset = settings.get("preset", self.preset)
        base = self if preset == self.preset else PRESETS.get(str(preset), self)
        if base.preset != preset:
            told = f"preset as one of {', '.join(PRESETS)}"
            raise ConfigError(where, expected=told, got=repr(preset), fix="choose one")
        known = asdict(self)
        for name, value in settings.items():
            if name not in known:
                raise ConfigError(where, expected=f"one of {', '.join(known)}", got=name, fix="check the spelling")
            kind = type(known[name])
            allowed = (int, float) if kind is float else kind
            if isinstance(value, bool) is not (kind is bool) or not isinstance(value, allowed):
                expected = f"{name} as {_WORDS[kind]}, like {json.dumps(known[name])}"
                raise ConfigError(where, expected=expected, got=f"{name} = {value!r}", fix="change this setting")
        return replace(base, **settings)

    def go_on(self, asked: Mapping[str, Any], steps: str) -> Config:
        """Return the settings to resume a training with: these settings, except that there may be more steps.

        asked   the requested settings by name
        steps   the name of the setting for the number of steps
        Errors  ConfigError that names every other setting that differs

        >>> Config(batch=4).go_on({"batch": 4, "srgan_steps": 300_000}, "srgan_steps").srgan_steps
        300000
        """
        wanted = self.changed(asked, "--resume")
        differ = [name for name, value in asdict(self).items() if getattr(wanted, name) != value]
        if differ == [steps] and getattr(wanted, steps) > getattr(self, steps):
            return wanted
        if differ:
            told, got = (", ".join(f"{name} = {getattr(of, name)!r}" for name in differ) for of in (self, wanted))
            fix = "a training goes on with its own settings, or for more steps: leave these out, or take another folder"
            raise ConfigError("--resume", expected=told, got=got, fix=fix)
        return self


def write_config(path: Path, config: Config) -> None:
    """Write settings as TOML, one per line, for `read_config`."""
    # JSON's numbers and strings are valid TOML, except for DEL and for surrogate pairs.
    values = {name: json.dumps(value, ensure_ascii=False) for name, value in asdict(config).items()}
    lines = [f"{name} = {text}\n".replace("\x7f", "\\u007f") for name, text in values.items()]
    write_whole(path, "".join(lines))


def read_settings(path: str | Path) -> dict[str, Any]:
    """Return the settings in a TOML file; ConfigError if it cannot be read.

    Settings of an older version that no longer exist are left out if they were off, with a line on stderr.
    """
    told, kinds = "a TOML file with lines such as batch = 8", (OSError, ValueError)
    with turned_into(ConfigError, f"config {path}", expected=told, fix="mend the file", of=kinds):
        settings = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    known = known_settings(settings)
    if gone := settings.keys() - known.keys():
        sys.stderr.write(f"{path}: {', '.join(sorted(gone))}: not a setting any more, and off: ignored\n")
    return known


def known_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings without unknown ones that are off: 0, false or ""."""
    return {name: value for name, value in settings.items() if value or name in Config.__dataclass_fields__}


def read_config(path: str | Path, base: Config) -> Config:
    """Return ``base`` changed by the settings of a TOML file; ConfigError if it cannot be read."""
    return base.changed(read_settings(path), f"config {path}")


_WORDS = {bool: "true or false", int: "a whole number", float: "a finite number", str: "text"}

# The range of each setting. Larger networks and batches do not fit into any memory, and trying them may crash the whole
# machine.
_RANGES: dict[str, tuple[float, float]] = {
    "channels d_channels blocks": (1, 2048),
    "batch": (1, 65_536),
    "srresnet_steps srgan_steps": (1, 10**9),
    "srresnet_lr srgan_lr d_lr eps": (1e-12, 0.999),
    "srresnet_decay srgan_decay real_label": (1e-6, 1),
    "ema": (0, 0.999_999_9),
    "adversarial_weight tv_weight consistency_weight grid_weight adversarial_balance": (0, 1e12),
    "srresnet_warmup d_head_start calibrate bn_batches": (0, 10**9),
    "seed": (0, 2**63),
}

_PRESETS = tomllib.loads(Path(__file__).with_name("presets.toml").read_text(encoding="utf-8"))
PRESETS = {name: Config(preset=name, **settings) for name, settings in _PRESETS.items()}
