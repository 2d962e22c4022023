# %% [markdown]
# # 5. Batch norm and residual blocks
#
# **You will** write batch normalization and derive its backward pass, the one that most people look up; see how
# training mode and evaluation mode differ; and measure the effect of skip connections on gradients in a deep network.
#
# **Time:** 75 minutes. **Before:** notebooks 2 to 4.

# %%
# %matplotlib inline
import numpy as np

from checks import check
from minisrgan import Tensor, nn, ops
from minisrgan.data import sample_photos
from minisrgan.explain import inspect
from minisrgan.images import imresize
from minisrgan.show import histogram_figure, images_figure, lines_figure

rng = np.random.default_rng(5)
photo = imresize(sample_photos(["chelsea"])["chelsea"], 1 / 2).astype(np.float32) / 255

# %% [markdown]
# ## The same scale for every channel
#
# The channels of a convolution can have any distribution: one is concentrated around 0.3, another spread out around
# -1.5. These distributions change during training, and the next layer must adapt to every change. Batch norm brings
# each channel to mean 0 and variance 1, over all pixels of all images of the batch, and lets the network choose a
# scale and a shift of its own:
#
# $$\hat{x} = \frac{x - \mathrm{mean}}{\sqrt{\mathrm{var} + \mathrm{eps}}} \qquad
# y = \mathrm{weight} \cdot \hat{x} + \mathrm{bias}$$
#
# In code $\hat{x}$ is `x_hat`. The small `eps` avoids a division by 0 if a channel is constant.

# %%
features = nn.Conv2d(3, 2, 3, rng=np.random.default_rng(10))(Tensor(photo[None]))
normed = nn.BatchNorm2d(2)(features)
channels = {"before": features.numpy(), "after": normed.numpy()}
lines = {f"channel {c} {name}": array[..., c] for name, array in channels.items() for c in (0, 1)}
histogram_figure(lines)

# %% [markdown]
# **Figure 1.** How the values of two channels are distributed over the pixels of a photo, before and after batch norm.
# Before, they lie apart, one much narrower than the other; after, both are centred at 0 with the same spread. The shape
# of each, its peaks and its tails, stays what it was.

# %%
nn.BatchNorm2d(2).explain(features, at=(0, 70, 100, 1))

# %% [markdown]
# ### Exercise 5.1: forward


# %% tags=["exercise"]
def batch_norm(x, weight, bias, eps=1e-5):
    """Return y for x (N, H, W, C), weight (C,) and bias (C,)."""
    return ...


check("5.1", batch_norm)


# %% tags=["solution"]
def batch_norm(x, weight, bias, eps=1e-5):
    """Return y for x (N, H, W, C), weight (C,) and bias (C,)."""
    mean, var = x.mean(axis=(0, 1, 2)), x.var(axis=(0, 1, 2))
    return weight * (x - mean) / np.sqrt(var + eps) + bias


check("5.1", batch_norm)

# %% [markdown]
# ## Backward, step by step
#
# Every `x` of a channel moves `mean` and `var`, and they move every `y`. Start with small changes, $\mathrm{d}x$;
# averages are over the $n$ values of a channel, and $\mathrm{std} = \sqrt{\mathrm{var} + \mathrm{eps}}$. Fill the gaps
# on paper:
#
# 1. $\mathrm{d}\,\mathrm{mean} = \mathrm{average}(\square)$
# 2. $\mathrm{d}\,\mathrm{var} = 2 \cdot \mathrm{average}((x - \mathrm{mean}) \cdot \square)$, so
#    $\mathrm{d}\,\mathrm{std} = \frac{\mathrm{d}\,\mathrm{var}}{2\,\mathrm{std}} = \mathrm{average}(\square \cdot \mathrm{d}x)$
# 3. $\mathrm{d}\hat{x} = \frac{1}{\mathrm{std}} \left(\mathrm{d}x - \square - \hat{x} \cdot \square\right)$
#
# Step 3 removes two components from $\mathrm{d}x$: its mean, and its component along $\hat{x}$. Removing a component
# (a projection) is a symmetric linear map, so its transpose, which the backward pass needs, is the same formula, from
# $\partial L / \partial \hat{x}$ to `grad_x`.
#
# **Predict.** If all of $x$ grows by 5, what does $y$ do? And if all of $x$ is doubled (with `eps` 0)? What follows for
# the sum of `grad_x`, and for the sum of `grad_x * x_hat`, whatever the loss?

