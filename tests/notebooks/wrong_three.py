"""Forty-seven more wrong answers, of kinds that the first two sets do not have; see wrong_one.py.

At first 32 of them were named, none accepted; then the kinds of mistakes were mended.

Slips of Python (a comma at the end, `^` for a power, `sum` and `max` of a matrix, a list that is multiplied), answers
that remember or draw numbers, outputs of the wrong kind (whole numbers, half precision, text), and other methods.
"""

from __future__ import annotations

import numpy as np

from minisrgan import Tensor, ops
from minisrgan.autograd import Function
from tests.notebooks.wrong import collector

wrong, WRONG = collector()


# Slips of Python


@wrong("0.1", r"comma|text|str|should be numbers")
def _(rows, columns, scale):
    return f"{rows * columns * 3 * (scale**2 - 1):,}"


@wrong("1.3", r"\^|power|\*\*")
def _(y1, y2):
    error = np.mean((y1.astype(int) - y2.astype(int)) ^ 2)
    return 10 * np.log10(255**2 / error)


@wrong("2.3", r"axis|shape|column|sum")
def _(grad_y):
    return grad_y - sum(grad_y) / grad_y.size


@wrong("4.1", r"the sign of x that chooses")
def _(grad_y, x, a):
    return np.maximum(grad_y, a * grad_y)


@wrong("5.1", r"parenthes|weight|mean|bias|stretched|shifted")
def _(x, weight, bias, eps=1e-5):
    return weight * x - x.mean((0, 1, 2)) / np.sqrt(x.var((0, 1, 2)) + eps) + bias


@wrong("5.3", r"running_mean|exchanged|in place|momentum")
def _(running_mean, running_var, x, momentum=0.1):
    running_mean = (1 - momentum) * running_mean + momentum * x.mean((0, 1, 2))
    running_var = (1 - momentum) * running_mean + momentum * x.var((0, 1, 2), ddof=1)
    return running_mean, running_var


@wrong("7.2", r"shape|one result|number|layers|each")
def _(layers):
    return [(size - 1) / 2 for kind, size in layers if kind == "conv"]


@wrong("9.1", r"mixes too much.*`p_real`")
def _(p_real, p_fake):
    return p_real / sum(p_real + p_fake)


@wrong("10.1", r"list|multipl|repeat|float|TypeError")
def _(gradients, limit):
    norm = np.sqrt(sum((g**2).sum() for g in gradients))
    return gradients * min(1, limit / norm)


@wrong("10.1", r"order|exchanged")
def _(gradients, limit):
    norm = np.sqrt(sum((g**2).sum() for g in gradients))
    return [g * min(1, limit / norm) for g in sorted(gradients, key=np.size)]


@wrong("10.2", r"chain|both|last|look at|generated|originals|doubt|steps")
def _(d_real, d_fake, window):
    for step in range(window, len(d_real) + 1):
        if d_real[step - 1] > 0.95 and d_fake[step - 1] < 0.05:
            return step
    return -1


@wrong("12.4", r"whole numbers|rounded|cut|//")
def _(s, f):
    return 1 // (1 - s + s / f)


# Outputs of the wrong kind


@wrong("0.2", r"whole numbers|uint8|rounded|cut|float")
def _(picture, original):
    return np.abs(picture.astype(int) - original).mean(axis=2).astype(np.uint8)


@wrong("3.1", r"holds whole numbers")
def _(x, weight, bias):
    kh, kw, _, outputs = weight.shape
    y = np.zeros((x.shape[0] - kh + 1, x.shape[1] - kw + 1, outputs), dtype=int)
    for h, w, o in np.ndindex(y.shape):
        y[h, w, o] = np.sum(x[h : h + kh, w : w + kw] * weight[..., o]) + bias[o]
    return y


@wrong("3.4", r"0\.001 too large everywhere")
def _(grad_y, weight):
    (h, w, _), (kh, kw, c, _) = grad_y.shape, weight.shape
    grad_x = np.full((h + kh - 1, w + kw - 1, c), 1e-3)
    for i, j in np.ndindex(kh, kw):
        grad_x[i : i + h, j : j + w] += grad_y @ weight[i, j].T
    return grad_x


@wrong("6.2", r"holds whole numbers")
def _(y, r):
    m = np.zeros((r, r), dtype=np.int64)
    for i in range(r):
        for j in range(r):
            m[i, j] = y[i::r, j::r].mean()
    return m


@wrong("8.1", r"uint8|float|whole|text|list|numbers|exchanged|order")
def _(i, height, width):
    return (64, 128, 256, 512, 512)[i - 1], height // 2 ** (i - 1), width // 2 ** (i - 1)


