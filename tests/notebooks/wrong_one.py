"""Ninety-five wrong answers as students write them, and what names each: a pattern that the verdict must match.

They were written after the checks, in one go, and are no copies of the mistakes that the exercises list. At first 70
of them were named, and none accepted; then the kinds of mistakes were mended. Seven patterns were too narrow for what
the verdict rightly says, and are wider now; an empty one marks an answer that is refused, but not named.
"""

from __future__ import annotations

import numpy as np

from minisrgan import Tensor, ops
from minisrgan.autograd import Function
from tests.notebooks.wrong import collector

wrong, WRONG = collector()


# 0


@wrong("0.1", r"three numbers|0.3333")
def _(rows, columns, scale):
    return rows * scale * columns * scale - rows * columns


@wrong("0.1", r"of the large photo is missing")
def _(rows, columns, scale):
    return (rows * scale + columns * scale) * 3 - (rows + columns) * 3


@wrong("0.1", r"return")
def _(rows, columns, scale):
    new = rows * columns * 3 * (scale**2 - 1)
    print("", end="")
    del new


@wrong("0.2", r"in place|whole numbers|float")
def _(picture, original):
    picture -= original
    return np.abs(picture).mean(axis=2)


@wrong("0.2", r"axis 0 of `picture`")
def _(picture, original):
    return np.abs(picture.astype(float) - original).mean(axis=0)


@wrong("0.2", r"square|absolute")
def _(picture, original):
    return ((picture.astype(float) - original) ** 2).mean(axis=2)


@wrong("0.3", r"uint8")
def _(a, b, t):
    return np.round((1 - t) * a.astype(float) + t * b)


@wrong("0.3", "")
def _(a, b, t):
    return (1 - t).__int__() * a + np.uint8(t) * b


@wrong("0.3", r"`t`|t does nothing|half")
def _(a, b, t):
    return ((a.astype(int) + b) / 2).round().astype(np.uint8)


# 1


@wrong("1.1", r"True or False|np\.where")
def _(x):
    x = abs(x)
    if x <= 1:
        return 1.5 * x**3 - 2.5 * x**2 + 1
    if x <= 2:
        return -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
    return 0


@wrong("1.1", r"1 < \|x\| <= 2")
def _(x):
    x = np.abs(x)
    return np.where(x <= 1, 1.5 * x**3 - 2.5 * x**2 + 1, np.where(x <= 2, -0.5 * x**3 + 2.5 * x**2 - 4 * x + 1, 0))


@wrong("1.1", r"\|x\| <= 1")
def _(x):
    x = np.abs(x)
    return np.where(x <= 1, 3 / 2 * x**3 - 5 / 2 * x**2, np.where(x <= 2, -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2, 0))


@wrong("1.2", r"leftmost|left|early|late")
def _(k, r):
    place = (k + 0.5) / r - 0.5
    first = np.floor(place) - 2
    d = np.abs(place - first - np.arange(4))
    return np.where(d <= 1, 1.5 * d**3 - 2.5 * d**2 + 1, np.where(d <= 2, -0.5 * d**3 + 2.5 * d**2 - 4 * d + 2, 0))


@wrong("1.2", r"for the first pixel|floor|down")
def _(k, r):
    place = (k + 0.5) / r - 0.5
    d = np.abs(place - (int(place) - 1) - np.arange(4))
    return np.where(d <= 1, 1.5 * d**3 - 2.5 * d**2 + 1, np.where(d <= 2, -0.5 * d**3 + 2.5 * d**2 - 4 * d + 2, 0))


@wrong("1.2", r"shape \(4,\)")
def _(k, r):
    place = (k + 0.5) / r - 0.5
    d = np.abs(place - (np.floor(place) - 1))
    return 1.5 * d**3 - 2.5 * d**2 + 1


@wrong("1.3", r"root|20|2 times")
def _(y1, y2):
    rmse = np.sqrt(np.mean((y1.astype(float) - y2.astype(float)) ** 2))
    return 10 * np.log10(255 / rmse)


@wrong("1.3", r"peak|255|largest")
def _(y1, y2):
    mse = np.mean((y1.astype(float) - y2.astype(float)) ** 2)
    return 10 * np.log10(1 / mse)


