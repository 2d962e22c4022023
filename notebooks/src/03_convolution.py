# %% [markdown]
# # 3. Convolution three ways
#
# **You will** write a convolution as loops and as one matrix product, and get the same numbers; see why libraries use
# neither of them directly; derive both gradients and check them; and learn that one of them is the transposed
# convolution.
#
# **Time:** 75 minutes. **Before:** notebook 2, for what `backward` does. **Symbols:** a batch of images is
# `(N, H, W, C)`, a kernel `weight` is `(kh, kw, C, O)`: rows, columns, channels in, channels out.

# %%
# %matplotlib inline
import time

import numpy as np
from threadpoolctl import threadpool_limits

from checks import check
from minisrgan import Tensor, nn, ops, reference
from minisrgan.autograd import gradcheck
from minisrgan.data import sample_photos
from minisrgan.explain import inspect
from minisrgan.images import imresize
from minisrgan.show import images_figure, lines_figure

rng = np.random.default_rng(3)
photo = imresize(sample_photos(["chelsea"])["chelsea"], 1 / 2).astype(np.float32) / 255

# %% [markdown]
# ## One number at a time
#
# A convolution slides a small window over the image. At each position it multiplies the window by its weights,
# element by element, and adds up all products:
#
# $$y[h, w, o] = b[o] + \sum_{i, j, c} x[h + i,\; w + j,\; c] \cdot \mathrm{weight}[i, j, c, o]$$
#
# **Predict.** The kernel below has $-1/3$ in its left column, $0$ in the middle and $+1/3$ on the right, alike for
# red, green and blue. What will the result show for the cat's eyes, the whiskers, and the blurred background?

# %%
weight = np.zeros((3, 3, 3, 1), np.float32)
weight[:, 0], weight[:, 2] = -1 / 3, 1 / 3
y = ops.conv2d(Tensor(photo[None]), Tensor(weight)).numpy()[0, :, :, 0]
images_figure({"x, the photo": photo, "y, edges": y}, width=4, limit=1)

# %% [markdown]
# **Figure 1.** A cat, and what the kernel makes of it: violet where the image gets brighter from left to right, orange
# where it gets darker, white where neighbours are alike.
#
# <details><summary>The answer</summary>
#
# Vertical edges have large values, each eye of both signs. Where left and right are equal they cancel, so the
# background vanishes. A horizontal whisker is hardly visible, because it is on both sides of the window.
# </details>

# %% [markdown]
# Every layer of this package can show the computation of one of its output values. Check a product or two by hand:
# which pixel is multiplied by which weight?

# %%
layer = nn.Conv2d(3, 8, 3, padding=1, rng=rng)
layer.explain(photo[None], at=(0, 70, 100, 4))

# %% [markdown]
# ### Exercise 3.1: loops
#
# Implement the formula for one image `x` of shape `(H, W, C)`, without padding and with stride 1. The window must be
# inside the image: how many positions are there along an axis of length `H`?


# %% tags=["exercise"]
def conv_loops(x, weight, bias):
    """Return y, (H', W', O), for x (H, W, C), weight (kh, kw, C, O) and bias (O,)."""
    return ...


check("3.1", conv_loops)


# %% tags=["solution"]
def conv_loops(x, weight, bias):
    """Return y, (H', W', O), for x (H, W, C), weight (kh, kw, C, O) and bias (O,)."""
    kh, kw = weight.shape[:2]
    y = np.zeros((x.shape[0] - kh + 1, x.shape[1] - kw + 1, weight.shape[3]), x.dtype)
    for h, w, o in np.ndindex(y.shape):
        y[h, w, o] = bias[o] + (x[h : h + kh, w : w + kw] * weight[:, :, :, o]).sum()
    return y


check("3.1", conv_loops)

# %% [markdown]
# ## One matrix product
#
# Loops in Python are slow, because the interpreter executes each product separately. Matrix products are much faster.
# So write every window as one row of a long matrix, the *columns* (hence the name im2col). The kernel, flattened the
# same way, is a matrix too, and
#
# $$\underbrace{\mathrm{columns}}_{(H' W',\; kh\,kw\,C)} @ \underbrace{\mathrm{matrix}}_{(kh\,kw\,C,\; O)} = y$$
#
# NumPy can show all windows without copying a number; flattened, each is a row:

# %%
tiny = np.arange(16, dtype=np.float32).reshape(4, 4, 1)
windows = np.lib.stride_tricks.sliding_window_view(tiny, (3, 3), axis=(0, 1))  # (H', W', C, kh, kw)
print("windows", windows.shape)
columns = np.array([windows[h, w, 0].ravel() for h, w in np.ndindex(2, 2)])
images_figure({"x, 4 x 4": tiny[:, :, 0], "columns, 4 windows x 9 numbers": columns}, width=3)