@wrong("8.1", r"round|odd|whole|down|height")
def _(i, height, width):
    return height / 2 ** (i - 1), width / 2 ** (i - 1), (64, 128, 256, 512, 512)[i - 1]


@wrong("12.2", r"sum|four|4 results|added|wanted")
def _(d, w):
    m0, m3 = (d[0] - d[2]) * w[0], (d[1] - d[3]) * w[2]
    m1 = (d[1] + d[2]) * (w[0] + w[1] + w[2]) / 2
    m2 = (d[2] - d[1]) * (w[0] - w[1] + w[2]) / 2
    return m0 + m1 + m2, m1 - m2 - m3


@wrong("11.1", r"one|mean|shape|each")
def _(errors):
    return sorted(10 * np.log10(255**2 / errors))


# Answers that remember, or draw


class Memory:
    """What a cell of a notebook leaves behind: the first shape that came."""

    weight: np.ndarray | None = None
    total = 0.0


@wrong("6.3", r"same|different|notebook|other inputs|its arguments|shape|for r")
def _(weight, r):
    if Memory.weight is None:
        Memory.weight = np.repeat(weight, r * r, axis=-1)
    return Memory.weight


@wrong("11.3", r"call|remember|again|twice|outside|global")
def _(a, b):
    Memory.total += np.abs(np.sort(a) - np.sort(b)).mean()
    return Memory.total


@wrong("5.1", r"random|call|twice|differ")
def _(x, weight, bias, eps=1e-5):
    noise = np.random.default_rng().normal(size=x.shape) * 0.1
    return weight * (x - x.mean((0, 1, 2))) / np.sqrt(x.var((0, 1, 2)) + eps) + bias + noise


# Sizes that are written in


@wrong("3.2", r"window|size|kernel|shape|reshape|3 x 3|fit")
def _(x, weight, bias):
    columns = np.lib.stride_tricks.sliding_window_view(x, (3, 3), axis=(0, 1)).transpose(0, 1, 3, 4, 2)
    h, w = columns.shape[:2]
    return (columns.reshape(h * w, -1) @ weight.reshape(-1, weight.shape[3]) + bias).reshape(h, w, -1)


@wrong("3.3", r"kernel of 2 x 4|for a kernel|kh|shape|fit")
def _(x, grad_y, kh, kw):
    h, w, o = grad_y.shape
    grad_weight = np.zeros((3, 2, x.shape[2], o))
    for i, j in np.ndindex(3, 2):
        grad_weight[i, j] = np.tensordot(x[i : i + h, j : j + w], grad_y, ((0, 1), (0, 1)))
    return grad_weight, grad_y.sum(axis=(0, 1))


@wrong("8.4", r"each channel has its own maximum")
def _(grad_y, x):
    grad = np.zeros_like(x)
    rows, columns, _ = grad_y.shape
    for h in range(rows):
        for w in range(columns):
            window = x[2 * h : 2 * h + 2, 2 * w : 2 * w + 2]
            i, j, _ = np.unravel_index(window.argmax(), window.shape)
            grad[2 * h + i, 2 * w + j] = grad_y[h, w]
    return grad


# Other methods, and half of the right one


@wrong("0.3", "")
def _(a, b, t):
    return (a + np.uint8(np.round(t * (b - a)))).astype(np.uint8)


@wrong("1.1", r"\|x\| <= 1|linear|middle|1 < |from 1 to 2|term|elements")
def _(x):
    return np.maximum(0, 1 - np.abs(x))


@wrong("1.2", "")
def _(k, r):
    place = (k + 0.5) / r - 0.5
    d = np.abs(place - (np.floor(place) - 1) - np.arange(4)) / 2
    w = np.where(d <= 1, 1.5 * d**3 - 2.5 * d**2 + 1, 0)
    return w / w.sum()


@wrong("2.1", r"gradient of a")
def _(grad_y, x):
    return np.tanh(x), grad_y / np.cosh(x)


@wrong("2.2", r"to \(4, 1\)|to \(2, 1, 3\)|axis|to the shape|to \(\)")
def _(g, shape):
    g = g.sum(axis=tuple(range(g.ndim - len(shape))))
    return g.max(axis=tuple(i for i, n in enumerate(shape) if n == 1), keepdims=True)


class Clamped(Function):  # noqa: D101
    def forward(self, x):
        self.save_inputs(0)
        return np.where(x > 0, x, 0.2 * x)

    def backward(self, grad_y):
        return grad_y * Tensor(np.where(grad_y.data > 0, 1.0, 0.2))


