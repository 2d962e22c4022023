# %% [markdown]
# # 8. What VGG sees: the perceptual loss
#
# **You will** look at the feature maps of a network for photos; build SRGAN's content loss; make images with equal
# pixel errors and different feature errors; and see the gradients of both losses as images.
#
# **Time:** 60 minutes. **Before:** notebooks 3 and 7.
#
# **The weights.** VGG19's weights were learned from over a million photos and are too large for this course. The
# package brings a small network of the same kind, with 72,080 weights, which learned to tell from which of 72 photos a
# crop was cut. We compare it with random networks of the same shape. For VGG19 run `minisrgan weights fetch vgg19`, and
# change `VGG`.

# %%
# %matplotlib inline
import numpy as np

from checks import check
from minisrgan import Tensor, no_grad, ops
from minisrgan.data import sample_photos
from minisrgan.images import imresize
from minisrgan.losses import MSEContent, VGGContent
from minisrgan.models import VGG19
from minisrgan.show import images_figure, lines_figure, summary_table
from minisrgan.weights import boxed, load_features

VGG = "features"  # or "vgg19", or "random"
photo = imresize(sample_photos(["chelsea"])["chelsea"], 1 / 2)[30:102, 56:152]
x = photo.astype(np.float32) / 127.5 - 1


# %%
def network(phi, seed=0 if VGG == "random" else None):
    """Return the network up to phi_{i,j}, given as "i,j"; with a seed, its weights are random."""
    i, j = map(int, phi.split(","))
    whole = load_features(boxed("vgg19" if VGG == "vgg19" else "features"))
    part = whole.features(phi) if VGG == "vgg19" else whole[: 5 * i + 2 * j - 5]
    rng = np.random.default_rng(seed)
    for p in part.parameters() if seed is not None else ():
        p.data[...] = rng.normal(0, np.sqrt(2 / p.data[..., 0].size), p.shape) if p.ndim == 4 else 0
    return part


# %% [markdown]
# ## A network that was made for something else
#
# VGG19 was built to classify photos. It has five blocks of convolutions, each followed by a ReLU, and between blocks
# a max pooling keeps the largest of 2 x 2 values. $\phi_{i,j}$ is the output of convolution $j$ of block $i$, after
# its ReLU. SRGAN uses $\phi_{2,2}$ and $\phi_{5,4}$. Ours has blocks 1 to 3, with two convolutions each. VGG19 up to
# $\phi_{3,4}$ is:

# %%
print(summary_table(VGG19("3,4"), (1, 24, 32, 3)))

# %% [markdown]
# ### Exercise 8.1: the size of a map
#
# Blocks 1 to 5 have 64, 128, 256, 512 and 512 channels. If the number of rows is odd, a pooling drops the last one.


# %% tags=["exercise"]
def map_shape(i, height, width):
    """Return (height, width, channels) of the maps of block i, for a photo of height x width."""
    return ...


check("8.1", map_shape)


# %% tags=["solution"]
def map_shape(i, height, width):
    """Return (height, width, channels) of the maps of block i, for a photo of height x width."""
    return height // 2 ** (i - 1), width // 2 ** (i - 1), (64, 128, 256, 512, 512)[i - 1]


check("8.1", map_shape)

# %% [markdown]
# **Predict.** One network has random weights. Will its maps look like noise, or will you find the cat?

# %%
shown = {"the photo": photo}
for kind, seed in {"trained": None, "random": 0}.items():
    with no_grad():
        maps = network("2,2", seed)(Tensor(x[None])).numpy()[0]
    best = np.argsort(-maps[4:-4, 4:-4].std(axis=(0, 1)))[:3]
    shown |= {f"{kind}, map {c}": maps[..., c] for c in best}
images_figure(shown, columns=4, width=2.1)

# %% [markdown]
# **Figure 1.** A cat, and three maps of $\phi_{2,2}$ each of two networks, those that vary most, black where a feature is
# absent: in the trained one edges of the eye, or fur; in the random one the whole eye in greys.
#
# <details><summary>The answer</summary>
#
# You find the cat. A random kernel, too, responds to some edges and colours more than to others.
# </details>
#
# ### Exercise 8.2: the input that it expects
#
# The paper's weights were trained on numbers of another kind: channels in the order blue, green, red, from 0 to 255,
# minus the mean of each over all training photos. With any other input the features are wrong, and there is no error.


