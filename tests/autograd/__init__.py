"""Tests of the engine: autograd/."""
