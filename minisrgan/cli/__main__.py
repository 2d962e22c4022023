"""Run the command line as a module."""

from minisrgan.cli.main import main

raise SystemExit(main())
