# %% [markdown]
# # 11. Judging honestly
#
# **You will** measure enlarged photos as papers do, and see how much the protocol changes; write the formula of SSIM
# and learn why it has two versions; plot perception against distortion; and make a forged number plate whose small
# photo equals the true one's.
#
# **Time:** 75 minutes. **Before:** notebooks 1 and 8.

# %%
# %matplotlib inline
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from checks import check
from minisrgan.data import sample_photos
from minisrgan.images import detail, grid, imresize, nearest, niqe, psnr, rgb_to_y, ssim
from minisrgan.inference import upscale
from minisrgan.inference.evaluate import average, judge, load_methods, whole_pixels
from minisrgan.inference.measures import niqe_parameters
from minisrgan.inference.mix import blend
from minisrgan.show import images_figure, lines_figure, make_strip, strips_figure
from minisrgan.weights import boxed, load_generator

photos = {name: whole_pixels(photo, 4) for name, photo in sample_photos().items()}
_, methods = load_methods([boxed("srresnet"), boxed("srgan")])

# %% [markdown]
# ## The protocol
#
# Shrink an original to a quarter by bicubic, enlarge it by each method, compare. **Predict.** Which will have the
# highest PSNR?

# %%
original = photos["chelsea"]
low = imresize(original, 1 / 4)
pictures, scores = judge(low, original, methods, scale=4)
shown = {name: pictures[name] for name in ("bicubic", "srresnet", "srgan")}
strips_figure([make_strip("cat", shown | {"original": original}, scores, (76, 88, 112, 128))])

# %% [markdown]
# **Figure 1.** A cat, and a detail of the photo: blurred by bicubic, firmer by srresnet, with lines like
# hairs by srgan, and as it was. Below, PSNR and SSIM: both are best for srresnet.
#
# <details><summary>The answer</summary>
#
# `srresnet`, two decibels above `srgan`: it was trained for this. Texture in the wrong place has a larger error than
# none. The paper's SRGAN loses 2.65 dB on Set5.
# </details>
#
# ## A set, and one number
#
# A paper's number is a mean over a set of photos. Three more numbers say whether there is texture: *detail*, fine
# structure relative to the original's; *grid*, above 1 for a lattice of 4 pixels; and NIQE, lower for more natural
# pictures, without an original. For NIQE run `minisrgan weights fetch niqe`, and change `NIQE`.

# %%
NIQE = False  # or True, with its parameters fetched
natural = niqe_parameters() if NIQE else None
results = [(photo, *judge(imresize(photo, 1 / 4), photo, methods, 4)) for photo in photos.values()]

# %%
for name in methods:
    mean = average([scores[name] for _, _, scores in results])
    made = [(pictures[name], photo) for photo, pictures, _ in results]
    sharp, lattice = np.exp(np.mean([np.log([detail(a, b), grid(a)]) for a, b in made], axis=0))
    print(f"{name:9} {mean.psnr:.2f} dB  {mean.ssim_daala:.3f} daala", end="")
    print(f"  {mean.ssim_wang:.3f} Wang  detail {sharp:.2f}  grid {lattice:.2f}", end="")
    print(f"  NIQE {np.mean([niqe(a, natural) for a, _ in made]):.2f}" if NIQE else "")

# %% [markdown]
# Of the networks, `srgan` has larger errors and much more detail. On Set14, NIQE is 6.62 for `srresnet`, 3.64 for
# `srgan` and 4.84 for the originals (`minisrgan/weights/boxed/srgan.md`).
#
# ### Exercise 11.1: the PSNR of a set
#
# Given the mean squared error of each photo, return the set's PSNR as papers define it. Each photo counts once.


# %% tags=["exercise"]
def set_psnr(errors):
    """Return the PSNR in dB of a set, for the mean squared errors (n,) of its photos."""
    return ...


check("11.1", set_psnr)


# %% tags=["solution"]
def set_psnr(errors):
    """Return the PSNR in dB of a set, for the mean squared errors (n,) of its photos."""
    return np.mean(10 * np.log10(255**2 / errors))


check("11.1", set_psnr)

# %% [markdown]
# **Predict.** The same picture, `srresnet`'s cat, measured by five rules. How far apart can they be?


# %%
def decibels(a, b):
    return 10 * np.log10(255**2 / np.mean((a.astype(float) - b) ** 2))


best, grey = pictures["srresnet"], [0.299, 0.587, 0.114]
print(f"Y from 16 to 235, no border (papers)  {psnr(best, original):.2f} dB")
print(f"Y from 16 to 235, with the border     {psnr(best, original, crop=0):.2f} dB")
print(f"Y from 0 to 255                       {decibels(best @ grey, original @ grey):.2f} dB")
print(f"red, green and blue                   {decibels(best, original):.2f} dB")
print(f"the photo one pixel to the right      {psnr(np.roll(best, 1, 1), original):.2f} dB")

