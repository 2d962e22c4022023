"""Prove, measure and train on a GPU, in minutes: ``python -m tests.gpu.prove --minutes 9 --out DIR``.

Every phase is a process with a limit of its own, and one that fails does not stop the next. What is left of the time
goes to a training of SRGAN. DIR then holds report.json, log.txt, gpu.md (the table for docs/gpu.md), the results of the
benchmarks, the profile as Chrome traces, and the generator with its log. ``--dry`` runs every phase small on the CPU.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from safetensors.numpy import load_file

from benchmarks.jobs import OURS, TORCH

ROOT = Path(__file__).resolve().parents[2]
PYTEST = ["-m", "pytest", "-p", "no:cacheprovider", "--no-header", "--tb=short", "--maxfail=25"]
TINY = ["--preset", "tiny", "--set", "blocks=2", "--crop", "48", "--batch", "2"]
TINIER = ["--set", "channels=8", "--set", "d_channels=4", "--set", "blocks=1", "--set", "bn_batches=1", "--crop", "16"]
BENCH = "^(SRResNet step|SRGAN step VGG 5,4|upscale 480x270)$"


class Proof:
    """Phases, one after the other, with how each ended."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options, self.out = options, options.out.resolve()
        self.device, self.small = ("cpu", ["--small"]) if options.dry else ("cuda", [])
        self.tiny = [*TINY, *(TINIER if options.dry else [])]
        self.ends, self.phases = time.monotonic() + 60 * options.minutes, {}  # type: float, dict[str, Any]
        self.kept = 0.35 * 60 * options.minutes  # seconds that the other phases leave to the training
        self.cpu = os.times().children_user
        self.out.mkdir(parents=True, exist_ok=True)

    def left(self) -> float:
        """Return the seconds that are left."""
        return self.ends - time.monotonic()

    def run(self, name: str, words: Sequence[str], limit: float, proof: str | Path, **environment: str) -> str:
        """Run Python for a limited time; keep how it ended, and what it found or said last.

        limit  in seconds where there are nine minutes in all
        proof  what it says, or the file that it makes, where all goes well: an exit status of 0 alone proves little
        """
        limit, began = max(1.0, min(limit * self.options.minutes / 9, self.left() - self.kept)), time.monotonic()
        print(f"\n== {name}: at most {limit:.0f} of {self.left():.0f} s", flush=True)
        process = self.start(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **environment)
        try:
            said, _ = process.communicate(timeout=limit)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            said = process.communicate()[0] + f"\nstopped after {limit:.0f} s"
        lines = [line[:200] for line in said.splitlines() if line.strip()]
        with (self.out / "log.txt").open("a", encoding="utf-8") as log:
            log.write("\n".join([f"== {name}: {' '.join(words)}", *lines[-200:], ""]))
        found = next((json.loads(line[7:]) for line in said.splitlines() if line.startswith("RESULT ")), None)
        made = proof in said if isinstance(proof, str) else proof.exists()
        self.note(name, process.returncode == 0 and made, time.monotonic() - began, found or lines[-3:])
        print(*lines[-3:], sep="\n", flush=True)
        return said

    def start(self, words: Sequence[str], stdout: int, stderr: int, **environment: str) -> subprocess.Popen[str]:
        """Start Python in a group of processes of its own, in the root of the project."""
        given = {"PYTHONPATH": str(ROOT), "MPLBACKEND": "Agg", "PROVE_OUT": str(self.out)} | environment
        kept = {name: value for name, value in os.environ.items() if name != "CUPY_TF32"}
        return subprocess.Popen([sys.executable, *words], cwd=ROOT, env=kept | given, text=True, stdout=stdout,
                                stderr=stderr, start_new_session=True)  # fmt: skip

    def note(self, name: str, well: bool, seconds: float, found: Any) -> None:
        """Keep how a phase ended, on the disk at once."""
        now = os.times()
        cpu, self.cpu = now.children_user - self.cpu, now.children_user
        self.phases[name] = {"well": well, "seconds": round(seconds, 1), "cpu": round(cpu, 1), "found": found}
        (self.out / "report.json").write_text(json.dumps(self.phases, indent=1), encoding="utf-8")

    # Phases

    def versions(self) -> None:
        """What computes here."""
        self.run("doctor", ["-m", "minisrgan.cli", "doctor"], 60, "All is well.")

    def tests(self) -> None:
        """The questions that only a GPU can answer; without one they are skipped by name."""
        chosen = ["-k", "training or layers or memory"] if self.options.dry else []
        self.run("tests", [*PYTEST, "tests/gpu/test_gpu.py", *chosen], 120, " skipped" if chosen else " passed")

    def questions(self) -> None:
        """A step against float64 on the CPU, TF32's error, and what the parts of a step cost."""
        for name in ("agree", "tf32", "probe", "winograd", "profile", "captured"):
            limit = 90 if name == "agree" else 60
            words = ["-m", "tests.gpu.proofs", name, "--device", self.device, *self.small]
            self.run(name, words, limit, "RESULT ", **({"CUPY_TF32": "1"} if name == "tf32" else {}))

    def resume(self) -> None:
        """A training that is killed and goes on must end with the bits of one that was not."""
        steps, save = (6, 2) if self.options.dry else (40, 10)
        common = ["-m", "minisrgan.cli", "train", "--stage", "srgan", "--data", str(self.photos())]
        common += ["--device", self.device, "--save-every", str(save), "--validate-every", "1000000"]
        begin = [*self.tiny, "--from-scratch", "--steps", str(steps)]
        whole, killed = self.out / "whole", self.out / "killed"
        ends = [folder / f"checkpoints/srgan-{steps:08}.safetensors" for folder in (whole, killed)]
        self.run("a training in peace", [*common, "--out", str(whole), *begin], 90, ends[0])
        words, silent = [*common, "--out", str(killed), *begin], subprocess.DEVNULL
        process = self.start(words, stdout=silent, stderr=silent)
        wait_until = time.monotonic() + 60
        while process.poll() is None and time.monotonic() < wait_until:
            if any(killed.glob("checkpoints/*.json")):
                break
            time.sleep(0.01)
        os.killpg(process.pid, signal.SIGKILL) if process.poll() is None else None
        process.wait()
        self.run("one that was killed", [*common, "--out", str(killed), "--resume"], 90, ends[1])
        arrays = [load_file(path) if path.exists() else {} for path in ends]
        different = [name for name in arrays[0] if not np.array_equal(arrays[0][name], arrays[1].get(name))]
        found = {"arrays": len(arrays[0]), "different": different[:3], "killed": process.returncode == -signal.SIGKILL}
        self.note("resumes to the last bit", bool(arrays[0]) and not different and found["killed"], 0, found)

    def benchmarks(self) -> None:
        """Steps and upscaling beside PyTorch, in float32 and TF32."""
        for kind in ("float32", "tf32"):
            words = ["-m", "benchmarks.run", "--torch-python", self.options.torch_python, "--out", str(self.out / kind)]
            if self.options.dry:
                words += ["--quick", "--samples", "1", "--threads", "1", "--only", "G prelu 64 @24$"]
            else:
                words += ["--gpu", "--samples", "5", "--only", BENCH]
            name, result = f"benchmarks {kind}", self.out / f"{kind}.json"
            result.unlink(missing_ok=True)
            self.run(name, [*words, *(["--tf32"] if kind == "tf32" else [])], 120, result)
            if result.exists():
                self.phases[name]["well"] &= measured(json.loads(result.read_text()), self.options.dry)

    def train(self) -> None:
        """SRGAN for as long as there is time; every signal to stop ends it with a saved generator."""
        self.kept, run, dry = 3.0, self.out / "srgan", self.options.dry
        words = ["-m", "minisrgan.cli", "train", "--stage", "srgan", "--data", str(self.photos())]
        words += ["--device", self.device, "--out", str(run)]
        words += [*self.tiny, "--steps", "3"] if dry else ["--preset", "paper", "--set", "ema=0.999", "--cache", "8"]
        words += ["--init", self.options.init] if self.options.init and not dry else ["--from-scratch"]
        words += ["--content", "vgg54", "--vgg", self.options.vgg] if self.options.vgg else []
        pace = self.run("seconds a step", [*words, "--dry-run"], 60, " s a step")
        seconds = next((float(line.split()[0]) for line in pace.splitlines() if " s a step" in line), 1.0)
        steps = 3 if dry else max(10, int(0.8 * (self.left() - 30) / seconds))
        every = ["--save-every", str(max(1, steps // 4)), "--validate-every", str(max(1, steps // 4))]
        self.run("train", [*words, "--steps", str(steps), *every], 60 * 9, run / "srgan.safetensors")

    def photos(self) -> Path:
        """Return the folder of photographs: the one that was named, or noise in the place of some."""
        if self.options.data:
            return Path(self.options.data)
        folder, rng = self.out / "noise", np.random.default_rng(0)
        folder.mkdir(exist_ok=True)
        for i in range(4):
            if not (path := folder / f"{i}.png").exists():
                small = Image.fromarray(rng.integers(0, 256, (40, 40, 3), np.uint8))
                small.resize((160, 160), Image.Resampling.BICUBIC).save(path)
        return folder

    def table(self) -> str:
        """Return what was found as Markdown."""
        lines = ["| phase | well | seconds | of the CPU | found |", "|---|---|---|---|---|"]
        for name, phase in self.phases.items():
            found = json.dumps(phase["found"]).replace("|", "/")
            well = "yes" if phase["well"] else "**no**"
            lines.append(f"| {name} | {well} | {phase['seconds']} | {phase['cpu']} | {found[:400]} |")
        return "\n".join(lines) + "\n"

    def all(self) -> int:
        """Run every phase; return the exit status, 1 where one has not gone well."""
        for phase in (self.versions, self.tests, self.questions, self.resume, self.benchmarks, self.train):
            try:
                phase()
            except Exception as error:  # a phase that breaks must not cost the others their time
                self.note(phase.__name__, False, 0, f"{type(error).__name__}: {error}")
        (self.out / "gpu.md").write_text(self.table(), encoding="utf-8")
        print(f"\n{self.table()}\n{self.left():.0f} s left; see {self.out}")
        return int(not all(phase["well"] for phase in self.phases.values()))


def measured(result: dict[str, Any], alone: bool) -> bool:
    """Tell whether every job of the benchmarks was done, without errors, by us and PyTorch, or by us alone."""
    wanted = {OURS} if alone else {OURS, TORCH}
    jobs = result["jobs"]
    return bool(jobs) and all(wanted <= {*job["samples"]} - {*job["errors"]} and not job["disagree"] for job in jobs)


def main(argv: Sequence[str] | None = None) -> int:
    """Read the command line, and prove."""
    parser = argparse.ArgumentParser(prog="python -m tests.gpu.prove", description=__doc__)
    parser.add_argument("--minutes", type=float, default=9)
    parser.add_argument("--out", type=Path, required=True, help="folder for what is found")
    parser.add_argument("--dry", action="store_true", help="every phase small, on the CPU")
    parser.add_argument("--data", help="folder with photographs to train on")
    parser.add_argument("--vgg", help="weights of VGG19, for its features in the training")
    parser.add_argument("--init", help="generator to train from, as minisrgan train takes it")
    parser.add_argument("--torch-python", default=sys.executable, help="Python that has torch, for the benchmarks")
    return Proof(parser.parse_args(argv)).all()


if __name__ == "__main__":
    raise SystemExit(main())
