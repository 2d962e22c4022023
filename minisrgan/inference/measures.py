"""Measures of texture: those of `minisrgan.images`, and the distance between VGG features.

Two of them need files that are not part of the package; without these files they are left out.
"""

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from minisrgan.autograd import Tensor, no_grad
from minisrgan.backend import Array, to_device, to_numpy
from minisrgan.images import colour_shift, detail, grid, local_grid, niqe, read_natural, top_octave
from minisrgan.images.niqe import SMALLEST as SMALLEST_NIQE
from minisrgan.images.niqe import Natural
from minisrgan.images.texture import SMALLEST as SMALLEST_GRID
from minisrgan.losses import VGGContent
from minisrgan.weights import load_vgg19
from minisrgan.weights.box import downloaded

LARGEST_VGG = 4_000_000  # pixels; VGG19's first layers need 1 GB per megapixel


def niqe_parameters(path: str | Path | None = None) -> Natural | None:
    """Read NIQE's parameters; by default those that `minisrgan weights fetch niqe` downloaded, or None.

    Errors  WeightsError if a named file is missing, or a file is damaged
    """
    path = path or downloaded("niqe")
    return read_natural(path) if path else None


class Texture:
    """Compare images with their original, by all available measures.

    vgg     a file of VGG19, by default the downloaded one, if any; its features 5,4 are compared
    niqe    a file of NIQE's parameters, by default the downloaded one, if any
    device  the device of VGG19

    With a default file, images too large for VGG or too small for NIQE are not measured by it. With a named file, VGG
    measures images of any size, and NIQE raises an error.

    Errors  WeightsError for a file that is missing or has other content

    >>> noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    >>> found = Texture().measure({"half": noise // 2}, noise)["half"]
    >>> round(found["detail"], 2), round(found["top_octave"], 2), round(found["shift_red"])
    (0.5, 0.25, -64)
    """

    def __init__(self, vgg: Path | None = None, niqe: Path | None = None, device: str = "cpu") -> None:
        path = vgg or downloaded("vgg19")
        self.content = VGGContent(load_vgg19(path, "5,4").to(device)) if path else None
        self.natural = niqe_parameters(niqe)
        self._largest = math.inf if vgg else LARGEST_VGG
        self._smallest = 0 if niqe else SMALLEST_NIQE
        self._device = device

    def measure(self, pictures: Mapping[str, Array], original: Array) -> dict[str, dict[str, float]]:
        """Measure each image, uint8 (H, W, 3) or (H, W); measures that cannot be computed are left out.

        Returns  for each image a dict of fields of `minisrgan.inference.evaluate.Score`
        Errors   ShapeError for an image too small for NIQE, if the file of its parameters was named
        """
        size, found = min(original.shape[:2]), {}
        content = self.content if original.shape[0] * original.shape[1] <= self._largest else None
        target = self._features(original) if content else None
        for name, picture in pictures.items():
            values = {"detail": detail(picture, original), "top_octave": top_octave(picture, original)}
            if size >= SMALLEST_GRID:
                values |= {f"grid_{period}": grid(picture, period) for period in (4, 2)}
                values |= {f"local_grid_{period}": local_grid(picture, period) for period in (4, 2)}
            shifts = np.resize(colour_shift(picture, original), 3).tolist()
            values |= dict(zip(("shift_red", "shift_green", "shift_blue"), shifts, strict=True))
            if content:
                features = self._features(picture)
                # Eq. 5 of the paper, as in VGGContent; the original's features are computed only once.
                values["vgg_54"] = float(np.square(features - target).sum(axis=3).mean()) * content.scale**2
            if self.natural and size >= self._smallest:
                values["niqe"] = niqe(picture, self.natural)
            found[name] = {key: value for key, value in values.items() if not math.isnan(value)}
        return found

    def _features(self, picture: Array) -> Array:
        """Return VGG's features (1, h, w, 512) of a whole image; grey is used as three equal channels."""
        assert self.content
        rgb = picture if picture.ndim == 3 else np.stack([picture] * 3, axis=2)
        batch = rgb[None].astype(np.float32) / np.float32(127.5) - np.float32(1)  # (1, H, W, 3) in [-1, 1]
        with no_grad():
            return to_numpy(self.content.vgg(Tensor(to_device(batch, self._device))).data)