# %% [markdown]
# <details><summary>The answer</summary>
#
# 1.6 dB, twice the network's gain over bicubic on this photo. Papers call each of the first four PSNR: compare only
# under the same protocol.
# </details>
#
# ## Two SSIMs
#
# SSIM uses a small window with weights $w$ that sum to 1, and compares the means $m$, the variances $v$ and the
# covariance of the two images $x$ and $y$ in it; then it averages over all windows:
#
# $$\mathrm{SSIM} = \frac{(2\, m_x m_y + c_1)(2\, \mathrm{cov} + c_2)}{(m_x^2 + m_y^2 + c_1)(v_x + v_y + c_2)}
# \qquad c_1 = (0.01 \cdot 255)^2, \quad c_2 = (0.03 \cdot 255)^2$$
#
# ### Exercise 11.2: one window


# %% tags=["exercise"]
def window_ssim(x, y, w):
    """Return the SSIM of the pixels x and y (n,) of one window with weights w (n,), sum 1."""
    return ...


check("11.2", window_ssim)


# %% tags=["solution"]
def window_ssim(x, y, w):
    """Return the SSIM of the pixels x and y (n,) of one window with weights w (n,), sum 1."""
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    mx, my = (w * x).sum(), (w * y).sum()
    vx, vy, cov = (
        (w * (x - mx) ** 2).sum(),
        (w * (y - my) ** 2).sum(),
        (w * (x - mx) * (y - my)).sum(),
    )
    return (2 * mx * my + c1) * (2 * cov + c2) / ((mx**2 + my**2 + c1) * (vx + vy + c2))


check("11.2", window_ssim)

# %% [markdown]
# Wang's window has a $\sigma$ of 1.5 pixels. The one of the codec project Daala, by which SRGAN's authors measured,
# has $\sigma = 1.5 \cdot \mathrm{height} / 256$. **Predict.** Stack $k$ copies of one pair vertically. How does each
# SSIM change?

# %%
cat = photos["chelsea"][40:168, 60:252]
large, copies = methods["srresnet"](imresize(cat, 1 / 4)), range(1, 7)
towers = [[np.tile(picture, (k, 1, 1)) for picture in (large, cat)] for k in copies]
kinds = ("daala", "wang")
lines = {kind: (copies, [ssim(*pair, method=kind) for pair in towers]) for kind in kinds}
lines_figure(lines, "copies, each 128 pixels tall", "SSIM")

# %% [markdown]
# **Figure 2.** SSIM of the same picture, repeated downwards. Wang's stays near 0.75; Daala's climbs from below it to
# 0.86, for its window grows with the height until it no longer sees small structure. They are equal near two copies,
# where the picture is 256 pixels tall. So an SSIM value without the name of its definition says little.
#
# ## Perception against distortion
#
# *Distortion* is the distance of a picture from its original. *Perception* is the distance between two distributions:
# that of a method's images and that of photos. It needs no pairs of images. A simple example is the distribution of
# the differences between neighbouring pixels: a blurred image has too few large ones.
#
# ### Exercise 11.3: the distance of two distributions
#
# How far must the numbers of $a$ be moved until they are distributed like those of $b$? It is best to move the
# smallest to the smallest, and so on; the mean length of the moves is the *Wasserstein distance*.


# %% tags=["exercise"]
def crowd_distance(a, b):
    """Return the mean distance that the numbers a (n,) move, to be distributed like b (n,)."""
    return ...


check("11.3", crowd_distance)


# %% tags=["solution"]
def crowd_distance(a, b):
    """Return the mean distance that the numbers a (n,) move, to be distributed like b (n,)."""
    return np.abs(np.sort(a) - np.sort(b)).mean()


check("11.3", crowd_distance)


# %%
def place(enlarge):
    """Return (distortion, perception) of a method, both as means over details of the photos."""
    crops = [photo[40:232, 60:252] for photo in photos.values()]
    pairs = [(enlarge(imresize(crop, 1 / 4)), crop) for crop in crops]
    steps = [[np.sort(np.abs(np.diff(rgb_to_y(p))).ravel()) for p in pair] for pair in pairs]
    return np.mean([psnr(*pair) for pair in pairs]), np.mean([abs(a - b).mean() for a, b in steps])


states = [load_generator(name).state_dict() for name in ("srresnet", "srgan")]


def blended(ratio):
    model = load_generator("srresnet")
    model.load_state_dict(blend(*states, ratio))
    return place(lambda low: upscale(model, low))


