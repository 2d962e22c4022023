"""Data for training and for the course: folders of photographs, random crops, and sample photographs."""

from minisrgan.data.crops import CropSampler
from minisrgan.data.photos import PhotoCache, PhotoFolder, load_photos
from minisrgan.data.samples import sample_photos

__all__ = ["CropSampler", "PhotoCache", "PhotoFolder", "load_photos", "sample_photos"]
