"""Tests of minisrgan.images."""
