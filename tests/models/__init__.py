"""Tests of minisrgan.models."""
