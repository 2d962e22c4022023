"""Images as plain arrays: files in and out, MATLAB's bicubic, luminance, PSNR and SSIM. No Tensors here.

An image is a uint8 array, ``(H, W, 3)`` in RGB or ``(H, W)`` in grey; a `Photo` holds what a file says beside that.
"""

from minisrgan.images.files import list_images, replacing
from minisrgan.images.photo import Photo, read_image, read_photo, write_image, write_photo
from minisrgan.images.quality import psnr, rgb_to_y, ssim
from minisrgan.images.resize import imresize, nearest

__all__ = [
    "Photo", "imresize", "list_images", "nearest", "psnr", "read_image", "read_photo", "replacing", "rgb_to_y", "ssim",
    "write_image", "write_photo",
]  # fmt: skip
