"""Seventy-four more wrong answers, written after the checks were mended by the first set; see wrong_one.py.

At first 64 of them were named, none accepted, and no factor was claimed that was not there.
"""

from __future__ import annotations

import numpy as np

from minisrgan import Tensor, ops
from minisrgan.autograd import Function
from tests.notebooks.wrong import collector

wrong, WRONG = collector()


@wrong("0.1", r"scale|rows and columns|sum with other terms|small photo")
def _(rows, columns, scale):
    return rows * columns * 3 * scale - rows * columns * 3


@wrong("0.1", r"takes (rows|\d)|arguments|keep those of the stub")
def _(rows, columns):
    return rows * columns * 3 * 15


@wrong("0.2", r"last axis|one number|sum or mean")
def _(picture, original):
    return np.abs(picture.astype(np.float32) - original.astype(np.float32))


@wrong("0.2", r"wrap|float")
def _(picture, original):
    return np.abs(picture - original).mean(-1)


@wrong("0.3", r"uint8|wrap|round|whole")
def _(a, b, t):
    return ((1 - t) * a).astype(np.uint8) + (t * b).astype(np.uint8)


@wrong("0.3", r"exchanged|share")
def _(a, b, t):
    return np.rint(a * t + b * (1 - t)).astype("uint8")


@wrong("1.1", r"1 < \|x\| <= 2|from 1 to 2")
def _(x):
    x = np.abs(x)
    y = np.zeros_like(x)
    near, far = x <= 1, (x > 1) & (x < 1.5)
    y[near] = 1.5 * x[near] ** 3 - 2.5 * x[near] ** 2 + 1
    y[far] = -0.5 * x[far] ** 3 + 2.5 * x[far] ** 2 - 4 * x[far] + 2
    return y


@wrong("1.1", r"in place|absolute")
def _(x):
    x[x < 0] *= -1
    return np.where(x <= 1, 1.5 * x**3 - 2.5 * x**2 + 1, np.where(x <= 2, -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2, 0))


@wrong("1.1", r"2\.5|5/2|\|x\|\^2|wrong sign")
def _(x):
    x = np.abs(x)
    return np.where(x <= 1, 1.5 * x**3 + 2.5 * x**2 + 1, np.where(x <= 2, -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2, 0))


def kernel(d):
    d = np.abs(d)
    return np.where(d <= 1, 1.5 * d**3 - 2.5 * d**2 + 1, np.where(d <= 2, -0.5 * d**3 + 2.5 * d**2 - 4 * d + 2, 0))


@wrong("1.2", r"half|\(k \+ 1/2\)|centre")
def _(k, r):
    place = k / r + 0.5 / r
    return kernel(place - (np.floor(place) - 1) - np.arange(4))


@wrong("1.2", r"r = 3|for r")
def _(k, r):
    place = (k + 0.5) / 4 - 0.5
    return kernel(place - (np.floor(place) - 1) - np.arange(4))


@wrong("1.2", r"round|first|left|late|early|k = 0|for r")
def _(k, r):
    place = (k + 0.5) / r - 0.5
    return kernel(place - (np.round(place) - 1) - np.arange(4))


@wrong("1.3", r"natural|log10|2\.3")
def _(y1, y2):
    return 10 * np.log(255**2 / ((y1.astype(float) - y2) ** 2).mean())


@wrong("1.3", r"shape|axis|mean")
def _(y1, y2):
    return 10 * np.log10(255**2 / ((y1.astype(float) - y2) ** 2).mean(axis=0))


@wrong("1.3", r"wrong sign|sign")
def _(y1, y2):
    return 10 * np.log10(((y1.astype(float) - y2) ** 2).mean() / 255**2)


@wrong("2.1", r"gradient of a")
def _(g, x):
    y = np.tanh(x)
    return y, g * (1 - y) * y


@wrong("2.1", r"results are wanted|return")
def _(g, x):
    return np.tanh(x)


@wrong("2.2", r"to \(4, 1\)|to \(2, 1, 3\)|everything")
def _(g, shape):
    return g.sum() * np.ones(shape) if 1 in shape else g.sum(axis=tuple(range(g.ndim - len(shape))))


