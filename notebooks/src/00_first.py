# %% [markdown]
# # 0. From a small photo to a large one
#
# **You will** enlarge a photo four times with the bundled networks; see where they are better than bicubic, and where
# they only guess; and find out how much of the photo one pixel depends on.
#
# **Time:** 30 minutes; the first picture takes two. **Before:** some Python. Run a cell with Shift+Enter.

# %%
# %matplotlib inline
from base64 import b64encode
from html import escape

import numpy as np
from IPython.display import HTML, display
from PIL import Image, ImageSequence

from checks import check
from course import framed
from exercises.n00 import error_map as difference
from minisrgan.data import sample_photos
from minisrgan.images import detail, grid, imresize
from minisrgan.inference import upscale
from minisrgan.inference.evaluate import judge, load_methods
from minisrgan.show import images_figure, make_strip, strips_figure
from minisrgan.show.slider import slider_page
from minisrgan.weights import boxed, load_generator

# %% [markdown]
# ## Two minutes
#
# Take a small photo, load a network, enlarge.

# %%
photo = sample_photos(["chelsea"])["chelsea"][24:280, 64:320]  # (rows, columns, colours)
small = imresize(photo, 1 / 4)
generator = load_generator("srresnet")
large = upscale(generator, small)
images_figure({"small, 64 x 64": small, "large, 256 x 256": large}, width=2.2)

# %% [markdown]
# **Figure 1.** A cat in 64 x 64 pixels, coarse squares, and what the network makes of them: the same face in 256 x 256
# pixels, with clear eyes and smooth fur.
#
# For a photo of your own, read it with `read_image` of `minisrgan.images`, or type
# `minisrgan upscale me.jpg --model srgan` in a terminal.
#
# ### Exercise 0.1: the size of the work
#
# A photo is an array of numbers: rows, columns, and three colours from 0 to 255. If the network enlarges by `scale`,
# how many unknown numbers must it predict?


# %% tags=["exercise"]
def unknown(rows, columns, scale):
    """Return how many more numbers the large photo has than the small one (rows, columns, 3)."""
    return ...


check("0.1", unknown)


# %% tags=["solution"]
def unknown(rows, columns, scale):
    """Return how many more numbers the large photo has than the small one (rows, columns, 3)."""
    return rows * columns * 3 * (scale**2 - 1)


check("0.1", unknown)

# %% [markdown]
# At x4 there are 15 unknown numbers for each that is known. The network predicts them from what it has learned from
# 72 photos, such as the shapes of edges and hair. All its knowledge is stored in this many numbers:

# %%
print(generator.describe(), f"- {generator.parameter_count():,} parameters")

# %% [markdown]
# ## Against the original
#
# There are two bundled networks. `srresnet` was trained to minimize the error. `srgan` continued the training from
# there, with a second network that learns to distinguish real photos from generated ones. **Predict.** Which will be
# closer to the original? Which will look sharper?

# %%
_, methods = load_methods([boxed("srresnet"), boxed("srgan")])
pictures, scores = judge(small, photo, methods, scale=4)
shown = {name: pictures[name] for name in ("bicubic", "srresnet", "srgan")}
for name, picture in shown.items():
    print(f"{name:9} detail {detail(picture, photo):.2f}, grid {grid(picture):.2f}")
strip = make_strip("cat", shown | {"original": photo}, scores, (52, 24, 112, 128))
strips_figure([strip])

# %% [markdown]
# **Figure 2.** The photo, and a detail: blurred by bicubic; with firm lines and smooth fur by srresnet; with single hairs
# by srgan; and the original, whose hairs lie elsewhere. Below: PSNR in decibels and SSIM, two measures of similarity.
#
# <details><summary>The answer</summary>
#
# `srresnet` is closer, by both measures. `srgan` looks sharper: its *detail*, the strength of fine structure relative to
# the original's, is 0.77 instead of 0.19. But its hairs are plausible, not known. *Grid* is 1 or less without a
# lattice of 4 pixels.
# </details>

# %% [markdown]
# Drag the line:

# %%
closer = make_strip("cat", strip.details, scores, (60, 8, 48, 48))
page = slider_page(strip.details, closer, "srresnet", "srgan")
style = "width: 100%; height: 560px; border: 0"
frame = f'<iframe title="A slider" style="{style}" srcdoc="{escape(page)}"></iframe>'
HTML(framed(frame))

# %% [markdown]
# ### Exercise 0.2: where it is wrong
#
# Return a map of the errors: at each pixel the absolute difference, averaged over the colours. Take care: photos are
# `uint8`, in which 3 - 5 is 254.


# %% tags=["exercise"]
def error_map(picture, original):
    """Return the errors (rows, columns) of a picture (rows, columns, 3), both uint8."""
    return ...


check("0.2", error_map)


# %% tags=["solution"]
def error_map(picture, original):
    """Return the errors (rows, columns) of a picture (rows, columns, 3), both uint8."""
    return np.abs(picture.astype(float) - original).mean(axis=2)


check("0.2", error_map)


# %%
maps = {name: difference(pictures[name], photo) for name in ("bicubic", "srresnet")}
maps["srgan - srresnet"] = difference(pictures["srgan"], pictures["srresnet"])
images_figure(maps, width=1.9, limit=50)