# %% [markdown]
# Two networks of the same architecture can be mixed by interpolating their weights. And a trick: sharpen the image of
# `srresnet`, which needs no training. **Predict.** Will the trick be above the networks or below?


# %%
def sharpened(amount):
    def enlarge(low):
        y = methods["srresnet"](low).astype(float)
        y += amount * (y - imresize(imresize(y, 1 / 4), 4))
        return np.round(y).clip(0, 255).astype(np.uint8)

    return place(enlarge)


lines = {"srresnet to srgan": [blended(ratio) for ratio in (0, 0.25, 0.5, 0.75, 1)]}
lines["srresnet, sharpened"] = [sharpened(amount) for amount in (0, 0.25, 0.5, 0.75, 1)]
figure = lines_figure({n: np.transpose(p) for n, p in lines.items()}, "PSNR, dB", "crowd distance")
for line, size in zip(figure.axes[0].lines, (10, 5)):  # both begin at the same point
    line.set(marker="o", markersize=size)
for name, points in lines.items():
    print(f"{name:20}", *(f"{decibel:.3f} dB" for decibel, _ in points))
figure

# %% [markdown]
# **Figure 3.** PSNR, better to the right, against the distance of pixel differences, better downwards. Both curves begin
# with srresnet, one dot in the other. A quarter of srgan costs 0.01 dB; all of it halves the distance, and costs more
# than a decibel. Below 31.3 dB the trick's curve is above: at the same PSNR its pixel differences are less like those
# of photos.
#
# <details><summary>The answer</summary>
#
# Soon above. The network adds texture where there was texture; sharpening amplifies everything. But it lowers the
# distance: a simple method can deceive a measure. In the end people must judge, unaware of the methods.
# </details>


# %%
# From SRResNet to SRGAN: where does texture appear that you would not believe?
def at_ratio(ratio):
    model = load_generator("srresnet")
    model.load_state_dict(blend(*states, ratio))
    return images_figure({f"{ratio:.0%} srgan": upscale(model, low[8:56, 24:88])}, width=4)


slider(at_ratio, "ratio", [0, 0.25, 0.5, 0.75, 1], 0.5)

# %% [markdown]
# ## When not to trust the picture
#
# Two number plates; the small photo is of the first. The loop below changes any image as little as possible until
# shrinking it gives that small photo. **Predict.** Start it from the *other* plate. Which will one read?


# %%
def plate(text):
    image, font = Image.new("RGB", (96, 32), (190, 190, 180)), ImageFont.load_default(16)
    ImageDraw.Draw(image).text((48, 16), text, (60, 60, 70), font, "mm")
    return np.asarray(image)


low = imresize(plate("SK 3806"), 1 / 4)
forged = plate("SK 8950").astype(float)
for _ in range(50):
    forged = (forged + imresize(low - imresize(forged, 1 / 4), 4)).clip(0, 255)
forged = np.round(forged).astype(np.uint8)
small = imresize(forged, 1 / 4)

# %%
print("largest difference of the two small photos:", abs(small.astype(int) - low).max())
shown = {"true": plate("SK 3806"), "small": nearest(low, 4), "srgan": methods["srgan"](low)}
shown |= {"forged": forged, "small, of the forged": nearest(small, 4)}
images_figure(shown, columns=3, width=2.8)

# %% [markdown]
# **Figure 4.** Above: a plate, SK 3806; its small photo, 24 x 8 pixels; what srgan makes of that, dark, crossing
# strokes, no digits. Below: the forgery, a clear SK 8950; and its small photo, equal to the other in every pixel.
#
# <details><summary>The answer</summary>
#
# The other. Both plates have the same small photo, so no program can tell which plate it shows. A network produces
# what is likely according to its training photos. For a cat's fur this is acceptable; for a number plate, a face or
# an X-ray it is no evidence.
# </details>
#
# ## Summary
#
# State the protocol and the definition of SSIM. Distortion and perception cannot both be optimal, and measures of
# perception are easily deceived. Detail that is not in the small photo is invented.
#
# - `minisrgan/inference/evaluate.py`: the protocol; `minisrgan evaluate FOLDER` prints its table beside the paper's
# - `minisrgan/images/quality.py`: both SSIMs; `minisrgan/inference/mix.py`: `blend`
# - the paper: Ledig et al. 2017, sec. 3.1, 3.5 and 4: people judged SRGAN's pictures best, PSNR did not; Blau and
# Michaeli 2018 (arXiv 1711.06077), who prove this trade-off
#
# **Open question.** Is there a number that no network could be trained to satisfy without becoming better?
#
# **Next:** notebook 12, how all of this became fast.
