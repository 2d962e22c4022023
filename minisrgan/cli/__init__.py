"""The command line, one file per command. `python -m minisrgan.cli` is the same as `minisrgan`."""
