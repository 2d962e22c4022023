"""Run the benchmarks: ``make bench``, or ``python -m benchmarks.run`` from the root of the project; see README.md."""

from __future__ import annotations

import argparse
import datetime
import os
import platform
import re
import sys
from pathlib import Path
from typing import Any

from benchmarks import jobs, report
from benchmarks.process import ROOT, Side, Worker, WorkerError, environment, take_sample

RESULTS = ROOT / "benchmarks" / "results"
SETTINGS = ("threads", "samples", "only", "quick", "gpu", "tf32", "pinned", "quiet")
SHORTEST = 0.15  # seconds that a sample of a quick job is made to last, by repeating the job


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.run", description=__doc__)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    parser.add_argument("--threads", type=int, default=cores, help=f"of every side (default: all cores, {cores})")
    parser.add_argument("--samples", type=int, help="of each side and job (default 9; 2 if quick)")
    parser.add_argument("--only", default="", metavar="PATTERN", help="jobs whose name this regular expression finds")
    parser.add_argument("--quick", action="store_true", help="small batches and few samples: to see that it runs")
    parser.add_argument("--gpu", action="store_true", help="everything on the first GPU, without the peers")
    parser.add_argument("--tf32", action="store_true", help="with --gpu: let every side round factors to TF32")
    parser.add_argument("--pinned", action="store_true", help="keep OPENBLAS_CORETYPE and OPENBLAS_L2_SIZE as they are")
    parser.add_argument("--quiet", type=float, default=0.05, help="share of the machine that others may use during a "
                        "sample before it is repeated (default 0.05)")  # fmt: skip
    parser.add_argument("--torch-python", default=str(_python(".venv-bench")), help="Python that has torch")
    parser.add_argument("--peers-python", default=str(_python(".venv-bench-peers")), help="Python that has the peers")
    parser.add_argument("--out", type=Path, help="result without suffix (default: benchmarks/results/free, pinned, "
                        "quick or part)")  # fmt: skip
    args = parser.parse_args(argv)
    args.samples = args.samples or (2 if args.quick else 9)
    kind = "quick" if args.quick else "part" if args.only else "pinned" if args.pinned else "free"
    if args.gpu:
        kind = ("gpu-tf32" if args.tf32 else "gpu-float32") + ("" if kind == "free" else f"-{kind}")
    args.out = args.out or RESULTS / kind
    return args


def _python(venv: str) -> Path:
    return ROOT / venv / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def sides(args: argparse.Namespace) -> list[Side]:
    """List who may take part."""
    common = tuple(f"--{name}" for name in ("quick", "gpu", "tf32") if getattr(args, name))

    def side(name: str, python: str, module: str, *options: str) -> Side:
        return Side(name, (python, "-m", f"benchmarks.{module}", *options, *common))

    torch = ((jobs.TORCH, "contiguous"), (jobs.TORCH_LAST, "channels-last"))
    return [
        side(jobs.OURS, sys.executable, "worker_minisrgan"),
        *(side(name, args.torch_python, "worker_torch", "--layout", layout) for name, layout in torch),
        *(side(name, args.peers_python, "worker_peers", "--library", name) for name in jobs.PEERS if not args.gpu),
    ]


def machine() -> dict[str, Any]:
    """Describe the machine."""
    facts: dict[str, Any] = {"system": platform.platform(), "cores": os.cpu_count(), "cpu": platform.processor()}
    if Path("/proc/cpuinfo").exists():
        names = re.findall(r"^model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
        facts["cpu"] = names[0] if names else facts["cpu"]
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        facts["memory_gb"] = round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30, 1)
    return facts


def start(everyone: list[Side], values: dict[str, str]) -> tuple[dict[str, Worker], dict[str, str]]:
    """Start a worker for each side that can; say of the others why not."""
    workers: dict[str, Worker] = {}
    missing: dict[str, str] = {}
    for side in everyone:
        try:
            workers[side.name] = Worker(side, values)
        except FileNotFoundError:
            missing[side.name] = f"{Path(side.command[0]).parent.parent.name} is not there; make bench makes it"
        except WorkerError as error:
            missing[side.name] = str(error)
    return workers, missing


def measure(job: jobs.Job, workers: dict[str, Worker], args: argparse.Namespace) -> dict[str, Any]:
    """Take the samples of one job, one side after the other in each round."""
    record: dict[str, Any] = {"name": job.name, "group": job.group, "phases": job.phases}
    for part in ("samples", "others", "magnitudes", "errors", "peak_mb"):
        record[part] = {}
    repeats: dict[str, int] = {}
    for name in (name for name in job.sides if name in workers):
        try:
            answer = workers[name].ask({"do": "open", "job": job.name})
        except WorkerError as error:
            record["errors"][name] = str(error)
            continue
        once = sum(answer["seconds"].values())
        repeats[name] = 1 if args.quick else max(1, min(100, round(SHORTEST / max(once, 1e-6))))
        record["magnitudes"][name] = answer["magnitudes"]
        record["samples"][name] = {phase: [] for phase in job.phases}
        record["others"][name] = []
    for _ in range(args.samples):
        for name, count in list(repeats.items()):
            try:
                sample = take_sample(workers[name], count, args.quiet, patience=1 if args.quick else 6)
            except WorkerError as error:  # killed for want of memory, for instance
                record["errors"][name] = str(error)
                del repeats[name], record["samples"][name], record["others"][name]
                continue
            for phase in job.phases:
                record["samples"][name][phase].append(sample.seconds[phase])
            record["others"][name].append(sample.others)
    for name in repeats:
        workers[name].ask({"do": "close"})
    record["disagree"] = report.disagree(record["magnitudes"])
    return record


def peak_memory(job: jobs.Job, side: Side, values: dict[str, str]) -> dict[str, float]:
    """Run a job in a fresh process; return the peak before it, with the library loaded, and after it, in MB."""
    worker = Worker(side, values)
    try:
        before = worker.ask({"do": "peak"})["peak_mb"]
        worker.ask({"do": "open", "job": job.name})
        return {"loaded": before, "peak": worker.ask({"do": "peak"})["peak_mb"]}
    finally:
        worker.close()


def main(argv: list[str] | None = None) -> int:
    """Run, print, save."""
    args = parse(argv)
    values, everyone = environment(args.threads, args.pinned), sides(args)
    chosen = [job for job in jobs.every(args.quick) if re.search(args.only, job.name)]
    if not chosen:
        print("no such job; there are:", *(job.name for job in jobs.every()), sep="\n  ", file=sys.stderr)
        return 2
    workers, missing = start([side for side in everyone if any(side.name in job.sides for job in chosen)], values)
    result: dict[str, Any] = {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "settings": {name: getattr(args, name) for name in SETTINGS},
        "machine": machine(),
        "sides": {name: worker.hello for name, worker in workers.items()},
        "missing": missing,
        "jobs": [],
    }
    if args.gpu and jobs.OURS in workers:
        result["machine"]["gpu"] = workers[jobs.OURS].hello["device"]
    print(report.heading(result), flush=True)
    try:
        if jobs.OURS not in workers:
            return 1
        for job in chosen:
            record = measure(job, workers, args)
            for side in everyone if job.memory else ():
                if side.name in record["samples"]:
                    record["peak_mb"][side.name] = peak_memory(job, side, values)
            result["jobs"].append(record)
            print(report.line(record), flush=True)
    finally:
        for worker in workers.values():
            worker.close()
    report.save(result, args.out)
    print("\n" + report.tables(result))
    print(f"\nwritten: {args.out}.json and {args.out}.png")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
