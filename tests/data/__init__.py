"""Tests of minisrgan.data."""