@wrong("1.3", r"single numbers|math|np\.")
def _(y1, y2):
    import math

    return 10 * math.log10(255**2 / (y1.astype(float) - y2) ** 2)


# 2


@wrong("2.1", r"gradient of a")
def _(grad_y, x):
    y = np.tanh(x)
    return y, grad_y * (1 - y) ** 2


@wrong("2.1", r"gradient of a.*\.\.\.")
def _(grad_y, x):
    return np.tanh(x), ...


@wrong("2.2", r"wrong to \(4, 1\)")
def _(g, shape):
    while g.ndim > len(shape):
        g = g.sum(axis=0)
    return g


@wrong("2.2", r"axes|axis|to \(")
def _(g, shape):
    return g.reshape(-1, *shape).sum(axis=0)


@wrong("2.2", r"to the shape that it has|returned nothing")
def _(g, shape):
    extra = g.ndim - len(shape)
    if extra > 0 or 1 in shape:
        g = g.sum(axis=tuple(range(extra)))
        return g.sum(axis=tuple(i for i, n in enumerate(shape) if n == 1), keepdims=True)


@wrong("2.3", r"in place")
def _(grad_y):
    grad_y -= grad_y.mean(axis=0)
    return grad_y


@wrong("2.3", r"axis=0|could not be broadcast|fit together")
def _(grad_y):
    return grad_y - grad_y.mean(axis=1)


@wrong("2.3", r"1/n|factor|times|mean")
def _(grad_y):
    n = len(grad_y)
    return grad_y * (1 - 1 / n)


# 3


@wrong("3.1", r"last row|fits")
def _(x, weight, bias):
    kh, kw, _, outputs = weight.shape
    y = np.zeros((x.shape[0] - kh, x.shape[1] - kw, outputs))
    for h in range(y.shape[0]):
        for w in range(y.shape[1]):
            for o in range(outputs):
                y[h, w, o] = np.sum(x[h : h + kh, w : w + kw] * weight[..., o]) + bias[o]
    return y


@wrong("3.1", r"`bias`|bias")
def _(x, weight, bias):
    kh, kw, _, outputs = weight.shape
    y = np.zeros((x.shape[0] - kh + 1, x.shape[1] - kw + 1, outputs))
    for h, w in np.ndindex(y.shape[:2]):
        y[h, w] = np.tensordot(x[h : h + kh, w : w + kw], weight, 3)
    return y


@wrong("3.1", r"return")
def _(x, weight, bias):
    kh, kw, _, outputs = weight.shape
    y = np.zeros((x.shape[0] - kh + 1, x.shape[1] - kw + 1, outputs))
    for h, w, o in np.ndindex(y.shape):
        y[h, w, o] = np.sum(x[h : h + kh, w : w + kw] * weight[..., o]) + bias[o]


@wrong("3.1", r"channel|C\b")
def _(x, weight, bias):
    kh, kw, _, outputs = weight.shape
    y = np.zeros((x.shape[0] - kh + 1, x.shape[1] - kw + 1, outputs))
    for h, w, o in np.ndindex(y.shape):
        y[h, w, o] = np.sum(x[h : h + kh, w : w + kw, 0] * weight[:, :, 0, o]) + bias[o]
    return y


@wrong("3.1", r"first|last|indent|only|early")
def _(x, weight, bias):
    kh, kw, _, outputs = weight.shape
    y = np.zeros((x.shape[0] - kh + 1, x.shape[1] - kw + 1, outputs))
    for h, w, o in np.ndindex(y.shape):
        y[h, w, o] = np.sum(x[h : h + kh, w : w + kw] * weight[..., o]) + bias[o]
        return y


@wrong("3.2", r"loop")
def _(x, weight, bias):
    kh, kw, _, outputs = weight.shape
    height, width = x.shape[0] - kh + 1, x.shape[1] - kw + 1
    rows = [x[h : h + kh, w : w + kw].ravel() for h in range(height) for w in range(width)]
    return (np.array(rows) @ weight.reshape(-1, outputs) + bias).reshape(height, width, outputs)


