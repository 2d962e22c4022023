"""Tests of minisrgan.nn."""
