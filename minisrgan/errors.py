"""The errors of minisrgan. Every message says what failed, where, what was expected, what was given, and a fix.

A message is four short lines, so that a student finds the wrong number at a glance::

    ShapeError in conv2d, at generator.blocks.3.conv1
      expected  an input with 64 channels on its last axis, since weight (3, 3, 64, 64) takes 64
      got       (16, 24, 24, 3)
      fix       batches are (N, H, W, C). This looks like the photo itself; did a layer before it get skipped?

If an operation fails in a module, each enclosing module puts its own name in front of ``path`` of the error
(see `minisrgan.nn.Module.__call__`). So the message names the layer, although the operation does not know it.
"""

import os
import re
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

# Control characters, and those of Unicode that break lines or change the direction of writing.
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def plain(text: str, keep: str = "") -> str:
    r"""Return a text with escaped control characters, because the name of a file may contain commands to the terminal.

    keep  control characters that are not escaped

    >>> print(plain("a\nb\x1b[2Jc.png"))
    a\nb\x1b[2Jc.png
    """
    return _CONTROLS.sub(lambda found: found[0] if found[0] in keep else repr(found[0])[1:-1], text)


class MinisrganError(Exception):
    """The base class of all errors that minisrgan raises on purpose.

    what      the operation, function, file or option that raises the error
    expected  what it accepts
    got       what it was given, in short; several lines as a list
    fix       what to do about it

    >>> error = ShapeError("relu", expected="a batch", got="()", fix="add an axis")
    >>> error.inside("act"); error.inside("blocks"); error.inside("generator")
    >>> print(error)
    ShapeError in relu, at generator.blocks.act
      expected  a batch
      got       ()
      fix       add an axis
    """

    # By position, because pickle recreates the error of a worker process from these; `path` is stored separately.
    def __init__(self, what: str, expected: str, got: str | Sequence[str], fix: str) -> None:
        super().__init__(what, expected, got, fix)
        self.what, self.expected, self.fix = map(plain, (what, expected, fix))
        self.got = "\n".join(map(plain, [got] if isinstance(got, str) else got))
        self.path = ""

    def inside(self, name: str) -> None:
        """Put the name of an enclosing module in front of the path."""
        self.path = f"{plain(name)}.{self.path}" if self.path else plain(name)

    def __str__(self) -> str:
        """Return the message: the four parts on separate lines."""
        return self.layout()

    def layout(self, width: int = 10_000) -> str:
        """Return the message, with lines that are longer than the width broken between words."""
        at = f", at {self.path}" if self.path else ""
        lines = [f"{type(self).__name__} in {self.what}{at}"]
        for label, text in (("expected", self.expected), ("got", self.got), ("fix", self.fix)):
            wrapped = [part for line in text.split("\n") for part in _wrap(line, width - 12)]
            lines.append(f"  {label:<9} " + ("\n" + " " * 12).join(wrapped))
        return "\n".join(lines)


def _wrap(line: str, width: int) -> list[str]:
    """Break a long line between words, never inside a path."""
    return textwrap.wrap(line, width, break_long_words=False, break_on_hyphens=False) or [""]


class ShapeError(MinisrganError, ValueError):
    """An array has the wrong rank, channel count or size."""


class DTypeError(MinisrganError, TypeError):
    """An array has the wrong kind of numbers, or two arrays have different ones."""


class ArgumentError(MinisrganError, ValueError):
    """An argument that is not an array has a value that makes no sense."""


class DeviceError(MinisrganError, RuntimeError):
    """Arrays are on different devices, or a device is not available."""


class GradientError(MinisrganError, RuntimeError):
    """A gradient cannot be computed, or came out wrong."""


class NonFiniteError(MinisrganError, ArithmeticError):
    """A number is infinite or NaN, and the computation cannot continue."""


class ImageError(MinisrganError, ValueError):
    """A picture cannot be read, written or used."""


class ImageWarning(UserWarning):
    """A picture was read or written, but a part was left out or changed."""


class DataError(MinisrganError, ValueError):
    """A folder of photographs cannot be trained on."""


class WeightsError(MinisrganError, ValueError):
    """Stored weights are missing, damaged or of another model."""


class ConfigError(MinisrganError, ValueError):
    """Settings or options contradict each other, or name what does not exist."""


class CheckpointError(MinisrganError, ValueError):
    """A checkpoint is damaged or of another training, or its folder is in use."""


class RanksError(MinisrganError, RuntimeError):
    """Processes cannot train together, or their states differ."""


class FileError(MinisrganError):
    """A file or folder cannot be opened, read or written, or must not be replaced."""


class OutOfMemoryError(MinisrganError, MemoryError):
    """There is not enough memory."""


def translated(error: OSError | MemoryError, what: str) -> MinisrganError:
    """Convert an error of the file system, or a lack of memory, to one of minisrgan, with the numbers that are known.

    what  the command in which it occurred

    >>> print(translated(FileNotFoundError(2, "No such file or directory", "a.png"), "upscale"))
    FileError in upscale
      expected  a file that can be opened
      got       [Errno 2] No such file or directory: 'a.png'
      fix       check the path, its permissions and the space left
    """
    if isinstance(error, OSError):
        fix = "check the path, its permissions and the space left"
        return FileError(what, expected="a file that can be opened", got=str(error), fix=fix)
    expected = "enough memory"
    with suppress(AttributeError, ValueError, OSError):  # not available on Windows
        sizes = (os.sysconf(f"SC_{name}PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9 for name in ("", "AV"))
        expected += "; this machine has {:.1f} GB, of which {:.1f} GB are free".format(*sizes)
    got = str(error) or "an allocation that failed"  # NumPy's has the requested size
    fix = "a smaller picture, crop or batch takes less; upscale has --memory and --tile; close other programs"
    return OutOfMemoryError(what, expected=expected, got=got, fix=fix)


@contextmanager
def turned_into(
    error: type[MinisrganError], what: str, *, expected: str, fix: str, of: tuple[type[Exception], ...] = (OSError,)
) -> Iterator[None]:
    """Convert exceptions of Python and of other packages in the block to an error of minisrgan that quotes them.

    of  the classes of exceptions that are converted

    >>> with turned_into(ConfigError, "--steps", expected="a whole number", fix="--steps 500", of=(ValueError,)):
    ...     int("many")
    Traceback (most recent call last):
    minisrgan.errors.ConfigError: ConfigError in --steps
      expected  a whole number
      got       invalid literal for int() with base 10: 'many'
      fix       --steps 500
    """
    try:
        yield
    except of as raised:
        kind = "" if type(raised) is ValueError else f"{type(raised).__name__}: "
        raise error(what, expected, f"{kind}{raised}", fix) from raised