@wrong("3.2", r"order|transpose")
def _(x, weight, bias):
    kh, kw, _, outputs = weight.shape
    win = np.lib.stride_tricks.sliding_window_view(x, (kh, kw), axis=(0, 1))
    h, w = win.shape[:2]
    return (win.reshape(h * w, -1) @ weight.reshape(-1, outputs) + bias).reshape(h, w, outputs)


@wrong("3.2", r"shape")
def _(x, weight, bias):
    kh, kw, c, outputs = weight.shape
    win = np.lib.stride_tricks.sliding_window_view(x, (kh, kw), axis=(0, 1))
    return win.transpose(0, 1, 3, 4, 2).reshape(-1, kh * kw * c) @ weight.reshape(-1, outputs) + bias


@wrong("3.3", r"grad_bias")
def _(x, grad_y, kh, kw):
    h, w, o = grad_y.shape
    grad_weight = np.zeros((kh, kw, x.shape[2], o))
    for i, j in np.ndindex(kh, kw):
        grad_weight[i, j] = np.tensordot(x[i : i + h, j : j + w], grad_y, ((0, 1), (0, 1)))
    return grad_weight, grad_y.sum(axis=0)


@wrong("3.3", r"grad_weight is right.*grad_bias.*\.\.\.")
def _(x, grad_y, kh, kw):
    h, w, o = grad_y.shape
    grad_weight = np.zeros((kh, kw, x.shape[2], o))
    grad_bias = ...
    for i, j in np.ndindex(kh, kw):
        grad_weight[i, j] = np.tensordot(x[i : i + h, j : j + w], grad_y, ((0, 1), (0, 1)))
    return grad_weight, grad_bias


@wrong("3.3", r"grad_weight.*axes|exchanged")
def _(x, grad_y, kh, kw):
    h, w, o = grad_y.shape
    grad_weight = np.zeros((kh, kw, o, x.shape[2]))
    for i, j in np.ndindex(kh, kw):
        grad_weight[i, j] = np.tensordot(grad_y, x[i : i + h, j : j + w], ((0, 1), (0, 1)))
    return grad_weight, grad_y.sum(axis=(0, 1))


@wrong("3.4", r"overwr|adding|collects")
def _(grad_y, weight):
    (h, w, _), (kh, kw, c, _) = grad_y.shape, weight.shape
    grad_x = np.zeros((h + kh - 1, w + kw - 1, c))
    for a, b in np.ndindex(h, w):
        grad_x[a : a + kh, b : b + kw] = weight @ grad_y[a, b]
    return grad_x


@wrong("3.4", r"last axis|shape|fit together")
def _(grad_y, weight):
    (h, w, _), (kh, kw, c, _) = grad_y.shape, weight.shape
    grad_x = np.zeros((h + kh - 1, w + kw - 1, c))
    for i, j in np.ndindex(kh, kw):
        grad_x[i : i + h, j : j + w] += grad_y @ weight[i, j]
    return grad_x


@wrong("3.4", r"shape|larger")
def _(grad_y, weight):
    (h, w, _), (kh, kw, c, _) = grad_y.shape, weight.shape
    grad_x = np.zeros((h, w, c))
    for i, j in np.ndindex(kh, kw):
        grad_x[i:, j:] += (grad_y @ weight[i, j].T)[: h - i, : w - j]
    return grad_x


# 4


@wrong("4.1", r"in place")
def _(grad_y, x, a):
    grad_y[x <= 0] *= a
    return grad_y


@wrong("4.1", r"True or False|np\.where")
def _(grad_y, x, a):
    return grad_y if x > 0 else a * grad_y


@wrong("4.1", r"x < 0|kink|below|x = 0")
def _(grad_y, x, a):
    return np.where(x > 0, grad_y, a)


@wrong("4.1", r"x (<|=) 0|kink|exactly 0")
def _(grad_y, x, a):
    g = np.zeros_like(x)
    g[x > 0] = grad_y[x > 0]
    g[x < 0] = a * grad_y[x < 0]
    return g


@wrong("4.2", r"grad_slope")
def _(grad_y, x, slope):
    return grad_y * np.where(x > 0, 1, slope), (grad_y * x).sum(axis=(0, 1, 2))


@wrong("4.2", r"grad_x")
def _(grad_y, x, slope):
    return np.where(x > 0, 1, slope), (grad_y * np.minimum(x, 0)).sum(axis=(0, 1, 2))


