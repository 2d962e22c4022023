# %% [markdown]
# # 6. Pixel shuffle
#
# **You will** turn channels into pixels; see why the generator computes on the small image and enlarges it at the
# end; produce the checkerboard artefact of upsampling networks, measure it, and avoid it by a better initialization.
#
# **Time:** 50 minutes. **Before:** notebooks 3 and 4.

# %%
# %matplotlib inline
import numpy as np

from checks import check
from minisrgan import Tensor, nn, ops
from minisrgan.data import sample_photos
from minisrgan.explain import inspect
from minisrgan.images import imresize
from minisrgan.optim import Adam
from minisrgan.show import images_figure, lines_figure

rng = np.random.default_rng(6)
photo = imresize(sample_photos(["astronaut"])["astronaut"][:320, 60:380], 1 / 2)
photo = photo.astype(np.float32) / 255

# %% [markdown]
# ## Channels are pixels in waiting
#
# Take every second pixel of every second row: a small photo. There are four possible starting pixels, so four small
# photos, and together they contain every pixel of the large one. Pixel shuffle is the inverse: $r \cdot r$ channels
# of one pixel become a square of $r \times r$ pixels,
#
# $$y[n,\; r h + i,\; r w + j,\; c] = x[n,\; h,\; w,\; c\, r^2 + i\, r + j]$$

# %%
small = {f"[{i}::2, {j}::2]": photo[i::2, j::2] for i in (0, 1) for j in (0, 1)}
channels = np.stack([*small.values()], axis=-1).reshape(1, 80, 80, 12)
large = ops.pixel_shuffle(Tensor(channels), 2).numpy()[0]
images_figure({**small, "shuffled": large}, columns=5)

# %% [markdown]
# **Figure 1.** Four small photos of an astronaut that look alike but are not: each took other pixels of the large
# photo. Shuffled together they are that photo again, twice as wide and twice as high (here all are drawn at one size).
#
# Values are only moved. So the gradient is simple: each value moves back to its original position.

# %%
nn.PixelShuffle(2).explain(channels, at=(0, 51, 70, 2))

# %% [markdown]
# ### Exercise 6.1: shuffle
#
# One reshape, one transpose, one reshape, for any `r`. Think of the axes: the last axis of `x` is $(c, i, j)$, in
# this order; the rows of `y` are $(h, i)$, its columns $(w, j)$. (The check differentiates it, so stay with Tensors:
# `x.reshape(...)` and `x.transpose(...)` work as in NumPy.)


# %% tags=["exercise"]
def shuffle(x, r):
    """Return (N, r*H, r*W, C) for a Tensor x (N, H, W, C*r*r)."""
    return ...


check("6.1", shuffle)


# %% tags=["solution"]
def shuffle(x, r):
    """Return (N, r*H, r*W, C) for a Tensor x (N, H, W, C*r*r)."""
    n, h, w, channels = x.shape
    c = channels // (r * r)
    x = x.reshape(n, h, w, c, r, r).transpose(0, 1, 4, 2, 5, 3)  # (N, H, i, W, j, C)
    return x.reshape(n, h * r, w * r, c)


check("6.1", shuffle)

# %%
# To be clicked: which number of which channel became this pixel?
inspect(nn.PixelShuffle(2), channels[:, 20:32, 28:40], loss=lambda y: (y * y).mean())

# %% [markdown]
# ## Compute small, then spread
#
# There are two ways to double the size of a photo: enlarge it first and convolve the large photo, or convolve the
# small photo to four times the channels and shuffle. Both make 64 channels of 3 x 3 windows. **Predict.** Which costs
# more multiplications, and how many times? Which sees more of the photo?

# %%
h, w = 96, 96
first = (2 * h) * (2 * w) * 3 * 3 * 64 * 64
later = h * w * 3 * 3 * 64 * (4 * 64)
print(f"enlarge, convolve: {first / 1e9:.2f} G    convolve, shuffle: {later / 1e9:.2f} G")

