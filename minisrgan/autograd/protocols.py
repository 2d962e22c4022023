"""How Tensors work with Python and NumPy: the values they are made from, `float`, `==`, and NumPy's functions.

The engine does not need this file. It makes natural-looking code work, or raise an error that says what to write.
"""

import contextlib
import operator
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import numpy as np

from minisrgan.autograd.arguments import LARGEST, require_flag
from minisrgan.backend import Array, is_array
from minisrgan.errors import DTypeError, GradientError, ShapeError

# NumPy's name of an operator -> Python's name: for ``array + tensor``, Python calls numpy.add.
_SIGNS = {"add": "add", "subtract": "sub", "multiply": "mul", "divide": "truediv", "matmul": "matmul", "power": "pow"}
# NumPy function -> our operation or method, if it has another name.
_ALIASES = {"dot": "matmul", "square": "multiply", "vstack": "concatenate", "hstack": "concatenate", "var": "variance",
            "ravel": "reshape", "squeeze": "reshape", "expand_dims": "reshape", "swapaxes": "transpose"}  # fmt: skip


def _comparison(sign: str, compare: Callable[[Any, Any], Any]) -> Any:
    """Return an element-wise comparison. Its result is an array of bool, because it has no gradient."""

    def method(x: Any, y: Any) -> Any:
        y = y._array if isinstance(y, Protocols) else y
        if not is_array(y) and not isinstance(y, int | float | np.generic | list):
            return NotImplemented  # Python's answer: == is False, < is a TypeError
        try:
            return compare(x._array, y)
        except ValueError:
            got = f"{x._array.shape} {sign} {np.shape(y)}"
            raise ShapeError(f"x {sign} y", expected="shapes that broadcast", got=got, fix="index one") from None

    return method


class Protocols:
    """The methods through which Python and NumPy read the numbers of a Tensor.

    `float`, `int`, `bool`, `format`, `round`   of a tensor with one element
    ``==``, ``<`` ...                           compare element by element: arrays of bool
    NumPy's operators                           ``array + tensor`` is recorded like ``tensor + tensor``
    NumPy's functions                           compute on the arrays of tensors that need no gradient; where a
                                                gradient would be lost, an error names the operation to use
    """

    __slots__ = ("_requires_grad",)
    _array: Array
    _requires_grad: bool
    _node: Any
    operations: ClassVar[frozenset[str]] = frozenset()  # names of all, filled in by minisrgan.ops

    @property
    def requires_grad(self) -> bool:
        """Whether `backward` computes its gradient."""
        return self._requires_grad

    @requires_grad.setter
    def requires_grad(self, flag: bool) -> None:
        """Set it; ArgumentError unless True or False; GradientError for False where it would cut off a result."""
        if flag is False and self._node is not None:
            got, fix = f"the result of {self._node.name}", "take its numbers without history: y = y.detach()"
            raise GradientError("requires_grad = False", expected="a leaf", got=got, fix=fix)
        fix = "write True or False; give a dtype with the array: Tensor(np.array(x, np.float64))"
        usual = flag is True or flag is False  # every result sets it, so this has to be quick
        self._requires_grad = flag if usual else require_flag("Tensor", "requires_grad", flag, fix)

    def item(self) -> float:
        """Return the single element as a Python float."""
        return self._single("item")

    def _single(self, what: str) -> float:
        if self._array.size != 1:
            fix = "index, or take a mean; of comparisons, take (x > 0).all() or .any()"
            raise ShapeError(what, expected="one element", got=str(self._array.shape), fix=fix)
        return float(self._array.reshape(()))

    def __bool__(self) -> bool:
        """Return whether the single element is not 0."""
        return bool(self._single("bool"))

    def __float__(self) -> float:
        """Return the single element."""
        return self._single("float")

    def __int__(self) -> int:
        """Return the single element as an integer, without its fraction."""
        return int(self._single("int"))

    def __round__(self, digits: int | None = None) -> float:
        """Round the single element."""
        return round(self._single("round"), digits)

    def __format__(self, spec: str) -> str:
        """Format the single element, as in ``f"{loss:.3f}"``; without a format, show the tensor."""
        return format(self._single("format"), spec) if spec else str(self)

    __eq__, __ne__ = _comparison("==", operator.eq), _comparison("!=", operator.ne)
    __lt__, __le__ = _comparison("<", operator.lt), _comparison("<=", operator.le)
    __gt__, __ge__ = _comparison(">", operator.gt), _comparison(">=", operator.ge)
    __hash__ = object.__hash__  # sets and dicts distinguish tensors by identity

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        """Return the numbers to NumPy; the tensor must be on the CPU and need no gradient."""
        if self.requires_grad or not isinstance(self._array, np.ndarray):
            got = "one that needs a gradient, which NumPy would lose" if self.requires_grad else "one on a GPU"
            fix = "take its numbers: x.detach() or x.numpy()"
            raise GradientError("numpy", expected="a tensor on the CPU that needs no gradient", got=got, fix=fix)
        return np.array(self._array, dtype=dtype, copy=copy)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        """Compute ``array + tensor`` and the like by our operations, other element-wise functions by NumPy."""
        sign = _SIGNS.get(ufunc.__name__, "")
        if sign and method == "__call__" and not options:
            own = isinstance(inputs[0], Protocols)
            x, y = inputs if own else inputs[::-1]
            if (found := getattr(x, f"__{'' if own else 'r'}{sign}__", None)) is not None:
                return found(y)
        return self._by_numpy(getattr(ufunc, method), ufunc.__name__, inputs, options)

    def __array_function__(self, function: Any, types: Any, args: Any, options: Any) -> Any:
        """Compute a function of NumPy on the arrays of tensors."""
        return self._by_numpy(function, function.__name__, args, options)

    def _by_numpy(self, function: Any, name: str, args: Any, options: Any) -> Any:
        if any(isinstance(part, Protocols) for part in _flat(options.get("out"))):
            raise GradientError(f"numpy.{name}", expected="arrays as out", got="a Tensor", fix="out=x.numpy()")
        result = function(*_plain(args), **_plain(options))
        lost = any(part.requires_grad for part in _flat((args, options)) if isinstance(part, Protocols))
        if lost and any(getattr(part, "dtype", np.dtype(bool)).kind == "f" for part in _flat(result)):
            ours = _ALIASES.get(name, name)
            fix = f"use ops.{ours}" if ours in self.operations else "take its numbers: x.detach() or x.numpy()"
            got = "one that needs a gradient, which NumPy would lose"
            raise GradientError(f"numpy.{name}", expected="tensors that need no gradient", got=got, fix=fix)
        return result