# %% [markdown]
# **Figure 2.** Sixteen grey squares, and the four windows of 3 x 3 among them as the rows of a matrix: most numbers
# of x occur in it several times.
#
# ### Exercise 3.2: im2col
#
# Now without a loop over pixels. The order inside a row must be that of `weight.reshape(-1, O)`: `(kh, kw, C)`. Compare
# with the shape printed above.


# %% tags=["exercise"]
def conv_im2col(x, weight, bias):
    """Return the same y as conv_loops, by one matrix product."""
    return ...


check("3.2", conv_im2col)


# %% tags=["solution"]
def conv_im2col(x, weight, bias):
    """Return the same y as conv_loops, by one matrix product."""
    kh, kw, channels, outputs = weight.shape
    windows = np.lib.stride_tricks.sliding_window_view(
        x, (kh, kw), axis=(0, 1)
    )  # (H', W', C, kh, kw)
    height, width = windows.shape[:2]
    columns = windows.transpose(0, 1, 3, 4, 2).reshape(height * width, kh * kw * channels)
    return (columns @ weight.reshape(-1, outputs) + bias).reshape(height, width, outputs)


check("3.2", conv_im2col)

# %% [markdown]
# How much faster is this? The loops of the package (`minisrgan/reference/conv.py`) against its fast code, on a small
# crop:

# %% tags=["times"]
crop, weight, bias = photo[None, :48, :48], layer.weight.numpy(), layer.bias.numpy()
start = time.perf_counter()
slow = reference.conv2d(crop, weight, bias, padding=1)
middle = time.perf_counter()
fast = layer(Tensor(crop)).numpy()
print(f"loops {middle - start:.2f} s, fast {time.perf_counter() - middle:.4f} s")
print(f"largest difference {abs(slow - fast).max():.0e}")

# %% [markdown]
# ## Blocks
#
# **Predict.** The last layer of SRGAN's generator has a 9 x 9 kernel on 64 channels. For 1920 x 1080 pixels, how large
# is its matrix of columns, at 4 bytes a number: about 40 MB, 400 MB, 4 GB or 40 GB?

# %%
pixels = 1920 * 1080
print(f"{pixels * 9 * 9 * 64 * 4 / 1e9:.0f} GB, for an input of {pixels * 64 * 4 / 1e9:.1f} GB")

# %% [markdown]
# <details><summary>The answer</summary>
#
# 43 GB: it holds each number of the input 81 times.
# </details>

# %% [markdown]
# So the columns are computed in blocks of a few rows, multiplied, and discarded. This saves not only memory. A
# processor has a small fast memory, the cache; columns that fit into it are still there when the product reads them.
# The next cell measures blocks of different sizes.


# %% tags=["times"]
def block(x, matrix):
    windows = np.lib.stride_tricks.sliding_window_view(x, (3, 3), axis=(0, 1))
    return windows.transpose(0, 1, 3, 4, 2).reshape(-1, len(matrix)) @ matrix


def in_blocks(x, matrix, rows):
    start = time.perf_counter()
    y = [block(x[r : r + rows + 2], matrix) for r in range(0, len(x) - 2, rows)]
    return time.perf_counter() - start, np.concatenate(y)


# %% tags=["times"]
x, matrix = rng.random((3602, 18, 64), np.float32), rng.random((9 * 64, 32), np.float32)
sizes = [1, 2, 4, 8, 16, 64, 150, 400, 1200, 3600]
with threadpool_limits(1):  # one core, so that we see its cache alone
    best = [min(in_blocks(x, matrix, rows)[0] for _ in range(5)) for rows in sizes]
megabytes = [rows * 16 * len(matrix) * 4 / 1e6 for rows in sizes]
print("the same numbers:", np.allclose(in_blocks(x, matrix, 8)[1], block(x, matrix)))
figure = lines_figure({"": (megabytes, best)}, "columns of a block, MB", "seconds")
figure.axes[0].set(xscale="log", ylim=(0, None))
figure

# %% [markdown]
# **Figure 3.** Seconds for one convolution against the size of its blocks, on the machine that ran this notebook: a
# curve with its minimum in the middle. On the left, many small products have a large overhead; on the right, the
# columns no longer fit into the cache and must be read from memory.
#
# ## Both gradients
#
# Let `grad_y` be $\partial L / \partial y$. The number `x[h + i, w + j, c]` is multiplied by `weight[i, j, c, o]`
# for `y[h, w, o]`, and only there. So each such product sends a gradient to both factors: `grad_y[h, w, o]` times the
# other factor. A number that is used in many products collects the sum.
#
# **Predict.** Let `grad_y` be zero but for two pixels. What will `grad_x` look like?

