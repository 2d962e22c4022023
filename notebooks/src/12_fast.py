# %% [markdown]
# # 12. Making it fast
#
# **You will** learn what a processor computes quickly and what it waits for; count operations and bytes; derive
# Winograd's convolution by hand, which needs fewer multiplications; and use a profiler before optimizing.
#
# **Time:** 75 minutes. **Before:** notebook 3. Everything here was timed on the machine that ran the notebook: yours
# will print other numbers. Look at ratios.

# %%
# %matplotlib inline
import time

import numpy as np
from threadpoolctl import threadpool_limits

from checks import check
from minisrgan import Tensor, nn, ops
from minisrgan.autograd import profile
from minisrgan.backend import algorithm, threads
from minisrgan.kernels.schemes import toom_cook
from minisrgan.models import Generator
from minisrgan.show import lines_figure, profile_figure

rng = np.random.default_rng(12)


def seconds(work, *inputs, times=5):
    """Return the best of some times: what disturbs a measurement only ever adds to it."""
    ends = [(time.perf_counter(), work(*inputs), time.perf_counter()) for _ in range(times)]
    return min(end - start for start, _, end in ends)


# %% [markdown]
# ## One product, three orders
#
# A product of two matrices of 512 x 512 is 134 million multiplications, in whatever order. **Predict.** How much faster
# is one call of BLAS than a loop of 512 row-times-matrix products? Than a sum of 512 products column times row?

# %% tags=["times"]
a, b = rng.random((2, 512, 512), np.float32)
c = np.zeros_like(a)
orders = {
    "one call, a @ b": lambda: np.matmul(a, b, out=c),
    "row by row": lambda: [np.matmul(row, b, out=y) for row, y in zip(a, c)],
    "column times row": lambda: [np.add(c, a[:, [k]] * b[k], out=c) for k in range(512)],
}
with threadpool_limits(1):
    took = {name: seconds(work) for name, work in orders.items()}
for name, best in took.items():
    print(f"{name:17} {best / took['one call, a @ b']:6.1f} times as long")

# %% [markdown]
# <details><summary>The answer</summary>
#
# About 4 and 50 on our machine. They differ in how often a number is read from memory. A row times a matrix uses each
# number of `b` only once. BLAS works on small square blocks that stay in the fastest memory, and uses each number
# hundreds of times. Such products (GEMM) run at almost the full speed of the processor.
# </details>
#
# ## Operations and bytes
#
# So the number of operations per byte matters. Take a convolution at stride 1 with padding, float32 (4 bytes): count
# a multiplication and an addition as two operations, and of bytes each number of input, weight and output once.
#
# ### Exercise 12.1: operations for a byte


# %% tags=["exercise"]
def intensity(n, h, w, c, o, k):
    """Return operations / bytes of a k x k convolution of (n, h, w, c) to (n, h, w, o)."""
    return ...


check("12.1", intensity)


# %% tags=["solution"]
def intensity(n, h, w, c, o, k):
    """Return operations / bytes of a k x k convolution of (n, h, w, c) to (n, h, w, o)."""
    operations = 2 * n * h * w * c * o * k * k
    return operations / (4 * (n * h * w * (c + o) + c * o * k * k))


check("12.1", intensity)

# %% [markdown]
# For 64 channels and a 3 x 3 kernel it is about 140. PReLU reads 4 bytes, writes 4, and computes two or three
# operations: less than one a byte. It waits for memory most of the time.
#
# ## Cache blocks
#
# **Predict.** PReLU on 32 MB takes NumPy four passes. Cut the array into blocks and finish each before the next. Will
# small blocks win, or large ones?

# %%
x = rng.normal(size=1 << 23).astype(np.float32)
y, spare = np.empty_like(x), np.empty_like(x)


def prelu_in_blocks(size):
    for start in range(0, x.size, size):
        part, out, negative = x[start : start + size], y[start : start + size], spare[:size]
        np.maximum(part, 0, out=out)
        np.minimum(part, 0, out=negative)
        np.multiply(negative, np.float32(0.2), out=negative)
        np.add(out, negative, out=out)


# %% tags=["times"]
sizes = 2 ** np.arange(9, 24)
best = np.array([seconds(prelu_in_blocks, size, times=3) for size in sizes])
figure = lines_figure({"": (4 * sizes / 1e3, best / best.min())}, "block, KB", "time / best time")
figure.axes[0].set(xscale="log", ylim=0)
figure