# %%
x = Tensor(rng.normal(size=(2, 4, 4, 3)), requires_grad=True)
one, zero = Tensor(np.ones(3)), Tensor(np.zeros(3))
y = ops.batch_norm(x, one, zero, None, None, training=True, eps=0)
(y * Tensor(rng.normal(size=y.shape))).sum().backward()
for name, factor in (("grad_x", 1), ("grad_x * x_hat", y.numpy())):
    print(f"sum of {name}: {np.abs((x.grad.numpy() * factor).sum(axis=(0, 1, 2))).max():.9f}")

# %% [markdown]
# <details><summary>The answer</summary>
#
# Nothing, in both cases: batch norm removes shift and scale. In a direction in which $y$ does not change, the
# gradient is 0, so both sums are 0 for each channel.
# </details>
#
# ### Exercise 5.2: backward
#
# The gradients of `weight` and `bias` are sums over all pixels, as in notebook 4.


# %% tags=["exercise"]
def batch_norm_gradients(grad_y, x, weight, eps=1e-5):
    """Return (grad_x, grad_weight, grad_bias)."""
    grad_bias = ...
    grad_weight = ...
    grad_x = ...
    return grad_x, grad_weight, grad_bias


check("5.2", batch_norm_gradients)


# %% tags=["solution"]
def batch_norm_gradients(grad_y, x, weight, eps=1e-5):
    """Return (grad_x, grad_weight, grad_bias)."""
    axes, n = (0, 1, 2), x[..., 0].size
    std = np.sqrt(x.var(axis=axes) + eps)
    x_hat = (x - x.mean(axis=axes)) / std
    grad_bias = grad_y.sum(axis=axes)
    grad_weight = (grad_y * x_hat).sum(axis=axes)
    grad_x = weight / std * (grad_y - grad_bias / n - x_hat * grad_weight / n)
    return grad_x, grad_weight, grad_bias


check("5.2", batch_norm_gradients)

# %%
# Click a number of y: its mean and variance come from all pixels; so does its gradient.
inspect(nn.BatchNorm2d(2), features[:, 64:80, 92:108], loss=lambda y: (y * y * y).mean())

# %% [markdown]
# <details><summary>The gaps</summary>
#
# 1: $\mathrm{d}x$. 2: $\mathrm{d}x$, and $\hat{x}$. 3: $\mathrm{average}(\mathrm{d}x)$, and
# $\mathrm{average}(\hat{x} \cdot \mathrm{d}x)$. So
#
# ```
# grad_x = weight / std * (grad_y - average(grad_y) - x_hat * average(x_hat * grad_y))
# ```
# </details>

# %% [markdown]
# The same as an image. The input is a cat's eye in grey, and the loss depends on only two pixels of `y`: one should
# increase, the other decrease.

# %%
eye = photo[40:80, 60:100].mean(axis=2)[None, :, :, None]
grad_y, maps = np.zeros_like(eye), {"x": eye[0].repeat(3, axis=2)}
grad_y[0, 8, 24], grad_y[0, 30, 5] = 1, -1
for name, training in {"grad_x in training": True, "grad_x in evaluation": False}.items():
    x = Tensor(eye, requires_grad=True)
    nn.BatchNorm2d(1).train(training)(x).backward(Tensor(grad_y))
    maps[name] = x.grad.numpy()[0, :, :, 0]
images_figure(maps, width=2.6, limit=0.02)

# %% [markdown]
# **Figure 2.** A cat's eye, and the gradient of two pixels of the output. In evaluation mode it is two dots, violet
# and brown. In training mode the whole eye is faintly visible around them, because every pixel contributes to mean
# and variance. (Everything beyond 0.02 is drawn alike; the dots are hundreds of times stronger than the rest.)
#
# ## Training and evaluation
#
# **Predict.** In training, does the result for your photo depend on the other photos in its batch?

# %%
batch = rng.random((4, 40, 40, 1), dtype=np.float32)
layer = nn.BatchNorm2d(1)
for name, training in {"training": True, "evaluation": False}.items():
    layer.train(training)
    alone, together = layer(Tensor(eye)), layer(Tensor(np.concatenate([eye, batch])))
    print(f"{name}: {abs(alone.numpy() - together.numpy()[:1]).max():.3f}")

# %% [markdown]
# <details><summary>The answer</summary>
#
# It does. When the network is used, this would be absurd: an upscaled photo must not depend on others.
# </details>

# %% [markdown]
# So during training the layer keeps running averages, and in evaluation mode, `eval()`, it uses them as constants.
#
# ### Exercise 5.3: running statistics
#
# Each batch replaces a fraction `momentum` of them. The variance of a batch, computed with $n$, underestimates the
# variance of the data by a factor $(n-1)/n$ on average; so the running variance uses $n - 1$.


