"""VGG19's convolutions from a file of arrays."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np

from minisrgan.errors import WeightsError
from minisrgan.models import VGG19
from minisrgan.nn import Conv2d

# What to do without the file, wherever it is asked for.
CHOICES = (
    "give a file of VGG19's convolutions (an .npz with block1_conv1.kernel, block1_conv1.bias ...), "
    "or compare pixels instead: content mse"
)


def load_vgg19(path: str | Path, phi: str = "5,4") -> VGG19:
    """Build VGG19 up to phi_{i,j} with Caffe-style weights from an .npz file.

    path    an .npz with arrays ``block5_conv4.kernel`` (3, 3, in, out) and ``block5_conv4.bias`` (out,), and so on
            for every convolution up to phi; its input convention is Caffe's: BGR, 0..255, mean subtracted
    Errors  WeightsError if the file is missing, damaged, or lacks a convolution
    """
    if not Path(path).is_file():
        told = "the weights of VGG19, which the perceptual loss compares features with"
        raise WeightsError("load_vgg19", expected=told, got=f"{path}, which does not exist", fix=CHOICES)
    vgg = VGG19(phi, "caffe")
    names = [name for name, layer in vgg.children().items() if isinstance(layer, Conv2d)]
    try:
        with np.load(path, allow_pickle=False) as file:
            wanted = {f"{name}.{part}" for name in names for part in ("kernel", "bias")}
            arrays = {name: file[name].astype(np.float32) for name in wanted & set(file.files)}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise WeightsError(
            "load_vgg19", expected="an .npz file of arrays", got=f"{path}: {error}", fix="copy the file again"
        ) from error
    vgg.load_state_dict({name.replace(".kernel", ".weight"): array for name, array in arrays.items()})
    return vgg.eval().requires_grad_(False)
