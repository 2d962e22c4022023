"""The worker's end of the pipe: a question is a line of JSON on stdin, the answer a line of JSON on stdout.

    {"do": "hello"}                      versions and threads
    {"do": "open", "job": NAME}          prepare a job and run it twice: seconds of the second time, and the magnitudes
                                         of its results
    {"do": "sample", "repeats": N}       run it N times: the median seconds of each phase, and the processor time of all
    {"do": "peak"}                       the largest resident memory this process ever had, in MB
    {"do": "close"}                      forget the job

A worker gives ``prepare``: a job in, a function out that runs it once and returns the seconds of each phase and a
function that tells the results' magnitudes.
"""

from __future__ import annotations

import gc
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

from benchmarks import jobs

Once = Callable[[], tuple[dict[str, float], Callable[[], list[float]]]]
CORE_TYPE = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")


def serve(
    describe: Callable[[], dict[str, Any]], prepare: Callable[[jobs.Job], Once], peak: Callable[[], float] | None = None
) -> None:
    """Answer until stdin ends; ``peak`` tells the peak of a GPU's memory, in MB, in place of the process's."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a library prints must not come between the answers
    table = {job.name: job for job in jobs.every(quick="--quick" in sys.argv)}
    once = None
    for line in sys.stdin:
        question = json.loads(line)
        answer: dict[str, Any] = {}
        try:
            if question["do"] == "hello":
                answer = {"python": platform.python_version(), **describe(), "blas": _blas()}
                answer["environment"] = {name: os.environ.get(name) for name in CORE_TYPE}
            elif question["do"] == "open":
                once = prepare(table[question["job"]])
                _, magnitudes = once()
                answer = {"magnitudes": magnitudes(), "seconds": once()[0]}
                del magnitudes
            elif question["do"] == "sample":
                assert once is not None
                answer = sample(once, question["repeats"])
            elif question["do"] == "peak":
                answer = {"peak_mb": (peak or peak_mb)()}
            else:
                once = None
            gc.collect()
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), file=answers, flush=True)


def sample(once: Once, repeats: int) -> dict[str, Any]:
    """Run a job several times."""
    cpu = time.process_time()
    timings = [once()[0] for _ in range(repeats)]
    seconds = {phase: statistics.median(timing[phase] for timing in timings) for phase in timings[0]}
    return {"seconds": seconds, "cpu": time.process_time() - cpu}


def peak_mb() -> float:
    """Return the largest resident memory; from /proc where there is one, as getrusage remembers the parent's."""
    try:
        with open("/proc/self/status", encoding="ascii") as lines:
            return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))
    except (OSError, StopIteration):
        import resource

        unit = 1 << 20 if sys.platform == "darwin" else 1 << 10
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def _blas() -> list[str]:
    """Describe every library with threads of its own that is loaded."""
    try:
        from threadpoolctl import threadpool_info
    except ImportError:
        return []
    words = ("internal_api", "version", "architecture")
    return [
        " ".join(str(pool[word]) for word in words if pool.get(word)) + f" ({pool['num_threads']} threads)"
        for pool in threadpool_info()
    ]


class Clock:
    """Seconds from one mark to the next; a GPU works on behind Python's back, and is waited for at each."""

    wait: Callable[[], None] = staticmethod(lambda: None)

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.last = time.perf_counter()

    def mark(self, phase: str) -> None:
        """Say what has just ended."""
        self.wait()
        now = time.perf_counter()
        self.seconds[phase], self.last = now - self.last, now
