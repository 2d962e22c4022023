"""Data for training and for the course: photographs, random crops of them, and a few that come with a package."""

from minisrgan.data.photos import CropSampler, PhotoCache, PhotoFolder, load_photos
from minisrgan.data.samples import sample_photos

__all__ = ["CropSampler", "PhotoCache", "PhotoFolder", "load_photos", "sample_photos"]
