"""Tests of minisrgan.show."""
