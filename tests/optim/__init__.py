"""Tests of minisrgan.optim."""
