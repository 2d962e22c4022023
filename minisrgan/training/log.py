"""The log of a training: one line of JSON per step."""

import json
import sys
import time
from collections import deque
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from minisrgan.errors import ConfigError, turned_into
from minisrgan.training.watch import WINDOW, plain_words

_AGAIN = 1000  # steps before a warning is repeated
_SHOWN = ("content", "adversarial", "d_real", "d_fake")  # in the progress line, and the last PSNR


class Log(AbstractContextManager["Log"]):
    """Writes a record of each step to a file, and keeps the last ones in memory.

    A record has step, stage, the numbers of the stage and its validation, seconds (since the log was opened), waited
    (seconds spent on the batch), memory_mb (peak memory of the process), and the names of warnings, if any.

    path    the file; lines are appended one by one, so that none is lost if the training ends; None for no file

    >>> with Log() as log:
    ...     log.add(1, "srresnet", {"content": 0.25}, waited=0.0)
    ...     log.line()
    []
    'content 0.25'
    """

    def __init__(self, path: Path | None = None) -> None:
        self.recent: deque[dict[str, Any]] = deque(maxlen=WINDOW)
        self._warned: dict[str, int] = {}
        self._psnr = ""
        self._file = path.open("a", buffering=1, encoding="utf-8") if path else None
        self._start = time.perf_counter()

    def add(self, step: int, stage: str, numbers: Mapping[str, float], waited: float) -> list[str]:
        """Write a record; return the warnings that it causes, as sentences."""
        record: dict[str, Any] = {"step": step, "stage": stage, **numbers, "waited": round(waited, 4)}
        record |= {"seconds": round(time.perf_counter() - self._start, 3), "memory_mb": round(peak_memory(), 1)}
        self.recent.append(record)
        found = plain_words(self.recent)
        if new := [name for name in found if step - self._warned.get(name, -_AGAIN) >= _AGAIN]:
            record["warnings"] = new
            self._warned |= dict.fromkeys(new, step)
        if "psnr" in numbers:
            self._psnr = f", {numbers['psnr']:.2f} dB"
        if self._file:
            self._file.write(json.dumps(record) + "\n")
        return [found[name] for name in new]

    def line(self) -> str:
        """Return a summary of the last record."""
        last = self.recent[-1]
        return ", ".join(f"{name} {last[name]:.3g}" for name in _SHOWN if name in last) + self._psnr

    def __exit__(self, *error: object) -> None:
        """Close the file."""
        if self._file:
            self._file.close()


def peak_memory() -> float:
    """Return the peak memory of this process in MB, or 0 if the system does not report it.

    >>> peak_memory() >= 0
    True
    """
    try:
        import resource
    except ImportError:  # on Windows, in a web browser
        return 0.0
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e6


def read_log(path: Path, most: int = 2000) -> list[dict[str, Any]]:
    """Return the records of a log for drawing: about ``most`` of them, and all records with a validation.

    Errors  ConfigError if there is no log, or a line is not a record
    """
    told, fix, kinds = "a log, written by minisrgan train", "give the folder of a run", (OSError, ValueError, TypeError)
    with turned_into(ConfigError, f"log {path}", expected=told, fix=fix, of=kinds):
        lines = path.read_text(encoding="utf-8").splitlines()
        apart = max(1, len(lines) // most)
        return [dict(json.loads(line)) for i, line in enumerate(lines) if i % apart == 0 or '"psnr"' in line]