@wrong("4.2", r"exchanged|order")
def _(grad_y, x, slope):
    grad_slope = (grad_y * np.minimum(x, 0)).sum(axis=(0, 1, 2))
    return grad_slope, grad_y * np.where(x > 0, 1, slope)


class LeakyA(Function):  # noqa: D101
    def forward(self, x):
        self.save_inputs(0)
        return np.maximum(x, 0) + 0.2 * np.minimum(x, 0)

    def backward(self, grad_y):
        (x,) = self.saved
        positive = Tensor((x.data > 0).astype(x.dtype))
        return grad_y * (0.2 * positive + (1.0 - positive))


class LeakyB(Function):  # noqa: D101
    def forward(self, x):
        self.save_inputs(0)
        return np.maximum(x, 0) + 0.2 * np.minimum(x, 0)

    def backward(self, grad_y):
        raise NotImplementedError


class LeakyC(Function):  # noqa: D101
    def forward(self, x):
        return np.where(x > 0, x, 0.02 * x)

    def backward(self, grad_y):
        return grad_y


wrong("4.3", r"value is right.*gradient.*x < 0|value is right.*gradient")(LeakyA.apply)
wrong("4.3", r"value is right.*not done")(LeakyB.apply)
wrong("4.3", r"x < 0|slope|0\.2")(LeakyC.apply)


# 5


@wrong("5.1", r"root|variance")
def _(x, weight, bias, eps=1e-5):
    mean, var = x.mean((0, 1, 2)), x.var((0, 1, 2))
    return weight * (x - mean) / var**2 + bias


@wrong("5.1", r"eps")
def _(x, weight, bias, eps=1e-5):
    mean, var = x.mean((0, 1, 2)), x.var((0, 1, 2))
    return weight * (x - mean) / np.sqrt(var + 1e-5) + bias


@wrong("5.1", r"weight.*bias|scale|shift|bias")
def _(x, weight, bias, eps=1e-5):
    mean, var = x.mean((0, 1, 2)), x.var((0, 1, 2))
    return weight * ((x - mean) / np.sqrt(var + eps) + bias)


@wrong("5.1", r"mean")
def _(x, weight, bias, eps=1e-5):
    return weight * x / np.sqrt(x.var((0, 1, 2)) + eps) + bias


@wrong("5.2", r"grad_x.*(n\b|average|sum)")
def _(grad_y, x, weight, eps=1e-5):
    n = len(x)
    std = np.sqrt(x.var((0, 1, 2)) + eps)
    x_hat = (x - x.mean((0, 1, 2))) / std
    grad_bias, grad_weight = grad_y.sum((0, 1, 2)), (grad_y * x_hat).sum((0, 1, 2))
    return weight / std * (grad_y - grad_bias / n - x_hat * grad_weight / n), grad_weight, grad_bias


@wrong("5.2", r"grad_weight and grad_bias are right.*grad_x.*\.\.\.")
def _(grad_y, x, weight, eps=1e-5):
    grad_x = ...
    std = np.sqrt(x.var((0, 1, 2)) + eps)
    x_hat = (x - x.mean((0, 1, 2))) / std
    return grad_x, (grad_y * x_hat).sum((0, 1, 2)), grad_y.sum((0, 1, 2))


@wrong("5.2", r"grad_x.*sign|sign.*grad_x|grad_x")
def _(grad_y, x, weight, eps=1e-5):
    std = np.sqrt(x.var((0, 1, 2)) + eps)
    x_hat = (x - x.mean((0, 1, 2))) / std
    grad_x = weight / std * (grad_y + grad_y.mean((0, 1, 2)) + x_hat * (x_hat * grad_y).mean((0, 1, 2)))
    return grad_x, (grad_y * x_hat).sum((0, 1, 2)), grad_y.sum((0, 1, 2))


@wrong("5.3", r"momentum")
def _(running_mean, running_var, x, momentum=0.1):
    return 0.9 * running_mean + 0.1 * x.mean((0, 1, 2)), 0.9 * running_var + 0.1 * x.var((0, 1, 2), ddof=1)