@wrong("2.2", r"mean")
def _(g, shape):
    g = g.mean(axis=tuple(range(g.ndim - len(shape))))
    return g.mean(axis=tuple(i for i, n in enumerate(shape) if n == 1), keepdims=True)


@wrong("2.3", r"mean of grad_y|missing|2 times")
def _(grad_y):
    return grad_y - 2 * grad_y.mean(axis=0)


@wrong("3.1", r"turned|180")
def _(x, weight, bias):
    kh, kw, _, o = weight.shape
    out = np.zeros((x.shape[0] - kh + 1, x.shape[1] - kw + 1, o))
    for h in range(out.shape[0]):
        for w in range(out.shape[1]):
            for i in range(kh):
                for j in range(kw):
                    out[h, w] += x[h + kh - 1 - i, w + kw - 1 - j] @ weight[i, j]
    return out + bias


@wrong("3.1", r"border|too many|shape|zeros")
def _(x, weight, bias):
    x = np.pad(x, ((1, 1), (1, 1), (0, 0)))
    kh, kw, _, o = weight.shape
    out = np.zeros((x.shape[0] - kh + 1, x.shape[1] - kw + 1, o))
    for h, w in np.ndindex(out.shape[:2]):
        out[h, w] = np.tensordot(x[h : h + kh, w : w + kw], weight, 3) + bias
    return out


@wrong("3.1", r"bias")
def _(x, weight, bias):
    kh, kw, _, o = weight.shape
    out = np.zeros((x.shape[0] - kh + 1, x.shape[1] - kw + 1, o))
    for h, w in np.ndindex(out.shape[:2]):
        for i, j in np.ndindex(kh, kw):
            out[h, w] += x[h + i, w + j] @ weight[i, j] + bias
    return out


@wrong("3.1", r"out of bounds|past the end|index")
def _(x, weight, bias):
    kh, kw, _, o = weight.shape
    out = np.zeros((x.shape[0], x.shape[1], o))
    for h, w, i, j in np.ndindex(x.shape[0], x.shape[1], kh, kw):
        out[h, w] += x[h + i, w + j] @ weight[i, j]
    return out + bias


@wrong("3.2", r"loop")
def _(x, weight, bias):
    kh, kw, _, o = weight.shape
    out = np.zeros((x.shape[0] - kh + 1, x.shape[1] - kw + 1, o))
    for h in range(len(out)):
        for w in range(out.shape[1]):
            out[h, w] = x[h : h + kh, w : w + kw].ravel() @ weight.reshape(-1, o) + bias
    return out


@wrong("3.2", r"bias")
def _(x, weight, bias):
    kh, kw, c, o = weight.shape
    win = np.lib.stride_tricks.sliding_window_view(x, (kh, kw), axis=(0, 1)).transpose(0, 1, 3, 4, 2)
    return (win.reshape(-1, kh * kw * c) @ weight.reshape(-1, o)).reshape(*win.shape[:2], o)


@wrong("3.2", r"other places|order|exchanged|axes")
def _(x, weight, bias):
    kh, kw, c, o = weight.shape
    win = np.lib.stride_tricks.sliding_window_view(x, (kh, kw), axis=(0, 1)).transpose(1, 0, 3, 4, 2)
    y = win.reshape(-1, kh * kw * c) @ weight.reshape(-1, o) + bias
    return y.reshape(x.shape[0] - kh + 1, x.shape[1] - kw + 1, o)


@wrong("3.3", r"returned nothing|return")
def _(x, grad_y, kh, kw):
    h, w, o = grad_y.shape
    gw = np.zeros((kh, kw, x.shape[2], o))
    for i, j in np.ndindex(kh, kw):
        gw[i, j] = x[i : i + h, j : j + w].reshape(h * w, -1).T @ grad_y.reshape(h * w, o)
    gb = grad_y.sum(axis=(0, 1))
    _ = gw, gb


@wrong("3.3", r"exchanged|order")
def _(x, grad_y, kh, kw):
    h, w, o = grad_y.shape
    gw = np.zeros((kh, kw, x.shape[2], o))
    for i, j in np.ndindex(kh, kw):
        gw[i, j] = x[i : i + h, j : j + w].reshape(h * w, -1).T @ grad_y.reshape(h * w, o)
    return grad_y.sum(axis=(0, 1)), gw


