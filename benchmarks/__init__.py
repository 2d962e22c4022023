"""How fast minisrgan is beside PyTorch and other libraries on NumPy; README.md says how this is measured."""