@wrong("5.3", r"in place")
def _(running_mean, running_var, x, momentum=0.1):
    running_mean *= 1 - momentum
    running_mean += momentum * x.mean((0, 1, 2))
    running_var *= 1 - momentum
    running_var += momentum * x.var((0, 1, 2), ddof=1)
    return running_mean, running_var


@wrong("5.3", r"running_var")
def _(running_mean, running_var, x, momentum=0.1):
    mean = x.mean((0, 1, 2))
    var = ((x - mean) ** 2).sum((0, 1, 2)) / (x.shape[0] * x.shape[1] - 1)
    return (1 - momentum) * running_mean + momentum * mean, (1 - momentum) * running_var + momentum * var


# 6


@wrong("6.1", r"order|exchanged|axes|\(i, j, c\)|c, i, j")
def _(x, r):
    n, h, w, channels = x.shape
    c = channels // (r * r)
    return x.reshape(n, h, w, r, c, r).transpose(0, 1, 3, 2, 5, 4).reshape(n, h * r, w * r, c)


@wrong("6.1", r"Tensor")
def _(x, r):
    n, h, w, channels = x.shape
    c = channels // (r * r)
    return x.numpy().reshape(n, h, w, c, r, r).transpose(0, 1, 4, 2, 5, 3).reshape(n, h * r, w * r, c)


@wrong("6.1", r"for r = 3")
def _(x, r):
    n, h, w, channels = x.shape
    c = channels // 4
    return x.reshape(n, h, w, c, 2, 2).transpose(0, 1, 4, 2, 5, 3).reshape(n, h * 2, w * 2, c)


@wrong("6.2", r"elements are wrong|0|places|first")
def _(y, r):
    m = np.zeros((r, r))
    for i in range(r):
        for j in range(r):
            m[0, j] = y[i::r, j::r].mean()
    return m


@wrong("6.2", r"i::r takes every")
def _(y, r):
    return np.array([[y[i:r, j:r].mean() for j in range(r)] for i in range(r)])


@wrong("6.3", r"neighbours|repeat")
def _(weight, r):
    return np.tile(weight, (1, 1, 1, r * r))


@wrong("6.3", r"last axis|shape")
def _(weight, r):
    return np.repeat(weight, r * r)


# 7


@wrong("7.1", r"skip")
def _(x, conv1, bn1, prelu, conv2, bn2):
    skip = x
    x = prelu(bn1(conv1(x)))
    x = bn2(conv2(x))
    return x + x - x * 0.0 if skip is None else x


@wrong("7.1", r"conv1|conv2|conv2.*never|`conv2`")
def _(x, conv1, bn1, prelu, conv2, bn2):
    return x + bn2(conv1(prelu(bn1(conv1(x)))))


@wrong("7.2", r"layers of|smaller|shuffle")
def _(layers):
    return sum((size - 1) / 2 for kind, size in layers if kind == "conv")


@wrong("7.2", r"shuffle|smaller|pixel")
def _(layers):
    radius = 0
    for kind, size in layers:
        if kind == "conv":
            radius += (size - 1) / 2
        if kind == "shuffle":
            radius /= size
    return radius


@wrong("7.3", r"uint8|wrap|clip")
def _(y):
    return ((y + 1) * 127.5).round().astype(np.uint8).clip(0, 255)


@wrong("7.3", r"256|127|128|too|levels")
def _(y):
    return ((y + 1) / 2 * 256).clip(0, 255).round().astype(np.uint8)


# 8, 9


@wrong("8.1", r"channels")
def _(i, height, width):
    return height // 2 ** (i - 1), width // 2 ** (i - 1), (64, 128, 256, 512, 1024)[i - 1]


@wrong("8.2", r"B, G, R|means|channels")
def _(images, means):
    return (images[..., ::-1] + 1) * 127.5 - means[::-1]


@wrong("8.2", r"in place")
def _(images, means):
    images += 1
    images *= 127.5
    return images[..., ::-1] - means


@wrong("8.3", r"channels|sum")
def _(generated, original):
    d = generated - original
    return (d * d).sum() / float(generated.size)


@wrong("8.4", r"largest|average|all four|first")
def _(grad_y, x):
    grad = np.zeros_like(x)
    for h, w, c in np.ndindex(grad_y.shape):
        window = x[2 * h : 2 * h + 2, 2 * w : 2 * w + 2, c]
        grad[2 * h : 2 * h + 2, 2 * w : 2 * w + 2, c] = window.max() * grad_y[h, w, c]
    return grad


