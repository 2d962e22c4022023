"""The conductor's end of the pipe: start a worker, ask it, let it sleep, and see who else uses the machine."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
STOP, GO = getattr(signal, "SIGSTOP", None), getattr(signal, "SIGCONT", None)  # Windows has neither


class WorkerError(RuntimeError):
    """A worker could not do what it was asked."""


@dataclass(frozen=True)
class Side:
    """Who takes part: a name, and the command of its worker."""

    name: str
    command: tuple[str, ...]


class Worker:
    """A process of one side. It is stopped whenever it is not being asked, so that no thread of it spins meanwhile."""

    def __init__(self, side: Side, environment: dict[str, str]) -> None:
        self.complaints = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed with the worker
        # A process group of its own: if the conductor dies, the kernel wakes and ends the stopped group left over.
        try:
            self.process = subprocess.Popen(
                side.command, cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                stderr=self.complaints, text=True, process_group=0 if os.name == "posix" else None,
            )  # fmt: skip
        except OSError:
            self.complaints.close()
            raise
        try:
            self.hello = self.ask({"do": "hello"})
        except WorkerError:
            self.close()
            raise

    def ask(self, question: dict[str, Any]) -> dict[str, Any]:
        """Wake the worker, ask, and stop it again. Raises WorkerError where it fails."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        try:
            self._send(GO)
            self.process.stdin.write(json.dumps(question) + "\n")
            self.process.stdin.flush()
            line = self.process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            status = self.process.wait()
            self.complaints.seek(0)
            raise WorkerError((self.complaints.read().strip() or f"ended with status {status}").splitlines()[-1])
        self._send(STOP)
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise WorkerError(answer["error"])
        return answer

    def close(self) -> None:
        """End the process."""
        self._send(GO)
        self.process.kill()
        self.process.communicate()
        self.complaints.close()

    def _send(self, number: signal.Signals | None) -> None:
        if number is not None and self.process.poll() is None:
            self.process.send_signal(number)


def environment(threads: int, pinned: bool) -> dict[str, str]:
    """Return what every worker is started with: equal threads, and OpenBLAS free to choose unless pinned."""
    names = ("MINISRGAN_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")
    values = dict(os.environ) | dict.fromkeys(names, str(threads)) | {"PYTHONDONTWRITEBYTECODE": "1"}
    for name in () if pinned else ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"):
        values.pop(name, None)
    return values


def busy_seconds() -> float | None:
    """Return the processor time that everybody on this machine has used since it started; None where /proc is not."""
    try:
        user, nice, system, _, _, irq, soft_irq, steal = Path("/proc/stat").read_text().split("\n")[0].split()[1:9]
    except (OSError, ValueError):
        return None
    return sum(map(int, (user, nice, system, irq, soft_irq, steal))) / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Sample:
    """Seconds of each phase; and the share of the machine that others used meanwhile, None where it is not known."""

    seconds: dict[str, float]
    others: float | None


def take_sample(worker: Worker, repeats: int, quiet: float, patience: int) -> Sample:
    """Take a sample, and take it anew where others used more than a share ``quiet`` of the machine.

    After so many attempts as ``patience`` says, the quietest one counts.
    """
    best: Sample | None = None
    for attempt in range(patience):
        before, start = busy_seconds(), time.perf_counter()
        answer = worker.ask({"do": "sample", "repeats": repeats})
        wall, after = time.perf_counter() - start, busy_seconds()
        others = None
        if before is not None and after is not None:
            # The kernel counts in steps of 1/100 s, on each core.
            foreign = max(0.0, after - before - answer["cpu"] - 0.01 * (os.cpu_count() or 1))
            others = foreign / (wall * (os.cpu_count() or 1))
        sample = Sample(answer["seconds"], others)
        if others is None or others <= quiet:
            return sample
        if best is None or others < (best.others or 0.0):
            best = sample
        if attempt + 1 < patience:
            time.sleep(min(4.0, 0.5 * 2**attempt))
    assert best is not None
    return best
