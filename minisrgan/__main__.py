"""Run the command line: `python -m minisrgan`."""

from minisrgan.cli.main import main

raise SystemExit(main())
