"""Data for training and for the course."""

from minisrgan.data.samples import sample_photos

__all__ = ["sample_photos"]
