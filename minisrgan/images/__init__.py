"""Images as plain arrays: reading and writing files, MATLAB's bicubic, and measures of quality. No Tensors here.

An image is a uint8 array, ``(H, W, 3)`` in RGB or ``(H, W)`` in grey; a `Photo` also has the file's metadata.
"""

from minisrgan.images.files import describe_skipped, list_images, replacing, write_whole
from minisrgan.images.niqe import niqe, read_natural
from minisrgan.images.photo import Photo, read_image, read_photo, write_image, write_photo
from minisrgan.images.quality import psnr, rgb_to_y, ssim
from minisrgan.images.resize import imresize, nearest
from minisrgan.images.texture import colour_shift, detail, grid, local_grid, top_octave

__all__ = [
    "Photo", "colour_shift", "describe_skipped", "detail", "grid", "imresize", "list_images", "local_grid", "nearest",
    "niqe", "psnr", "read_image", "read_natural", "read_photo", "replacing", "rgb_to_y", "ssim", "top_octave",
    "write_image", "write_photo", "write_whole",
]  # fmt: skip