@wrong("9.1", r"rest|real|generated")
def _(p_real, p_fake):
    return 1 - p_real / (p_real + p_fake)


@wrong("9.2", r"sure|NaN|infinite")
def _(real_logits, fake_logits):
    return -(ops.log(ops.sigmoid(real_logits)).mean() + ops.log(1.0 - ops.sigmoid(fake_logits)).mean())


@wrong("9.2", r"softplus\(real_logits\) does not belong")
def _(real_logits, fake_logits):
    return ops.softplus(real_logits).mean() + ops.softplus(fake_logits).mean()


@wrong("9.3", r"saturating is right|non_saturating|exchanged")
def _(z):
    p = 1 / (1 + np.exp(-z))
    return -p, 1 - p


@wrong("6.4", r"stride")
def _(x, weight, bias, stride, padding):
    x = np.pad(x, ((padding, padding), (padding, padding), (0, 0)))
    kh, kw, _, o = weight.shape
    y = np.zeros((x.shape[0] // stride, x.shape[1] // stride, o))
    for h, w in np.ndindex(y.shape[:2]):
        y[h, w] = np.tensordot(x[h * stride : h * stride + kh, w * stride : w * stride + kw], weight, 3) + bias
    return y


# 10 to 12


@wrong("10.1", r"below the limit.*(return|None)")
def _(gradients, limit):
    norm = np.sqrt(sum((g**2).sum() for g in gradients))
    if norm > limit:
        return [g * limit / norm for g in gradients]


@wrong("10.1", r"in place")
def _(gradients, limit):
    norm = np.sqrt(sum((g**2).sum() for g in gradients))
    for g in gradients:
        g *= min(1, limit / norm)
    return gradients


@wrong("10.2", r"never wins")
def _(d_real, d_fake, window):
    for step in range(window, len(d_real) + 1):
        if (d_real[step - window : step] > 0.95).all() and (d_fake[step - window : step] < 0.05).all():
            return step


@wrong("10.2", r"very last step")
def _(d_real, d_fake, window):
    for step in range(window, len(d_real)):
        if (d_real[step - window : step] > 0.95).all() and (d_fake[step - window : step] < 0.05).all():
            return step
    return -1


@wrong("10.3", r"in place|again")
def _(weights, decay):
    average, rows = weights[0], []
    for row in weights:
        average *= decay
        average += (1 - decay) * row
        rows.append(average)
    return np.array(rows)


@wrong("10.3", r"decay and 1 - decay are exchanged")
def _(weights, decay):
    rows = [weights[0]]
    for i in range(1, len(weights)):
        rows.append(decay * weights[i] + (1 - decay) * rows[i - 1])
    return rows


@wrong("11.1", r"mean error|take PSNR")
def _(errors):
    return 10 * np.log10(255**2 / errors.mean())


@wrong("11.2", r"c1|c2|255")
def _(x, y, w):
    c1, c2 = 0.01**2, 0.03**2
    mx, my = (w * x).sum(), (w * y).sum()
    vx, vy, cov = (w * (x - mx) ** 2).sum(), (w * (y - my) ** 2).sum(), (w * (x - mx) * (y - my)).sum()
    return (2 * mx * my + c1) * (2 * cov + c2) / ((mx**2 + my**2 + c1) * (vx + vy + c2))


@wrong("11.3", r"sort|pairs")
def _(a, b):
    a.sort()
    return np.abs(a - b).mean()


@wrong("12.1", r"two operations|0\.5 times")
def _(n, h, w, c, o, k):
    return n * h * w * c * o * k**2 / (4 * (n * h * w * c + n * h * w * o + c * o * k**2))


@wrong("12.2", r"m_3")
def _(d, w):
    m1 = (d[1] + d[2]) * (w[0] + w[1] + w[2]) / 2
    m2 = (d[2] - d[1]) * (w[0] - w[1] + w[2]) / 2
    return (d[0] - d[2]) * w[0], m1, m2, (d[1] - d[3]) * w[1]


@wrong("12.4", r"rest|1 - s|old time")
def _(s, f):
    return f * s + (1 - s)
