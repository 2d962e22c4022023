"""Parity with PyTorch: the same numbers from the same inputs, with PyTorch or from what it left in tests/fixtures."""