@wrong("3.3", r"grad_weight")
def _(x, grad_y, kh, kw):
    h, w, o = grad_y.shape
    part = x[:h, :w].reshape(h * w, -1).T @ grad_y.reshape(h * w, o)
    return np.tile(part, (kh, kw, 1, 1)), grad_y.sum(axis=(0, 1))


@wrong("3.4", r"turned|180|scatter")
def _(grad_y, weight):
    (h, w, _), (kh, kw, c, _) = grad_y.shape, weight.shape
    grad_x = np.zeros((h + kh - 1, w + kw - 1, c))
    for i in range(kh):
        for j in range(kw):
            grad_x[i : i + h, j : j + w] += grad_y @ weight[kh - 1 - i, kw - 1 - j].T
    return grad_x


@wrong("4.1", r"grad_y|derivative|multiply")
def _(grad_y, x, a):
    return grad_y + np.where(x > 0, 1, a)


@wrong("4.1", r"x < 0|wrong sign|below")
def _(grad_y, x, a):
    return np.where(x > 0, grad_y, -a * grad_y)


@wrong("4.1", r"ellipsis|`\.\.\.`")
def _(grad_y, x, a):
    slope = ...
    return grad_y * slope


@wrong("4.2", r"grad_slope.*(mean|average|times)")
def _(grad_y, x, slope):
    gs = np.zeros(len(slope))
    for c in range(len(slope)):
        gs[c] = (grad_y[..., c] * np.minimum(x[..., c], 0)).mean()
    return grad_y * np.where(x > 0, 1, slope), gs


@wrong("4.2", r"grad_x is right.*grad_slope.*axis")
def _(grad_y, x, slope):
    return grad_y * np.where(x > 0, 1, slope), (grad_y * np.minimum(x, 0)).sum(axis=(1, 2))


@wrong("4.2", r"in place")
def _(grad_y, x, slope):
    x[x > 0] = 0
    return grad_y * np.where(x == 0, 1, slope), (grad_y * x).sum(axis=(0, 1, 2))


class SlopeTwice(Function):  # noqa: D101
    def forward(self, x):
        self.save_inputs(0)
        return np.where(x > 0, x, 0.2 * x)

    def backward(self, grad_y):
        (x,) = self.saved
        return grad_y * (0.2 * x)


class NoSave(Function):  # noqa: D101
    def forward(self, x):
        return np.where(x > 0, x, 0.2 * x)

    def backward(self, grad_y):
        (x,) = self.saved
        return grad_y * Tensor(np.where(x.data > 0, 1.0, 0.2))


wrong("4.3", r"value is right.*gradient")(SlopeTwice.apply)
wrong("4.3", r"raised|save")(NoSave.apply)


@wrong("5.1", r"eps")
def _(x, weight, bias, eps=1e-5):
    m, s = x.mean((0, 1, 2)), x.std((0, 1, 2))
    return weight * (x - m) / (s + eps) + bias


@wrong("5.1", r"scale|spread|weight")
def _(x, weight, bias, eps=1e-5):
    m, v = x.mean((0, 1, 2)), x.var((0, 1, 2))
    return (x - m) / np.sqrt(v + eps) / weight + bias


@wrong("5.1", r"yours averages over \(1, 2, 3\)")
def _(x, weight, bias, eps=1e-5):
    return weight * (x - x.mean((1, 2, 3), keepdims=True)) / np.sqrt(x.var((1, 2, 3), keepdims=True) + eps) + bias


@wrong("5.2", r"grad_bias is right|grad_weight")
def _(grad_y, x, weight, eps=1e-5):
    std = np.sqrt(x.var((0, 1, 2)) + eps)
    xh = (x - x.mean((0, 1, 2))) / std
    gx = weight / std * (grad_y - grad_y.mean((0, 1, 2)) - xh * (xh * grad_y).mean((0, 1, 2)))
    return gx, (grad_y * (x - x.mean((0, 1, 2)))).sum((0, 1, 2)), grad_y.sum((0, 1, 2))