# %% [markdown]
# **Figure 1.** Time for blocks of different size, over the best. On the left, with a few KB, it is several times
# longer: Python's calls cost more than the work. The valley lies at some hundred KB, which stay in the cache from
# pass to pass; `spare`, written over for every block, never leaves it. To the right each pass reads and writes main
# memory.
#
# ## Winograd: multiply less
#
# Filter a line with three weights, two outputs at a time:
#
# $$y_0 = d_0 w_0 + d_1 w_1 + d_2 w_2 \qquad y_1 = d_1 w_0 + d_2 w_1 + d_3 w_2$$
#
# Six multiplications. The products of $d_1$ and $d_2$ can be computed together, from their sum and their difference:
#
# $$m_1 = (d_1 + d_2)\,\frac{w_0 + w_1 + w_2}{2} \qquad m_2 = (d_2 - d_1)\,\frac{w_0 - w_1 + w_2}{2}$$
#
# Multiply out: $m_1 + m_2 = d_1 w_1 + d_2 (w_0 + w_2)$ and $m_1 - m_2 = d_1 (w_0 + w_2) + d_2 w_1$. The first is $y_0$
# but for one product too many and one missing, and both are products with $w_0$; so is the second $y_1$, with $w_2$.
# Hence
#
# $$y_0 = m_0 + m_1 + m_2 \qquad y_1 = m_1 - m_2 - m_3$$
#
# with two more products: four in all.
#
# ### Exercise 12.2: the two that are missing


# %% tags=["exercise"]
def four_products(d, w):
    """Return (m_0, m_1, m_2, m_3) for four inputs d (4,) and three weights w (3,)."""
    return ..., ..., ..., ...


check("12.2", four_products)


# %% tags=["solution"]
def four_products(d, w):
    """Return (m_0, m_1, m_2, m_3) for four inputs d (4,) and three weights w (3,)."""
    m1 = (d[1] + d[2]) * (w[0] + w[1] + w[2]) / 2
    m2 = (d[2] - d[1]) * (w[0] - w[1] + w[2]) / 2
    return (d[0] - d[2]) * w[0], m1, m2, (d[1] - d[3]) * w[2]


check("12.2", four_products)

# %% [markdown]
# As matrices, $y = A^T [(G w) * (B^T d)]$, where $*$ is element by element. The package makes them for any tile: it
# takes $d$ and $w$ for polynomials, evaluates both at a few points, multiplies there, and interpolates. With the points
# 0, 1, -1 and infinity these are yours, up to signs:

# %%
bt, g, at = toom_cook((0, 1, -1), taps=3)
for name, matrix in {"B^T": bt, "G": g, "A^T": at}.items():
    print(
        name, *("  ".join(f"{number:4.1f}" for number in row) for row in matrix + 0.0), sep="\n  "
    )

# %% [markdown]
# ### Exercise 12.3: in two dimensions
#
# Along the rows, then along the columns: from a tile $d$ of 4 x 4, a kernel of 3 x 3 and these matrices, the 2 x 2
# outputs come by 16 multiplications instead of 36.


# %% tags=["exercise"]
def winograd(d, w, bt, g, at):
    """Return y (2, 2) for d (4, 4), w (3, 3), bt (4, 4), g (4, 3), at (2, 4)."""
    return ...


check("12.3", winograd)


# %% tags=["solution"]
def winograd(d, w, bt, g, at):
    """Return y (2, 2) for d (4, 4), w (3, 3), bt (4, 4), g (4, 3), at (2, 4)."""
    return at @ ((g @ w @ g.T) * (bt @ d @ bt.T)) @ at.T


check("12.3", winograd)

# %% [markdown]
# **Predict.** Larger tiles save more: 4 x 4 outputs need 36 multiplications instead of 144, 6 x 6 need 64 instead of
# 324; so why not 8 x 8?

# %%
sides, lines = (2, 4, 6, 8), {}
for more in (3, -3, 4, -4), (1 / 2, -1 / 2, 3 / 2, -3 / 2):
    errors = []
    for side in sides:
        exact = toom_cook((0, 1, -1, 2, -2, *more)[: side + 1], taps=3)
        bt, g, at = (matrix.astype(np.float32) for matrix in exact)
        d, w = rng.normal(size=(500, side + 2, side + 2)), rng.normal(size=(500, 3, 3))
        d32, w32 = d.astype(np.float32), w.astype(np.float32)
        rounded = at @ ((g @ w32 @ g.T) * (bt @ d32 @ bt.T)) @ at.T
        bt, g, at = exact
        true = at @ ((g @ w @ g.T) * (bt @ d @ bt.T)) @ at.T
        errors.append(np.sqrt(np.mean((rounded - true) ** 2) / np.mean(true**2)))
    lines[f"0, 1, -1, 2, -2, then {more}"] = sides, errors
figure = lines_figure(lines, "side of a tile's output", "error")
figure.axes[0].set(yscale="log", xticks=sides)
figure

# %% [markdown]
# **Figure 2.** Relative error of Winograd's way in float32, on a logarithmic scale, for two choices of points. At 6 the
# first has a hundred times the error of 4, the second twice; at 8, several per cent and 0.00003.
#
# <details><summary>The answer</summary>
#
# High powers of 3 and 4 are huge numbers that nearly cancel: digits are lost, fewer with halves. The package stops at
# 6 x 6. What is it worth?
# </details>

# %% tags=["times"]
layer = nn.Conv2d(64, 64, 3, padding=1, rng=rng)
batch = Tensor(rng.random((16, 48, 48, 64), np.float32))
for name in ("im2col", "winograd"):
    with algorithm(name), threads(1):
        took[name] = seconds(layer, batch)
