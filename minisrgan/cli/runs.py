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
from itertools import pairwise
from pathlib import Path
from typing import Any

from minisrgan.cli.common import require_new, say, to_path
from minisrgan.errors import ConfigError, turned_into
from minisrgan.show.curves import runs_figure
from minisrgan.show.style import require_figure, save_figure
from minisrgan.training.config import read_settings
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
    settings = {name: read_settings(path / f"{args.stage}.toml") for name, path in paths.items()}
    first = next(iter(settings.values()))
    different = [key for key in first if any(other.get(key) != first[key] for other in settings.values())]
    width = max(map(len, logs))
    print(f"{'run':<{width}} {'steps':>9} {'s/step':>7} {'content':>9} {'best PSNR':>10} {'last PSNR':>10}  settings")
    for name, log in logs.items():
        where, fix = f"log {paths[name] / args.stage}.jsonl", "leave this run out, or mend the file"
        kinds = (KeyError, TypeError, ValueError)
        with turned_into(ConfigError, where, expected="records with step and seconds", fix=fix, of=kinds):
            _show(name.ljust(width), log, [f"{key} = {settings[name].get(key)}" for key in different])
    save_figure(runs_figure(logs), args.out)
    say(f"content: mean over the last tenth of the steps. Figure: {args.out}")


def _show(name: str, log: list[dict[str, Any]], different: list[str]) -> None:
    contents = [record["content"] for record in log[-max(1, len(log) // 10) :] if "content" in record]
    content = f"{statistics.fmean(contents):.3g}" if contents else "-"  # the head start of D has none
    psnr = [record["psnr"] for record in log if "psnr" in record]
    best, last = (f"{max(psnr):.2f} dB", f"{psnr[-1]:.2f} dB") if psnr else ("-", "-")
    steps = [(b["seconds"] - a["seconds"], b["step"] - a["step"]) for a, b in pairwise(log)]
    paces = [seconds / taken for seconds, taken in steps if taken > 0]
    pace = statistics.median(paces or [0.0])  # median of all, as the clock starts again with each --resume
    words = ", ".join(different) or "all alike"
    say(f"{name} {log[-1]['step']:>9,} {pace:>7.3f} {content:>9} {best:>10} {last:>10}  {words}")