def _flat(value: Any) -> Iterator[Any]:
    """Yield the values in nested lists, tuples and dicts."""
    if isinstance(value, list | tuple | dict):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _flat(part)
    else:
        yield value


def _plain(value: Any) -> Any:
    """Return a value with arrays instead of tensors, also inside of lists, tuples and dicts."""
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value] if isinstance(value, list) else tuple(map(_plain, value))
    if isinstance(value, dict):
        return {key: _plain(part) for key, part in value.items()}
    return value._array if isinstance(value, Protocols) else value


def floats(array: Array) -> Array:
    """Return a float32 or float64 array; refuse any other dtype."""
    if array.dtype in (np.float32, np.float64):
        return np.asarray(array) if isinstance(array, np.ndarray) else array  # a plain array, not a memmap
    fix = "convert it yourself: array.astype(np.float32)" + (" / 255" if array.dtype == np.uint8 else "")
    if array.dtype.kind == "c":
        fix = "take its real part: array.real"
    elif array.dtype.names:
        fix = f"choose a field: array[{array.dtype.names[0]!r}]"
    raise DTypeError("Tensor", expected="float32 or float64", got=str(array.dtype), fix=fix)


def from_numbers(value: Any) -> Array:
    """Return numbers, also in nested lists, as float32; a NumPy float keeps its dtype. Refuse all else."""
    if any(isinstance(part, Protocols) for part in _flat(value)):
        fix = "join them, with their history: ops.stack([a, b])"
        raise DTypeError("Tensor", expected="an array or numbers", got="tensors in a list", fix=fix)
    try:
        array = np.array(None) if isinstance(value, np.ndarray) else np.asarray(value)  # see is_array
    except ValueError as error:
        fix = "make every inner list equally long"
        raise ShapeError("Tensor", expected="rows of one length", got=str(error), fix=fix) from error
    if array.dtype.kind not in "if":
        raise DTypeError("Tensor", expected="an array or numbers", got=type(value).__name__, fix=how_to_wrap(value))
    # A NumPy scalar keeps its dtype, such as float64; Python numbers have no dtype and become float32.
    if isinstance(value, np.floating):
        return array
    if (np.isfinite(array) & (abs(array) > LARGEST)).any():
        got = f"{abs(array).max():g}"
        raise DTypeError("Tensor", expected="numbers up to 3.4e38, float32", got=got, fix=how_to_wrap(value))
    return array.astype(np.float32)


def how_to_wrap(value: Any) -> str:
    """Return the advice of an error: how to make a Tensor from a value of another type."""
    if isinstance(value, np.matrix | np.ma.MaskedArray):
        matrix = isinstance(value, np.matrix)
        return "make it a plain array: " + ("np.asarray(value)" if matrix else "value.filled(0.0)")
    if isinstance(value, complex | np.complexfloating):
        return "take its real part: value.real"
    with contextlib.suppress(TypeError, ValueError, OverflowError):
        largest = abs(np.array(value, np.float64)).max(initial=0)
        if np.isfinite(largest):  # None would be NaN
            return f"wrap it: Tensor(np.array(value, np.{'float32' if largest <= LARGEST else 'float64'}))"
    return "give numbers: a Tensor, an array of float32, a list"