print(f"im2col takes {took['im2col'] / took['winograd']:.1f} times as long as Winograd's way")

# %% [markdown]
# ## Threads
#
# Two cores compute in parallel, which helps if the work is large enough: starting work on another thread takes time.
# (Python lets only one thread run Python; NumPy computes outside of that lock.)

# %% tags=["times"]
sides, gains = (4, 8, 16, 32, 64, 96), []
for side in sides:
    batch, one_and_two = Tensor(rng.random((4, side, side, 64), np.float32)), []
    for count in (1, 2):
        with threads(count):
            one_and_two.append(seconds(layer, batch, times=12))
    gains.append(one_and_two[0] / one_and_two[1])
lines = {
    "measured": (sides, gains),
    "no gain": (sides, np.ones(6)),
    "ideal": (sides, np.full(6, 2)),
}
lines_figure(lines, "side of 4 images, 64 channels", "time with 1 thread / with 2")

# %% [markdown]
# **Figure 3.** What a second thread gains for one layer, against the size of the images. Small images gain
# nothing, or lose. Large ones gain, up to twice on a machine that does nothing else.
#
# ## Use the profiler
#
# **Predict.** One step of a small generator, forward and backward. Which operation takes the most, and how much?

# %% tags=["times"]
generator = Generator(scale=4, channels=32, blocks=8)
low, high = (Tensor(rng.random((8, side, side, 3), np.float32)) for side in (24, 96))
for _ in range(3):  # the first rounds only warm up
    with profile() as costs:
        ops.mse(generator(low), high).backward()
profile_figure(costs)

# %% [markdown]
# **Figure 4.** Milliseconds of each operation, forward in blue and backward in orange. Convolution takes most of the
# step, backward longer than forward, for it has two gradients; the others follow far behind.
#
# ### Exercise 12.4: Amdahl's law
#
# If a part that takes a share $s$ of the time becomes $f$ times as fast, the rest stays. How many times as fast is the
# whole?


# %% tags=["exercise"]
def speedup(s, f):
    """Return old time / new time of the whole, for a share s that becomes f times as fast."""
    return ...


check("12.4", speedup)


# %% tags=["solution"]
def speedup(s, f):
    """Return old time / new time of the whole, for a share s that becomes f times as fast."""
    return 1 / (1 - s + s / f)


check("12.4", speedup)

# %% [markdown]
# ## Where a GPU helps
#
# A GPU has thousands of small cores and much faster memory; but every operation must be launched, which takes some
# microseconds. Here is an *estimate*, not a measurement, from typical data sheets. The time is the computing time or
# the memory time, whichever is longer, plus the launch. **Predict.** From which size on is a GPU worth it?


# %%
def estimate(operations, numbers, peak, bandwidth, launch):
    return np.maximum(operations / peak, 4 * numbers / bandwidth) + launch


pixels = 4.0 ** np.arange(1, 11)
work = {"convolution, 64 to 64": (2 * 64 * 64 * 9, 128), "PReLU, 64": (3 * 64, 128)}
cores, gpu, lines = (4e11, 2e10, 2e-6), (5e13, 3e12, 1e-5), {}
for name, (operations, numbers) in work.items():
    times = [estimate(operations * pixels, numbers * pixels, *machine) for machine in (cores, gpu)]
    lines[name] = (pixels**0.5, times[0] / times[1])
figure = lines_figure(lines, "side of the image in pixels", "two cores / GPU")
figure.axes[0].set(xscale="log", yscale="log")
figure

# %% [markdown]
# **Figure 5.** How many times as long two cores would take as a large GPU, by the estimate: less than once for a few
# pixels, more than a hundred times for large images.
#
# `model.to("cuda")` moves a model.

# %% tags=["machine"]
# The estimate's convolution, measured on each device that is here.
for device in dict.fromkeys(("cpu", DEVICE)):
    layer.to(device)
    x = Tensor(rng.random((16, 48, 48, 64), np.float32)).to(device)
    layer(x).sum().item()  # the first call prepares the device; item() waits for the result
    print(f"{device}: {1e3 * seconds(lambda x: layer(x).sum().item(), x):.2f} ms")

# %% [markdown]
# ## Summary
#
# Use matrix products; keep blocks in the cache; reduce multiplications; give each thread enough work; measure first.
#
# - `minisrgan/kernels/winograd.py`: both tiles, with both gradients; `minisrgan/kernels/schemes.py`: `toom_cook`
# - `minisrgan/kernels/blocks.py`, `minisrgan/threads.py`: cache blocks, threads; `minisrgan/autograd/profile.py`
# - the paper: Ledig et al. 2017, sec. 2.1: most work is done on small maps; Lavin and
#   Gray 2016 (arXiv 1509.09308) for Winograd
#
# **Open question.** You may make one layer twice as fast. Which one, and what would the whole gain?
#
# **Next:** that was the last. Train your own: `minisrgan train --help`.