# %%
kernel = rng.normal(size=(5, 5, 1, 1))
x, grad_y = Tensor(np.zeros((1, 16, 24, 1)), requires_grad=True), np.zeros((1, 16, 24, 1))
grad_y[0, 6, 7], grad_y[0, 10, 17] = 1, -1
ops.conv2d(x, Tensor(kernel), padding=2).backward(Tensor(grad_y))
maps = {"weight": kernel[..., 0], "grad_y": grad_y[0], "grad_x": x.grad.numpy()[0]}
images_figure({name: array[..., 0] for name, array in maps.items()}, width=2.5)

# %% [markdown]
# **Figure 4.** A random 5 x 5 kernel, a gradient that is zero but for one pixel of +1 and one of -1, and the gradient
# that arrives at the input: the kernel itself, stamped once at the first pixel and once with all signs changed at the
# second.
#
# <details><summary>The answer</summary>
#
# The kernel, stamped wherever `grad_y` is not zero, times `grad_y` there. The forward pass *gathers* a window into one
# pixel; the backward pass *scatters* one pixel over the window. This scattering is called transposed convolution.
# </details>
#
# ### Exercise 3.3: gradients with respect to weight and bias


# %% tags=["exercise"]
def weight_gradient(x, grad_y, kh, kw):
    """Return (grad_weight, grad_bias) for one image x (H, W, C) and grad_y (H', W', O)."""
    grad_weight = ...
    grad_bias = ...
    return grad_weight, grad_bias


check("3.3", weight_gradient)


# %% tags=["solution"]
def weight_gradient(x, grad_y, kh, kw):
    """Return (grad_weight, grad_bias) for one image x (H, W, C) and grad_y (H', W', O)."""
    height, width, outputs = grad_y.shape
    grad_weight = np.zeros((kh, kw, x.shape[2], outputs), x.dtype)
    for i, j in np.ndindex(kh, kw):
        part = x[i : i + height, j : j + width].reshape(height * width, -1)
        grad_weight[i, j] = part.T @ grad_y.reshape(height * width, outputs)
    return grad_weight, grad_y.sum(axis=(0, 1))


check("3.3", weight_gradient)

# %% [markdown]
# ### Exercise 3.4: the gradient with respect to the input
#
# Scatter, as in figure 4. A loop over the `kh * kw` places of the kernel is enough.


# %% tags=["exercise"]
def input_gradient(grad_y, weight):
    """Return grad_x (H, W, C) for grad_y (H', W', O) and weight (kh, kw, C, O)."""
    return ...


check("3.4", input_gradient)


# %% tags=["solution"]
def input_gradient(grad_y, weight):
    """Return grad_x (H, W, C) for grad_y (H', W', O) and weight (kh, kw, C, O)."""
    (height, width, _), (kh, kw, channels, _) = grad_y.shape, weight.shape
    grad_x = np.zeros((height + kh - 1, width + kw - 1, channels), grad_y.dtype)
    for i, j in np.ndindex(kh, kw):
        grad_x[i : i + height, j : j + width] += grad_y @ weight[i, j].T  # (H', W', O) @ (O, C)
    return grad_x


check("3.4", input_gradient)

# %% [markdown]
# Is the real one right? `gradcheck` compares the gradients with *finite differences*: it moves every input a little and
# measures how L changes. The second line checks the identity that relates gathering and scattering. For any $u$ and $g$:
#
# $$\langle \mathrm{conv}(u),\; g \rangle = \langle u,\; \mathrm{transposed}(g) \rangle$$

# %%
u, w = Tensor(rng.normal(size=(1, 6, 6, 2)), True), Tensor(rng.normal(size=(3, 3, 2, 4)), True)
g = Tensor(rng.normal(size=(1, 4, 4, 4)))
print("errors of grad_x, grad_weight:", *(f"{e:.0e}" for e in gradcheck(ops.conv2d, [u, w]).errors))
left, right = (ops.conv2d(u, w) * g).sum(), (u * ops.conv2d_transpose(g, w)).sum()
print(f"{left.item():.10f} = {right.item():.10f}")

# %%
# To be clicked: the products of any output, and the gradients that come back from a loss.
inspect(layer, photo[None, 64:80, 92:108], loss=lambda y: (y * y).mean())

# %% [markdown]
# ## Summary
#
# A convolution gathers windows; its gradient with respect to the input scatters them; its gradient with respect to
# the weight correlates the input with `grad_y`. Loops define it, a matrix product makes it fast, blocks make it fit
# into the cache.
#
# - `minisrgan/ops/conv.py`: the formula, and why three operations are each other's gradients
# - `minisrgan/reference/conv.py`: one walk over positions, read in three directions
# - `minisrgan/kernels/im2col.py`: blocks, with padding made on the way; `minisrgan/kernels/conv.py` chooses
# - the paper: Ledig et al. 2017, sec. 2.1 and fig. 4, where `k9n64s1` is a 9 x 9 kernel, 64 channels, stride 1
#
# **Open question.** Four 3 x 3 convolutions see as far as one of 9 x 9. What is gained, and what is lost?
#
# **Next:** notebook 4, the activations between the convolutions.
