"""Tests of minisrgan.losses."""
