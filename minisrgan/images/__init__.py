"""Images as plain arrays: files in and out, MATLAB's bicubic, luminance, PSNR and SSIM. No Tensors here.

An image is a uint8 array, ``(H, W, 3)`` in RGB or ``(H, W)`` in grey.
"""

from minisrgan.images.files import list_images, read_image, replacing, write_image
from minisrgan.images.quality import psnr, rgb_to_y, ssim
from minisrgan.images.resize import imresize, nearest

__all__ = ["imresize", "list_images", "nearest", "psnr", "read_image", "replacing", "rgb_to_y", "ssim", "write_image"]
