"""`minisrgan runs`: compare trainings: one figure, and a table of results and of the settings that differ.

Compare the logs in folders that minisrgan train has written.

RUN          folder of a training
--stage      the stage to compare (default: srresnet)
--out FILE   figure, .png, .pdf or .svg (default: runs.png)
--overwrite  replace FILE if it exists

example: minisrgan runs runs/first runs/second --stage srgan --out runs.png
"""

import argparse
import statistics
import tomllib
from itertools import pairwise
from pathlib import Path

from minisrgan.cli.common import require_new, say, to_path
from minisrgan.errors import ConfigError
from minisrgan.show.curves import runs_figure
from minisrgan.show.style import require_figure, save_figure
from minisrgan.training.log import read_log


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("runs", type=to_path, nargs="+", metavar="RUN")
    parser.add_argument("--stage", choices=("srresnet", "srgan"), default="srresnet")
    parser.add_argument("--out", type=to_path, default=Path("runs.png"))
    parser.add_argument("--overwrite", action="store_true")


def run(args: argparse.Namespace) -> None:
    """Read the logs, print the table, draw the figure."""
    require_figure(args.out)
    require_new(args.out, args.overwrite)
    short = len({path.name for path in args.runs}) == len(args.runs)
    paths = {path.name if short else path.as_posix(): path for path in args.runs}
    logs = {name: read_log(path / f"{args.stage}.jsonl") for name, path in paths.items()}
    if empty := [name for name, log in logs.items() if not log]:
        got = f"nothing in {', '.join(empty)}"
        raise ConfigError("runs", expected="logs with steps", got=got, fix="leave these out, or train first")
    settings = {name: tomllib.loads((path / f"{args.stage}.toml").read_text("utf-8")) for name, path in paths.items()}
    first = next(iter(settings.values()))
    different = [key for key in first if any(other.get(key) != first[key] for other in settings.values())]
    width = max(map(len, logs))
    print(f"{'run':<{width}} {'steps':>9} {'s/step':>7} {'content':>9} {'best PSNR':>10} {'last PSNR':>10}  settings")
    for name, log in logs.items():
        tenth = log[-max(1, len(log) // 10) :]
        content = sum(record["content"] for record in tenth) / len(tenth)
        psnr = [record["psnr"] for record in log if "psnr" in record]
        best, last = (f"{max(psnr):.2f} dB", f"{psnr[-1]:.2f} dB") if psnr else ("-", "-")
        paces = [(b["seconds"] - a["seconds"]) / (b["step"] - a["step"]) for a, b in pairwise(log)]
        pace = statistics.median(paces or [0.0])  # median of all, as the clock starts again with each --resume
        words = ", ".join(f"{key} = {settings[name].get(key)}" for key in different) or "all alike"
        say(f"{name:<{width}} {log[-1]['step']:>9,} {pace:>7.3f} {content:>9.3g} {best:>10} {last:>10}  {words}")
    save_figure(runs_figure(logs), args.out)
    say(f"content: mean over the last tenth of the steps. Figure: {args.out}")
