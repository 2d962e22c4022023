"""Tests of minisrgan.reference."""