# %% [markdown]
# <details><summary>The answer</summary>
#
# They cost the same. But the second has four times as many weights, one kernel for each of the four positions, and
# its window covers 3 x 3 pixels of the *small* photo, 6 x 6 of the large one. The real saving is in the layers
# before: the sixteen residual blocks run on the small image, at a sixteenth of the pixels of the final one.
# </details>
#
# ## The checkerboard
#
# Each position in the square has its own kernel, and kernels are initialized at random. So neighbouring pixels of the
# large image come from unrelated kernels.


# %%
def enlarge(weight, photo=photo[40:80, 60:100]):
    y = ops.pixel_shuffle(ops.conv2d(Tensor(photo[None]), Tensor(weight), padding=1), 2)
    return y.numpy()[0, :, :, 0]


he = enlarge(nn.he_normal((3, 3, 3, 4), rng))
icnr = enlarge(nn.icnr((3, 3, 3, 4), rng, factor=2))
images_figure(
    {"x": photo[40:80, 60:100], "he_normal, shuffled": he, "icnr, shuffled": icnr}, width=3
)

# %% [markdown]
# **Figure 2.** A detail of the photo; one channel that a random convolution and a shuffle make of it, covered by a
# regular pattern two pixels wide; and one with weights drawn by ICNR, which shows blocks of 2 x 2 equal pixels instead.
#
# ### Exercise 6.2: measure it
#
# In a photo, even and odd pixels have the same average. Average `y` over all pixels of each of the $r \cdot r$
# positions: the more these averages differ, the stronger the pattern. Return them, `(r, r)`.


# %% tags=["exercise"]
def phase_means(y, r):
    """Return m (r, r), the mean of y over rows i, i + r, .. and columns j, j + r, .. in m[i, j]."""
    return ...


check("6.2", phase_means)


# %% tags=["solution"]
def phase_means(y, r):
    """Return m (r, r), the mean of y over rows i, i + r, .. and columns j, j + r, .. in m[i, j]."""
    return np.array([[y[i::r, j::r].mean() for j in range(r)] for i in range(r)])


check("6.2", phase_means)

# %% [markdown]
# ### Exercise 6.3: ICNR
#
# The solution is simple: initialize the $r \cdot r$ kernels of each square as copies of one kernel. Then each pixel
# of the small image is repeated at first, and training changes this. From the formula at the top: which output
# channels of the weight belong to one square?


# %% tags=["exercise"]
def icnr_from(weight, r):
    """Return (kh, kw, in, out * r * r) for a weight (kh, kw, in, out)."""
    return ...


check("6.3", icnr_from)


# %% tags=["solution"]
def icnr_from(weight, r):
    """Return (kh, kw, in, out * r * r) for a weight (kh, kw, in, out)."""
    return np.repeat(weight, r * r, axis=-1)


check("6.3", icnr_from)

# %% [markdown]
# ## Its older cousin
#
# Before pixel shuffle, networks enlarged images by a transposed convolution of stride 2: every pixel is scattered
# over a window, and the windows are two pixels apart. **Predict.** Let image and kernel consist of ones. The result
# counts how many windows cover each pixel. Is it even for a kernel of 2 x 2, of 3 x 3, of 4 x 4?

# %%
ones = Tensor(np.ones((1, 5, 5, 1)))
kernels = {f"{k} x {k}, ones": np.ones((k, k)) for k in (2, 3, 4)}
kernels["3 x 3, a tent"] = np.outer([1 / 2, 1, 1 / 2], [1 / 2, 1, 1 / 2])
cover = {
    name: ops.conv2d_transpose(ones, Tensor(k[:, :, None, None]), stride=2)
    for name, k in kernels.items()
}
images_figure({name: y.numpy()[0, :, :, 0] for name, y in cover.items()}, width=2)

