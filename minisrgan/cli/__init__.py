"""The command line, one file a command. `python -m minisrgan.cli` is the same as `minisrgan`."""