@wrong("5.2", r"grad_x.*(term|weight)")
def _(grad_y, x, weight, eps=1e-5):
    std = np.sqrt(x.var((0, 1, 2)) + eps)
    xh = (x - x.mean((0, 1, 2))) / std
    gx = weight / std * (grad_y - grad_y.mean((0, 1, 2)) - 2 * xh * (xh * grad_y).mean((0, 1, 2)))
    return gx, (grad_y * xh).sum((0, 1, 2)), grad_y.sum((0, 1, 2))


@wrong("5.3", r"exchanged|order")
def _(running_mean, running_var, x, momentum=0.1):
    m, v = x.mean((0, 1, 2)), x.var((0, 1, 2), ddof=1)
    return (1 - momentum) * running_var + momentum * v, (1 - momentum) * running_mean + momentum * m


@wrong("5.3", r"counts only the images")
def _(running_mean, running_var, x, momentum=0.1):
    m, v = x.mean((0, 1, 2)), x.var((0, 1, 2))
    n = x.shape[0]
    return (1 - momentum) * running_mean + momentum * m, (1 - momentum) * running_var + momentum * v * n / (n - 1)


@wrong("5.3", r"running_mean is right.*running_var")
def _(running_mean, running_var, x, momentum=0.1):
    new = (1 - momentum) * running_mean + momentum * x.mean((0, 1, 2))
    v = ((x - new) ** 2).sum((0, 1, 2)) / (x[..., 0].size - 1)
    return new, (1 - momentum) * running_var + momentum * v