# %% tags=["exercise"]
def updated(running_mean, running_var, x, momentum=0.1):
    """Return (running_mean, running_var), each (C,), after a batch x (N, H, W, C)."""
    return ..., ...


check("5.3", updated)


# %% tags=["solution"]
def updated(running_mean, running_var, x, momentum=0.1):
    """Return (running_mean, running_var), each (C,), after a batch x (N, H, W, C)."""
    mean, var = x.mean(axis=(0, 1, 2)), x.var(axis=(0, 1, 2), ddof=1)
    keep = 1 - momentum
    return keep * running_mean + momentum * mean, keep * running_var + momentum * var


check("5.3", updated)

# %%
layer, means = nn.BatchNorm2d(3), []
for _ in range(60):
    top, left = rng.integers(0, photo.shape[0] - 32), rng.integers(0, photo.shape[1] - 32)
    crop = photo[None, top : top + 32, left : left + 32]
    layer(Tensor(crop))
    means.append((crop[..., 0].mean(), layer.running_mean[0], photo[..., 0].mean()))
names = ("mean of each crop", "running mean", "mean of the photo")
lines_figure({name: (range(60), m) for name, m in zip(names, np.array(means).T)}, "step", "red")

# %% [markdown]
# **Figure 3.** The mean red of 60 random crops jumps up and down; the running mean starts at 0, climbs in some thirty
# steps, and then stays close to the mean of the whole photo.
#
# ## The skip
#
# A residual block adds its input to what it computes: $y = x + f(x)$. Its derivative is $1 + f'(x)$. **Predict.** Take
# 24 blocks, once with He's weights and once with weights half as large. How much of a gradient reaches the first block,
# with and without skips, with and without batch norm?


# %%
def gradient_norms(skip, norm, scale, depth=24):
    rng = np.random.default_rng(5)
    xs = [Tensor(rng.normal(size=(4, 16, 16, 16)).astype(np.float32), requires_grad=True)]
    for _ in range(depth):
        weight = Tensor(scale * nn.he_normal((3, 3, 16, 16), rng))
        f = ops.conv2d(xs[-1], weight, padding=1)
        f = ops.leaky_relu(nn.BatchNorm2d(16)(f) if norm else f, 0.2)
        xs.append(xs[-1] + f if skip else f)
        xs[-1].retain_grad()
    xs[-1].backward(Tensor(rng.normal(size=f.shape).astype(np.float32)))
    norms = [np.linalg.norm(x.grad.numpy()) for x in xs]
    return range(depth + 1), np.array(norms) / norms[-1]


# %%
kinds = {"plain": (0, 0), "plain, batch norm": (0, 1), "skips": (1, 0), "skips, batch norm": (1, 1)}


def compare(scale):
    lines = {name: gradient_norms(*kind, scale) for name, kind in kinds.items()}
    print({name: f"{norms[0]:.3g}" for name, (_, norms) in lines.items()})
    figure = lines_figure(lines, "after block", "norm of the gradient")
    figure.axes[0].set_yscale("log")
    return figure


compare(1)

# %% [markdown]
# **Figure 4.** He's weights: the gradient on its way back from block 24, on the right, to the input, on the left;
# logarithmic scale. In the plain stack it keeps its size, for which these weights were made. With skips alone it grows
# more than a thousandfold, as every block adds as much as it passes on. With skips and batch norm: by a factor of 4.

# %%
compare(1 / 2)

# %% [markdown]
# **Figure 5.** Weights half as large. In the plain stack less than a ten-millionth of the gradient is left, with skips
# alone it grows fifteenfold. The two lines with batch norm are the same as before: it takes the size of the weights out.
#
# Because of the $1$ in $1 + f'(x)$, a part of the gradient passes each block unchanged. SRGAN's generator has 16 such
# blocks, and one long skip around all of them.
#
# ## Summary
#
# Batch norm removes shift and scale: from the values in the forward pass, and from the gradients in the backward
# pass. A skip connection passes both on unchanged.
#
# - `minisrgan/ops/norm.py`: the derivation above in five lines; two nodes, for training and for evaluation
# - `minisrgan/kernels/norm.py`: the same in as few passes over memory as possible
# - `minisrgan/models/generator.py`: `ResidualBlock`; `minisrgan/nn/layers.py`: the layer
# - the paper: Ledig et al. 2017, sec. 2.1 and fig. 4; Ioffe and Szegedy 2015 (arXiv 1502.03167), alg. 1 and 2
#
# **Open question.** Later networks for super-resolution leave batch norm out. Which figures of this notebook speak for that, which against?
#
# **Next:** notebook 6, how an image becomes larger.