class Detached(Function):  # noqa: D101
    def forward(self, x):
        self.save_inputs(0)
        return np.where(x > 0, x, 0.2 * x)

    def backward(self, grad_y):
        (x,) = self.saved
        return np.where(x.data > 0, 1.0, 0.2) * grad_y.data


wrong("4.3", r"value is right.*(grad_y|sign of x|gradient)")(Clamped.apply)
wrong("4.3", r"value is right.*(Tensor|ndarray)")(Detached.apply)


@wrong("4.2", r"grad_x is right.*grad_slope")
def _(grad_y, x, slope):
    below = [x[..., c] < 0 for c in range(len(slope))]
    grad_slope = [np.mean(grad_y[..., c][b] * x[..., c][b]) for c, b in enumerate(below)]
    return grad_y * np.where(x > 0, 1, slope), np.array(grad_slope)


@wrong("5.2", r"grad_weight and grad_bias are right.*grad_x")
def _(grad_y, x, weight, eps=1e-5):
    std = np.sqrt(x.var((0, 1, 2)) + eps)
    x_hat = (x - x.mean((0, 1, 2))) / std
    grad_x = weight / std * grad_y
    grad_x = grad_x - grad_x.mean((0, 1, 2)) - x_hat * (grad_y * x_hat).mean((0, 1, 2))
    return grad_x, (grad_y * x_hat).sum((0, 1, 2)), grad_y.sum((0, 1, 2))


@wrong("6.1", r"order|places|exchanged|i and j|axes|turned|reverse")
def _(x, r):
    n, h, w, k = x.shape
    c = k // r**2
    split = x.reshape(n, h, w, c, r, r).transpose(0, 1, 4, 2, 5, 3)
    return split.reshape(n, w * r, h * r, c).transpose(0, 2, 1, 3)


@wrong("6.4", r"stride|kernel|padding|window|shape")
def _(x, weight, bias, stride, padding):
    x = np.pad(x, ((padding, padding), (padding, padding), (0, 0)))[::stride, ::stride]
    kh, kw, _, o = weight.shape
    y = np.zeros((x.shape[0] - kh + 1, x.shape[1] - kw + 1, o))
    for h, w in np.ndindex(y.shape[:2]):
        y[h, w] = np.tensordot(x[h : h + kh, w : w + kw], weight, 3) + bias
    return y


@wrong("7.1", r"is x \+ bn2\(conv2\(x \+ prelu\(bn1\(conv1\(x\)\)\)\)\) in yours")
def _(x, conv1, bn1, prelu, conv2, bn2):
    y = x + prelu(bn1(conv1(x)))
    return x + bn2(conv2(y))


@wrong("7.3", r"largest value over too many")
def _(y):
    return ((y - y.min()) / (y.max() - y.min()) * 255).round().astype(np.uint8)


@wrong("8.2", r"means|order|B, G, R|reverse|channels")
def _(images, means):
    return ((images + 1) * 127.5)[:, :, ::-1] - means


@wrong("8.3", r"square|magnitude|absolute|channels")
def _(generated, original):
    d = generated - original
    return ((d * d) ** 0.5).mean() * float(d.shape[3])


@wrong("9.2", r"fake_logits|sign|softplus|both|generated|mean")
def _(real_logits, fake_logits):
    return ops.softplus(fake_logits - real_logits).mean()


@wrong("9.3", r"the two are exchanged")
def _(z):
    p = 1 / (1 + np.exp(z))
    return -p, p - 1


@wrong("10.3", r"row 1 is 0.444 weights\[0\] \+ 0.556 weights\[1\]")
def _(weights, decay):
    average, rows = 0 * weights[0], []
    for step, row in enumerate(weights, 1):
        average = decay * average + (1 - decay) * row
        rows.append(average / (1 - decay**step))
    return np.array(rows)


@wrong("11.2", r"root|variance|standard|covariance|product")
def _(x, y, w):
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    mx, my = (w * x).sum(), (w * y).sum()
    sx, sy = np.sqrt((w * (x - mx) ** 2).sum()), np.sqrt((w * (y - my) ** 2).sum())
    return (2 * mx * my + c1) * (2 * sx * sy + c2) / ((mx**2 + my**2 + c1) * (sx**2 + sy**2 + c2))


@wrong("12.1", r"bias")
def _(n, h, w, c, o, k):
    return 2 * n * h * w * c * o * k**2 / (4 * (n * h * w * c + n * h * w * o + c * o * k**2 + o))


@wrong("12.3", r"`g`|transposed|transform|axes|shape|g @ w")
def _(d, w, bt, g, at):
    return at @ ((g @ w.T @ g.T) * (bt @ d @ bt.T)) @ at.T
