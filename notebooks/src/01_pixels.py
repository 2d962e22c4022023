# %% [markdown]
# # 1. Pixels, downscaling and bicubic
#
# **You will** see what a photo loses when it is shrunk, and which false patterns can appear; build the bicubic kernel
# by hand; and compute PSNR and SSIM, the measures used in papers, and learn where they mislead.
#
# **Time:** 60 minutes. **Before:** NumPy arrays.

# %%
# %matplotlib inline
import numpy as np

from checks import check
from minisrgan.data import sample_photos
from minisrgan.images import imresize, nearest, psnr, rgb_to_y, ssim
from minisrgan.images.resize import cubic
from minisrgan.inference.evaluate import Score
from minisrgan.show import images_figure, lines_figure, make_strip, strips_figure

rng = np.random.default_rng(1)
photo = sample_photos(["astronaut"])["astronaut"][:320, 60:380]  # (H, W, 3), uint8
eye = photo[94:110, 174:198]

# %% [markdown]
# ## A photo is an array
#
# Rows, columns, channels: a pixel is three numbers from 0 to 255, for red, green and blue. There is nothing between two
# pixels, and nothing in them but these numbers.

# %%
print(photo.shape, photo.dtype, "- the first pixel of the eye:", eye[0, 0])
images_figure(
    {"photo": photo, "an eye, 16 x 24 pixels": eye, "its red channel": eye[..., 0]}, width=3
)

# %% [markdown]
# **Figure 1.** An astronaut in an orange suit; one of her eyes, where single pixels become squares; and the red of
# these pixels as levels of grey.
#
# ## Shrinking invents
#
# The simplest way to a quarter of the size is to keep every fourth pixel. **Predict.** Below are rings that get finer
# and finer outwards. What will every fourth pixel show, where the rings are finer than four pixels?

# %%
i, j = np.mgrid[-160:160, -160:160]
rings = (127.5 + 127.5 * np.cos(np.pi * (i**2 + j**2) / 350)).astype(np.uint8)
small = {"every 4th pixel": rings[::4, ::4], "imresize(rings, 1/4)": imresize(rings, 1 / 4)}
images_figure({"rings, 320 x 320": rings, **small}, width=3)

# %% [markdown]
# **Figure 2.** Rings; every fourth pixel of them, which shows new sets of rings all over, as clear as the true ones in
# the middle; and a proper downscaling, where fine rings fade to an even grey.
#
# <details><summary>The answer</summary>
#
# Other rings, which do not exist. This is *aliasing*: detail that is too fine for the new grid appears as a coarser
# pattern, and afterwards no program can distinguish it from a real one. So one must blur first, that is, average over
# the pixels to be dropped. The detail is then lost; predicting it is the topic of this course.
# </details>
#
# ## The bicubic kernel
#
# Bicubic resizing makes each new pixel from its neighbours in the old image, with weights that depend only on the
# distance $x$:
#
# $$h(x) = \begin{cases} \frac32 |x|^3 - \frac52 |x|^2 + 1 & |x| \le 1 \\
# -\frac12 |x|^3 + \frac52 |x|^2 - 4 |x| + 2 & 1 < |x| \le 2 \\ 0 & \text{else} \end{cases}$$
#
# ### Exercise 1.1: the kernel


# %% tags=["exercise"]
def kernel(x):
    """Return h(x) for an array x of distances."""
    return ...


check("1.1", kernel)


# %% tags=["solution"]
def kernel(x):
    """Return h(x) for an array x of distances."""
    x = np.abs(x)
    near = 3 / 2 * x**3 - 5 / 2 * x**2 + 1
    far = -1 / 2 * x**3 + 5 / 2 * x**2 - 4 * x + 2
    return np.where(x <= 1, near, np.where(x <= 2, far, 0))


check("1.1", kernel)

# %%
x = np.linspace(-9, 9, 721)
lines = {
    "as it is, for enlarging": (x, cubic(x)),
    "four times wider, for 1/4": (x, cubic(x / 4) / 4),
}
lines_figure(lines, "distance in pixels of the old image", "weight")

# %% [markdown]
# **Figure 3.** The kernel: 1 at distance 0, 0 at 1 and 2, slightly negative between them, which sharpens edges. For
# shrinking to a quarter it is stretched four times, so that it averages over 16 pixels: that is the blur before
# dropping.
#
# ### Exercise 1.2: weights of one pixel
#
# Enlarge by $r$. Pixels are squares, and the centre of the first is half a pixel from the border: new pixel $k$ is at
# $(k + \frac12) / r - \frac12$ in the old image. Return the weights of the four old pixels around it, the leftmost
# first. Its index is the integer below that position, minus 1. (Use `cubic`, the package's own `kernel`.)


# %% tags=["exercise"]
def four_weights(k, r):
    """Return the weights (4,) of the old pixels first, first + 1, first + 2, first + 3."""
    return ...


check("1.2", four_weights)


# %% tags=["solution"]
def four_weights(k, r):
    """Return the weights (4,) of the old pixels first, first + 1, first + 2, first + 3."""
    place = (k + 0.5) / r - 0.5
    first = np.floor(place) - 1
    return cubic(place - first - np.arange(4))


check("1.2", four_weights)