# %% tags=["exercise"]
def prepared(images, means):
    """Return what VGG19 wants, from images (N, H, W, 3) in [-1, 1], means (3,) of B, G, R."""
    return ...


check("8.2", prepared)


# %% tags=["solution"]
def prepared(images, means):
    """Return what VGG19 wants, from images (N, H, W, 3) in [-1, 1], means (3,) of B, G, R."""
    return (images[..., ::-1] + 1) * 127.5 - means


check("8.2", prepared)

# %% [markdown]
# ### Exercise 8.3: the loss
#
# The VGG loss is the squared distance of the maps, averaged over their positions, and summed over channels:
#
# $$L = \frac{1}{N W H} \sum_{n, h, w, c} (\phi(\mathrm{original}) - \phi(\mathrm{generated}))^2$$


# %% tags=["exercise"]
def feature_loss(generated, original):
    """Return L, a Tensor, for two Tensors of feature maps (N, H, W, C)."""
    return ...


check("8.3", feature_loss)


# %% tags=["solution"]
def feature_loss(generated, original):
    """Return L, a Tensor, for two Tensors of feature maps (N, H, W, C)."""
    difference = generated - original
    return (difference * difference).sum() / (generated.size // generated.shape[3])


check("8.3", feature_loss)

# %% [markdown]
# ## Equally wrong
#
# Move the cat by one pixel: nobody sees it, but the mean squared error is large. Now blur it, add noise, or make it
# brighter, until the error is the same.

# %%
noise = np.random.default_rng(8).normal(size=x.shape).astype(np.float32)
blur = imresize(imresize(photo, 1 / 8), 8).astype(np.float32) / 127.5 - 1 - x


def equally_wrong(shift):
    """Return the cat moved by some pixels; and blurred, noisy and brighter with the same MSE."""
    wrong = {"moved": np.roll(x, shift, axis=1) - x, "blurred": blur, "noisy": noise}
    wrong, error = wrong | {"brighter": np.ones_like(x)}, (wrong["moved"] ** 2).mean()
    return {name: x + d * np.sqrt(error / (d**2).mean()) for name, d in wrong.items()}


# %%
wrong, target = equally_wrong(1), Tensor(x[None])
images_figure({"original": photo, **{name: (y + 1) / 2 for name, y in wrong.items()}}, columns=5)

# %% [markdown]
# **Figure 2.** The cat five times: original; moved by one pixel, hardly visible; blurred; noisy; and brighter.
#
# **Predict.** In features, which of the four is closest to the original? Will it still be closest if the cat moves by
# up to six pixels, with the other errors as large?


# %%
def distances(content, shift):
    """Return the distances of the moved, blurred, noisy and brighter cat, divided by the first."""
    wrong = equally_wrong(shift).values()
    row = np.array([content(Tensor(y[None]), target).item() for y in wrong])
    return row / row[0]


# %%
trained, *drawn = (VGGContent(network("3,2", seed)) for seed in (None, 0, 1, 2, 3))
print("pixels  trained  random, four seeds")
for shift in range(1, 7):
    nearest, *others = (distances(content, shift)[1:].min() for content in (trained, *drawn))
    print(f"{shift}        {nearest:5.2f}    " + "  ".join(f"{other:.2f}" for other in others))

# %% [markdown]
# The distance of the nearest of the other three, divided by that of the moved cat: above 1, the moved one is closest.
#
# <details><summary>The answer</summary>
#
# With the trained features it is, clearly up to five pixels. With random weights it depends on the seed: up to four
# pixels for two, three for another, never for one. This is one photo; try others.
# </details>

# %% [markdown]
# Why? Compare the distances at each depth, for one pixel:

# %%
depths, rows = ("1,1", "1,2", "2,1", "2,2", "3,1", "3,2"), []
for phi in depths:
    rows.append(distances(VGGContent(network(phi)), 1))
lines = {name: (depths, row) for name, row in zip(wrong, np.transpose(rows))}
lines_figure(lines, "feature map phi", "distance / distance of moved")

# %% [markdown]
# **Figure 3.** Distances of the four cats from the original at six depths, divided by that of the moved cat.
# At the left all are near 1, as in pixels. With depth the blurred one moves away, to 12 times, the noisy and the
# brighter one to between 4 and 5.
#
# The first convolution is nearly linear, so its distances are like those of pixels. Then each pooling makes the
# features less sensitive to small movements, but missing detail is still missing: blurred fur does not activate the
# features of fur.
#
# ## The gradient as an image
#
# Suppose the generator returned the blurred cat. For every pixel, the gradient of each loss says: brighter, or darker.

# %%
asked = {"original - blurred": (x - wrong["blurred"])[4:-4, 4:-4, 1]}
pixels, features = MSEContent(), VGGContent(network("3,2"))
contents = {"MSE": pixels, "phi 1,2": VGGContent(network("1,2")), "phi 3,2": features}
for name, content in contents.items():
    y = Tensor(wrong["blurred"][None], requires_grad=True)
    content(y, target).backward()
    asked[f"-gradient of {name}"] = -y.grad.numpy()[0, 4:-4, 4:-4, 1]
images_figure(asked, columns=2, width=3.2)

# %% [markdown]
# **Figure 4.** What to change in the green of the blurred cat, violet for brighter and orange for darker. For MSE it
# is the difference of the two images; that of phi 1,2 follows the strongest edges of the eye; that of phi 3,2 has
# single pixels of either sign, most of them around the eye.
#
# The gradient of a deep feature comes through poolings, which pass it to single pixels.
#
# ### Exercise 8.4: back through a max pooling (harder)
#
# Each window of 2 x 2 passed on its largest value. Where does `grad_y` go? Of equal values, the first in row order was
# passed on.


# %% tags=["exercise"]
def pool_gradient(grad_y, x):
    """Return grad_x (H, W, C) for grad_y (H/2, W/2, C) and the input x of the pooling."""
    return ...


check("8.4", pool_gradient)


# %% tags=["solution"]
def pool_gradient(grad_y, x):
    """Return grad_x (H, W, C) for grad_y (H/2, W/2, C) and the input x of the pooling."""
    grad_x, free = np.zeros_like(x), np.ones(grad_y.shape, bool)  # free: not given to a place yet
    places = [(slice(i, None, 2), slice(j, None, 2)) for i in (0, 1) for j in (0, 1)]
    largest = np.max([x[place] for place in places], axis=0)
    for place in places:
        here = free & (x[place] == largest)
        grad_x[place] = grad_y * here
        free &= ~here
    return grad_x


check("8.4", pool_gradient)

# %% [markdown]
# ## Following it
#
# Start from the blurred cat, and minimize the feature loss with the pixels as parameters. **Predict.** Will the error
# of the pixels fall too, and as far?

# %%
y, history = wrong["blurred"][None].copy(), []
for step in range(40):
    pixel = Tensor(y, requires_grad=True)
    loss = features(pixel, target)
    loss.backward()
    history.append((loss.item(), ops.mse(pixel, target).item()))
    y = y - 0.02 * np.sign(pixel.grad.numpy()) * (1 - step / 40)
(vgg, mse), (last_vgg, last_mse) = history[0], history[-1]
print(f"features {vgg:.1f} to {last_vgg:.1f}, MSE {mse:.3f} to {last_mse:.3f}")
images_figure({"blurred": wrong["blurred"] / 2 + 0.5, "after 40 steps": y[0] / 2 + 0.5}, width=2.8)

# %% [markdown]
# **Figure 5.** The blurred cat, and what 40 steps down the feature loss make of it: the eye has its outline again, and a
# coloured grain covers everything.
#
# <details><summary>The answer</summary>
#
# The distance of features falls to almost 0, the pixel error does not fall at all. Many images have almost the same features. In
# SRGAN, the discriminator's loss selects one of them that looks like a photo, without such grain.
# </details>
#
# ## Summary
#
# Trained feature maps tolerate small movements and notice blur, more so in deeper layers. Random ones do so less
# reliably.
#
# - `minisrgan/models/vgg.py`: the network, and the input that its weights expect
# - `minisrgan/losses/content.py`: `MSEContent` and `VGGContent`, with the factor 1/12.75 of the paper
# - `minisrgan/weights/models.py`: networks read from files; `minisrgan/weights/boxed/features.md`: those in the box
# - the paper: Ledig et al. 2017, sec. 2.2.1 and eq. 5; sec. 3.4 compares $\phi_{2,2}$ with $\phi_{5,4}$
#
# **Open question.** Which differences between two photos should a loss ignore? Do these features ignore them?
#
# **Next:** notebook 9, the discriminator.