# %% [markdown]
# **Figure 3.** Errors, white for 50 levels or more. Bicubic and srresnet have them along all hairs and whiskers. On the
# right, the difference between the networks: most in fur, where srgan invents details.
#
# ## How far does a pixel look?
#
# **Predict.** Make one pixel of the small photo black. Bicubic mixes 4 x 4 pixels, so a square of 16 x 16 changes. How
# large is the patch that changes when a network enlarges?

# %%
changed = small.copy()
changed[32, 32] = 0
patches = {}
for name in ("bicubic", "srresnet"):
    before, after = methods[name](small), methods[name](changed)
    patches[name] = np.minimum(difference(after, before), 4)
    print(f"{name}: {np.mean(patches[name] > 0):.1%} of the pixels change")
images_figure(patches, width=3.5)

# %% [markdown]
# **Figure 4.** What changes when one pixel of the small photo does, white for 4 levels or more. Bicubic: a small cross,
# since its weights are a product, one factor for rows and one for columns: away from both axes both are small.
# srresnet: a patch several times as wide, dense in the middle, with scattered pixels around it.
#
# <details><summary>The answer</summary>
#
# About ten times as many pixels as for bicubic. Each of the sixteen residual blocks extends the receptive field by
# two pixels, so the network can detect that a line continues, or that a texture repeats. Distant pixels have little
# influence, and most of it disappears when the result is rounded. The radius of the receptive field, in pixels of the
# small photo, is known exactly:
# </details>

# %%
print(f"{generator.receptive_radius:.2f} pixels in each direction")

# %% [markdown]
# ## How the texture came
#
# `srgan` began as an SRResNet. For 400 steps only its opponent learned, then both, until step 3,300. **Predict.** Does
# texture come slowly or at once?

# %%
film = boxed("srgan").with_name("srgan_film.png")
frames = [np.asarray(frame.convert("RGB")) for frame in ImageSequence.Iterator(Image.open(film))]
names = ["start", *(f"step {n:,}" for n in (600, 1000, 1500, 2200)), "srgan", "original"]
source = f"data:image/png;base64,{b64encode(film.read_bytes()).decode()}"
display(HTML(f'<p><img width="336" alt="The pictures below as a film" src="{source}"></p>'))
for name, frame in zip(names, frames):
    print(f"{name:10} detail {detail(frame, frames[-1]):.2f}")
images_figure({names[k]: frames[k] for k in (0, 2, 4, 5, 6)}, width=1.25)

# %% [markdown]
# **Figure 5.** A detail of the cat at first, after 1,000 and 2,200 steps, by srgan, and the original. The fur below
# the eye is smooth at first, then has lines, then bright single hairs; the eye hardly changes.
#
# <details><summary>The answer</summary>
#
# Over thousands of steps. *Detail* falls once: the settings were changed on the way.
# </details>
#
# ### Exercise 0.3: a little of both
#
# Mix two images: a fraction $t$ of the second, and the rest of the first. Return `uint8`, rounded.


# %% tags=["exercise"]
def mixed(a, b, t):
    """Return a mixture of two uint8 pictures, as uint8; t is the share of b, from 0 to 1."""
    return ...


check("0.3", mixed)


# %% tags=["solution"]
def mixed(a, b, t):
    """Return a mixture of two uint8 pictures, as uint8; t is the share of b, from 0 to 1."""
    return np.round((1 - t) * a.astype(float) + t * b).astype(np.uint8)


check("0.3", mixed)

# %% [markdown]
# ## The map of the course
#
# | | | you end up with |
# |---|---|---|
# | 1 | [Pixels, downscaling and bicubic](01_pixels.ipynb) | bicubic by hand; PSNR, and where it misleads |
# | 2 | [Autograd in a page](02_autograd.ipynb) | an engine of your own that finds gradients |
# | 3 | [Convolution three ways](03_convolution.ipynb) | loops, one product, blocks; both gradients |
# | 4 | [Activations that learn](04_activations.ipynb) | PReLU, and a slope that trains |
# | 5 | [Batch norm and residual blocks](05_batchnorm.ipynb) | the backward everybody looks up |
# | 6 | [Pixel shuffle](06_pixelshuffle.ipynb) | checkerboards, made and cured |
# | 7 | [The generator](07_generator.ipynb) | SRResNet, assembled and trained |
# | 8 | [What VGG sees](08_perceptual.ipynb) | a loss that looks at features |
# | 9 | [Two players](09_two_players.ipynb) | the game of generator and discriminator |
# | 10 | [Training the SRGAN](10_training.ipynb) | the full loop, and how it fails |
# | 11 | [Judging honestly](11_judging.ipynb) | what numbers tell, and what they do not |
# | 12 | [Making it fast](12_fast.ipynb) | Winograd by hand; the profiler |
#
# Notebooks 2 to 6 build the parts, 7 to 10 the whole. In a hurry: 2 to 10, each up to its first exercise (README.md).
#
# ## Summary
#
# Enlarging means predicting: 15 numbers of 16 are unknown. A network predicts them from the neighbourhood of each
# pixel and from what it has learned.
#
# - `minisrgan/inference/upscale.py`: photos of any size; `minisrgan/models/generator.py`: the network, on one screen
# - `minisrgan/weights/boxed/srgan.md`: what the bundled models were trained on, and what they cannot do
# - the paper: Ledig et al. 2017, fig. 2 and sec. 1: the same comparison as figure 2
#
# **Open question.** Which photo would make `srgan` invent something that misleads a reader?
#
# **Next:** notebook 1, what a photo is and what shrinking does to it.