# %% [markdown]
# **Figure 3.** How many windows cover each pixel. With 2 x 2 exactly one; with 3 x 3 one, two or four in a
# checkerboard; with 4 x 4 again evenly four, but for the border. On the right 3 x 3 with the weights of a tent: even.
#
# So whether a pattern appears depends on size and weights together. If the size is not a multiple of the stride, the
# weights must compensate for unequal numbers of windows, as those of the tent do; random weights do not. With pixel
# shuffle every pixel has equally many weights, and an initialization without a pattern is possible. Will training
# undo this? Let us measure.
#
# The gradient of a convolution with stride $s$ is such a scattering. The discriminator of notebook 9 needs the forward
# pass: its windows are $s$ pixels apart, on an image with a border of `padding` zeros on every side.
#
# ### Exercise 6.4: stride and padding (harder)


# %% tags=["exercise"]
def conv_strided(x, weight, bias, stride, padding):
    """Return y (H', W', O) for x (H, W, C), weight (kh, kw, C, O) and bias (O,)."""
    return ...


check("6.4", conv_strided)


# %% tags=["solution"]
def conv_strided(x, weight, bias, stride, padding):
    """Return y (H', W', O) for x (H, W, C), weight (kh, kw, C, O) and bias (O,)."""
    kh, kw, _, outputs = weight.shape
    x = np.pad(x, ((padding, padding), (padding, padding), (0, 0)))
    height, width = (x.shape[0] - kh) // stride + 1, (x.shape[1] - kw) // stride + 1
    y = np.zeros((height, width, outputs)) + bias
    for i, j in np.ndindex(kh, kw):  # every stride-th pixel from (i, j) on, for all windows at once
        part = x[i : i + stride * height : stride, j : j + stride * width : stride]
        y += part[:height, :width] @ weight[i, j]
    return y


check("6.4", conv_strided)


# %%
def spread(y):
    return np.std([y[i::2, j::2].mean() for i in (0, 1) for j in (0, 1)])


def watch(draw, steps=200):
    rng, low = np.random.default_rng(6), imresize(photo, 1 / 2)
    first = nn.Conv2d(3, 16, 3, padding=1, rng=rng)
    last = nn.Conv2d(16, 12, 3, padding=1, rng=rng)
    last.weight.data[...] = draw((3, 3, 16, 12), rng)
    net, spreads = nn.Sequential(first, nn.PReLU(16), last, nn.PixelShuffle(2)), []
    optimizer = Adam(net.parameters(), lr=0.003)
    for _ in range(steps):
        y = net(Tensor(low[None]))
        spreads.append(spread(y.numpy()[0]))
        net.zero_grad()
        ops.mse(y, Tensor(photo[None])).backward()
        optimizer.step()
    return spreads


# %%
lines = {
    "he_normal": watch(nn.he_normal),
    "icnr": watch(lambda shape, rng: nn.icnr(shape, rng, factor=2)),
    "the photo itself": [spread(photo)] * 200,
}
figure = lines_figure({k: (range(200), v) for k, v in lines.items()}, "step", "std of phase means")
figure.axes[0].set_yscale("symlog", linthresh=1e-4)
figure

# %% [markdown]
# **Figure 4.** How strong the pattern is while two small networks learn to enlarge a photo. With independent random
# kernels it starts near 1 and needs a hundred steps to fall to the photo's own value, less than 0.001. From ICNR it
# starts at exactly 0 and is never much above.
#
# So training does remove the pattern, but slowly. ICNR saves those steps; and the discriminator cannot use the
# pattern to recognize generated images.
#
# ## Summary
#
# Pixel shuffle only moves values. Its checkerboard artefact comes from the initialization, and ICNR avoids it.
#
# - `minisrgan/ops/shuffle.py`: both directions, each the other's gradient; the order of channels is PyTorch's
# - `minisrgan/nn/init.py`: `icnr`; `minisrgan/models/generator.py`: `Upsample` uses it
# - the paper: Ledig et al. 2017, sec. 2.1 and fig. 4: two of these, each with $r = 2$, make the factor of 4; Shi et al.
#   2016 (arXiv 1609.05158), eq. 4, for the shuffle
#
# **Open question.** How could a network enlarge by 2.5? What would take the place of the shuffle?
#
# **Next:** notebook 7, where all the parts become the generator.