# %%
# Move the new pixel from one old pixel to the next: where do weights become negative?
def weights_at(phase):
    taps = np.arange(-1, 3) - phase  # distances of the four old pixels
    title = "weights " + ", ".join(f"{weight:.2f}" for weight in cubic(taps))
    lines = {"kernel": (x[240:481], cubic(x[240:481])), title: (taps, cubic(taps))}
    figure = lines_figure(lines, "distance from the new pixel", "weight")
    figure.axes[0].lines[1].set(marker="o", linestyle="")
    figure.axes[0].legend(loc="upper right", frameon=False)
    return figure


slider(weights_at, "phase", np.linspace(0, 1, 11).round(1), 0.3)

# %% [markdown]
# ## Two rulers
#
# How close is an enlarged photo to the original? Papers compare the luminance $Y$, how bright each pixel is, and give
# the mean squared error on a logarithmic scale, in decibels:
#
# $$\mathrm{PSNR} = 10 \log_{10} \frac{255^2}{\mathrm{mean}((Y_1 - Y_2)^2)}$$
#
# ### Exercise 1.3: PSNR
#
# Take care: the arrays are `uint8`, and in those 3 - 5 is 254. (Right answers are kept in `mine.py`, beside the
# notebook: notebook 7 builds a network from them.)


# %% tags=["exercise"]
def my_psnr(y1, y2):
    """Return the PSNR in dB of two luminances, uint8 (H, W)."""
    return ...


check("1.3", my_psnr)


# %% tags=["solution"]
def my_psnr(y1, y2):
    """Return the PSNR in dB of two luminances, uint8 (H, W)."""
    error = np.mean((y1.astype(float) - y2.astype(float)) ** 2)
    return 10 * np.log10(255**2 / error)


check("1.3", my_psnr)

# %% [markdown]
# The package's `psnr` leaves out 4 pixels at the border, as papers do. The rest of the course tries to improve on
# these values:

# %%
low = imresize(photo, 1 / 4)
pictures = {"nearest": nearest(low, 4), "bicubic": imresize(low, 4), "original": photo}
scores = {n: Score(psnr(p, photo), ssim(p, photo)) for n, p in pictures.items() if n != "original"}
strips_figure([make_strip("astronaut", pictures, scores, (60, 120, 96, 96))])

# %% [markdown]
# **Figure 4.** The photo, and a detail of it: with each small pixel repeated 4 x 4 times; enlarged by bicubic, smooth
# and soft; and the original, with clear eyes and single strands of hair. Below stand PSNR and SSIM, both in favour of
# bicubic.
#
# ## Where they mislead
#
# SSIM compares every small window of the two in three ways: brightness, contrast and structure, how the pixels vary
# together. It is 1 for equal images. **Predict.** Move the photo by one pixel, which hardly anyone would notice, and
# compute its error. Now brighten the photo, or blur it, or add noise, until the error is the same. Will the four look
# equally good? Which will have the lowest SSIM?

# %%
y = rgb_to_y(photo)
changes = {"moved by a pixel": np.roll(y, 1, axis=1) - y, "brighter": np.ones_like(y)}
changes["blurred"] = imresize(imresize(y, 1 / 5), 5) - y
changes["noisy"] = rng.normal(size=y.shape)
error = {n: np.mean(c[4:-4, 4:-4] ** 2) for n, c in changes.items()}  # psnr leaves out 4 pixels
damaged = {n: y + c * np.sqrt(error["moved by a pixel"] / error[n]) for n, c in changes.items()}

# %%
original, shown = np.round(y).astype(np.uint8), {}
for name, picture in damaged.items():
    picture = np.round(picture).clip(0, 255).astype(np.uint8)
    scores = f"{psnr(picture, original):.1f} dB, SSIM {ssim(picture, original):.2f}"
    shown[f"{name}\n{scores}"] = picture[40:200, 90:250]
images_figure(shown, width=2.3)

# %% [markdown]
# **Figure 5.** A detail of the photo, damaged in four ways with the same mean squared error: moved by a pixel, which
# nobody sees; brighter all over, hardly to be noticed; blurred; and noisy. PSNR says the same of all; SSIM is nearly 1
# for the brighter one and far lower for noise.
#
# <details><summary>The answer</summary>
#
# No. PSNR adds up errors pixel by pixel, whatever pattern they form together. A network trained only for PSNR learns
# to produce blurred images: of all textures that might have been there, their average has the smallest error. This is
# the motivation for SRGAN.
# </details>
#
# ## Summary
#
# Shrinking loses detail, and without blurring it creates false patterns. PSNR measures pixel errors; SSIM compares
# structure; neither agrees with human vision in all cases.
#
# - `minisrgan/images/resize.py`: `cubic`, `weight_table` (your exercise 1.2, for whole axes), `imresize`
# - `minisrgan/images/quality.py`: `psnr`, and the two definitions of SSIM that papers confuse
# - the paper: Ledig et al. 2017, sec. 1 and fig. 2 on what PSNR rewards; sec. 3.1 on how it is measured
#
# **Open question.** Which measure would you choose for photos that a doctor reads, and what should it punish most?
#
# **Next:** notebook 2, how a program can know in which direction to improve.