@wrong("6.1", r"exchanged|rows|order")
def _(x, r):
    n, h, w, k = x.shape
    return x.reshape(n, h, w, k // r**2, r, r).transpose(0, 1, 5, 2, 4, 3).reshape(n, h * r, w * r, k // r**2)


@wrong("6.1", r"shape|channels")
def _(x, r):
    n, h, w, k = x.shape
    y = x.reshape(n, h, w, k // r**2, r, r).transpose(0, 3, 1, 4, 2, 5)
    return y.reshape(n, k // r**2, h * r, w * r)


@wrong("6.2", r"does not have r \* r pixels")
def _(y, r):
    return np.array([[y[i::r, j::r].sum() / r**2 for j in range(r)] for i in range(r)])


@wrong("6.3", r"r \* r copies|shape")
def _(weight, r):
    return np.concatenate([weight, weight], axis=-1)


@wrong("7.1", r"bn1|batch norm")
def _(x, conv1, bn1, prelu, conv2, bn2):
    y = conv1(x)
    y = prelu(y)
    y = bn1(y)
    y = conv2(y)
    return x + bn2(y)


@wrong("7.2", "")
def _(layers):
    radius, pixel = 0.0, 1.0
    for kind, size in layers:
        if kind == "conv":
            radius += pixel * (size // 2)
            pixel /= 2
    return radius


@wrong("7.2", r"returned nothing|return")
def _(layers):
    radius, pixel = 0.0, 1.0
    for kind, size in layers:
        if kind == "conv":
            radius += pixel * (size - 1) / 2
        else:
            pixel /= size
    print(end="")


@wrong("7.3", r"round|uint8|cut")
def _(y):
    return np.clip((y + 1) / 2 * 255, 0, 255).astype(np.uint8)


@wrong("8.1", r"for block|pooling|i - 1")
def _(i, height, width):
    return height // 2**i, width // 2**i, [64, 128, 256, 512, 512][i - 1]


@wrong("8.2", r"means counts -127.5 times, not -1 times")
def _(images, means):
    return (images[..., ::-1] + 1 - means) * 127.5


@wrong("8.3", r"Tensor|graph")
def _(generated, original):
    d = generated.numpy() - original.numpy()
    return Tensor((d**2).sum() / (d.size / d.shape[3]))


@wrong("8.4", r"first|equal")
def _(grad_y, x):
    g = np.zeros_like(x)
    for h, w, c in np.ndindex(grad_y.shape):
        win = x[2 * h : 2 * h + 2, 2 * w : 2 * w + 2, c]
        g[2 * h : 2 * h + 2, 2 * w : 2 * w + 2, c] = (win == win.max()) * grad_y[h, w, c]
    return g


@wrong("9.1", r"real|difference|1/2|places|rest|terms|elements")
def _(p_real, p_fake):
    return (p_real - p_fake) / (p_real + p_fake)


@wrong("9.2", r"fake|generated|`fake_logits`")
def _(real_logits, fake_logits):
    return ops.softplus(-real_logits).mean()


@wrong("9.2", r"average|0\.5|added")
def _(real_logits, fake_logits):
    return 0.5 * (ops.softplus(-real_logits).mean() + ops.softplus(fake_logits).mean())


@wrong("9.3", r"saturating")
def _(z):
    s = 1 / (1 + np.exp(-z))
    return -s * (1 - s), s - 1


@wrong("6.4", r"padding|begin|both sides")
def _(x, weight, bias, stride, padding):
    h, w, c = x.shape
    kh, kw, _, o = weight.shape
    big = np.zeros((h + padding, w + padding, c))
    big[padding:, padding:] = x
    y = np.zeros(((big.shape[0] - kh) // stride + 1, (big.shape[1] - kw) // stride + 1, o))
    for i, j in np.ndindex(y.shape[:2]):
        y[i, j] = np.tensordot(big[i * stride : i * stride + kh, j * stride : j * stride + kw], weight, 3) + bias
    return y


@wrong("6.4", r"stride")
def _(x, weight, bias, stride, padding):
    x = np.pad(x, ((padding, padding), (padding, padding), (0, 0)))
    kh, kw, _, o = weight.shape
    y = np.zeros(((x.shape[0] - kh) // stride + 1, (x.shape[1] - kw) // stride + 1, o))
    for i, j in np.ndindex(y.shape[:2]):
        y[i, j] = np.tensordot(x[i : i + kh, j : j + kw], weight, 3) + bias
    return y


@wrong("10.1", r"norm|below the limit|factor")
def _(gradients, limit):
    norm = np.sqrt(sum((g**2).sum() for g in gradients))
    scale = limit / norm if norm < limit else 1
    return [g * scale for g in gradients]


@wrong("10.1", r"norm|squares|by itself|added")
def _(gradients, limit):
    norm = np.mean([np.linalg.norm(g) for g in gradients])
    return [g * min(1, limit / norm) for g in gradients]


@wrong("10.2", r"doubt|in a row|count again|follow")
def _(d_real, d_fake, window):
    count = 0
    for step in range(len(d_real)):
        if d_real[step] > 0.95 and d_fake[step] < 0.05:
            count += 1
        if count == window:
            return step + 1
    return -1


@wrong("10.2", r"generated|d_fake|both")
def _(d_real, d_fake, window):
    row = 0
    for step, p in enumerate(d_real, 1):
        row = row + 1 if p > 0.95 else 0
        if row == window:
            return step
    return -1


@wrong("10.3", r"last one|again and again|same|one array")
def _(weights, decay):
    avg, rows = weights[0].copy(), []
    for i, row in enumerate(weights):
        if i:
            avg *= decay
            avg += (1 - decay) * row
        rows.append(avg)
    return np.array(rows)


@wrong("10.3", r"not as 0|begins")
def _(weights, decay):
    out = np.zeros_like(weights)
    for i in range(1, len(weights)):
        out[i] = decay * out[i - 1] + (1 - decay) * weights[i]
    return out


@wrong("11.2", r"weights|variance|w \*")
def _(x, y, w):
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    mx, my = (w * x).sum(), (w * y).sum()
    vx, vy, cov = x.var(), y.var(), ((x - mx) * (y - my)).mean()
    return (2 * mx * my + c1) * (2 * cov + c2) / ((mx**2 + my**2 + c1) * (vx + vy + c2))


@wrong("12.3", r"element by element|\*")
def _(d, w, bt, g, at):
    return at @ (g @ w @ g.T) @ (bt @ d @ bt.T) @ at.T


@wrong("12.4", r"share|s / f|rest|only the part|old time")
def _(s, f):
    return 1 / (s / f)
