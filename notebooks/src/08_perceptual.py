# %% [markdown]
# # 8. What VGG sees: the perceptual loss
#
# **You will** look at the feature maps of VGG19 for photos; build SRGAN's content loss; make images with equal pixel
# errors and different feature errors; and see the gradients of both losses as images.
#
# **Time:** 60 minutes. **Before:** notebooks 3 and 7.
#
# **The weights.** Trained weights of VGG19 were learned from over a million photos and need half a gigabyte; this
# course does not include them. Ours are random. Many results are the same; the text says where trained weights
# differ. With a file at hand, put `load_vgg19(file, "2,2")` of `minisrgan.weights` in the place of `VGG19`.

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

photo = imresize(sample_photos(["chelsea"])["chelsea"], 1 / 2)[30:102, 56:152]
x = photo.astype(np.float32) / 127.5 - 1

# %% [markdown]
# ## A network that was made for something else
#
# VGG19 was built to classify photos. It has five blocks of convolutions, each followed by a ReLU, and between blocks
# a max pooling keeps the largest of 2 x 2 values. $\phi_{i,j}$ is the output of convolution $j$ of block $i$, after
# its ReLU. SRGAN uses $\phi_{2,2}$ and $\phi_{5,4}$. Up to $\phi_{3,4}$, for a small photo, it is:

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
# **Predict.** The weights are random. Will the maps look like noise, or will you find the cat?


# %%
def maps(phi):
    with no_grad():
        return VGG19(phi, "torchvision")(Tensor(x[None])).numpy()[0]


shown = {f"phi {phi}, map {c}": maps(phi)[..., c] for phi in ("1,2", "2,2") for c in (0, 1, 2, 3)}
images_figure({"the photo": photo, **shown}, columns=3, width=2.1)

# %% [markdown]
# **Figure 1.** A cat, and four maps each of two depths, black where a feature is absent. In the first four the outline
# of the eye can be followed; the next ones are half as fine and coarser; the last is all but black.
#
# <details><summary>The answer</summary>
#
# You find the cat. A random kernel, too, responds to some edges and colours more than to others. In a trained VGG,
# deep feature maps respond to an eye or to fur; here they respond to mixtures.
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
# Move the cat by one pixel: nobody sees it, but the mean squared error is large. Now blur it, add noise to it, or
# make it brighter, each until the error is the same.

# %%
moved = np.roll(x, 1, axis=1)
error = ((moved - x) ** 2).mean()
blurred = imresize(imresize(photo, 1 / 8), 8).astype(np.float32) / 127.5 - 1
noise = np.random.default_rng(8).normal(size=x.shape).astype(np.float32)
wrong = {"blurred": blurred - x, "noisy": noise, "brighter": np.ones_like(x)}
wrong = {name: x + d * np.sqrt(error / (d**2).mean()) for name, d in wrong.items()}
wrong = {"moved": moved, **wrong}
images_figure({"original": photo, **{name: (y + 1) / 2 for name, y in wrong.items()}}, columns=5)

# %% [markdown]
# **Figure 2.** The cat five times: original; moved by one pixel, which cannot be seen; blurred; noisy; and brighter.
#
# **Predict.** To VGG, which of the four is closest to the original, and which furthest?

# %%
pixels, features = MSEContent(), VGGContent(VGG19("3,4", "torchvision"))
target, told = Tensor(x[None]), []
for name, y in wrong.items():
    mse, vgg = (content(Tensor(y[None]), target).item() for content in (pixels, features))
    told.append(f"{name:9} MSE {mse:.4f}  VGG {vgg:6.2f}")
print("\n".join(told))

# %% [markdown]
# <details><summary>The answer</summary>
#
# The moved one, and the blurred one: four to five times as far, with the same error in pixels. This agrees with human
# vision, although these weights were not trained.
# </details>
#
# Why? Compare the distances at each depth, relative to the moved cat:

# %%
depths, distances = ("1,1", "1,2", "2,1", "2,2", "3,2", "3,4", "4,2", "4,4"), []
for phi in depths:
    content = VGGContent(VGG19(phi, "torchvision"))
    distances.append([content(Tensor(y[None]), target).item() for y in wrong.values()])
table = np.array(distances).T
lines = {name: (depths, row / table[0]) for name, row in zip(wrong, table)}
lines_figure(lines, "feature map phi", "distance / distance of moved")

# %% [markdown]
# **Figure 3.** Distances of the four cats from the original at eight depths of VGG19, divided by that of the moved cat.
# At the left all are about 1, as in pixels. With depth the noisy and above all the blurred one move away, to more than
# 4 and 7 times; the brighter one stays close to the moved one.
#
# The first convolution is linear except for its ReLU, and its distances are similar to those of pixels. Then each
# pooling makes the features less sensitive to small movements, but missing detail is still missing: blurred fur does
# not activate the features of fur.
#
# ## The gradient as an image
#
# Suppose the generator returned the blurred cat. For every pixel, the gradient of each loss says: brighter, or darker.

# %%
asked = {"original - blurred": (x - wrong["blurred"])[..., 1]}
contents = {"MSE": pixels, "VGG 1,2": VGGContent(VGG19("1,2", "torchvision")), "VGG 3,4": features}
for name, content in contents.items():
    y = Tensor(wrong["blurred"][None], requires_grad=True)
    content(y, target).backward()
    asked[f"-gradient of {name}"] = -y.grad.numpy()[0, :, :, 1]
images_figure(asked, columns=2, width=3.2)

# %% [markdown]
# **Figure 4.** What to change in the green of the blurred cat, violet for brighter and orange for darker. For MSE it
# is the difference of the two images; that of VGG 1,2 still shows eye and stripes, in finer lines; that of VGG 3,4 is
# a cloud of single pixels of either sign, thickest around the eye.
#
# The gradient of a deep feature reaches all pixels in its receptive field, through poolings; so the image looks
# fragmented.
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
# Now apply gradient descent: start from the blurred cat, and minimize the VGG loss with the pixels themselves as
# parameters. **Predict.** Will the error of the pixels fall too, and as far?

# %%
y, history = wrong["blurred"][None].copy(), []
for step in range(40):
    pixel = Tensor(y, requires_grad=True)
    loss = features(pixel, target)
    loss.backward()
    history.append((loss.item(), ops.mse(pixel, target).item()))
    y = y - 0.02 * np.sign(pixel.grad.numpy()) * (1 - step / 40)
(vgg, mse), (last_vgg, last_mse) = history[0], history[-1]
print(f"VGG {vgg:.1f} to {last_vgg:.1f}, MSE {mse:.3f} to {last_mse:.3f}")
images_figure({"blurred": wrong["blurred"] / 2 + 0.5, "after 40 steps": y[0] / 2 + 0.5}, width=2.8)

# %% [markdown]
# **Figure 5.** The blurred cat, and what 40 steps down the VGG loss make of it: the eye has its outline again, and a
# coloured grain covers everything.
#
# <details><summary>The answer</summary>
#
# VGG's distance falls to almost 0, the pixel error not even to half. Many images have almost the same features. In
# SRGAN, the discriminator's loss selects one of them that looks like a photo, without such grain.
# </details>
#
# ## Summary
#
# Feature maps are insensitive to small movements and sensitive to blur, more so in deeper layers; this holds even for
# random weights. Trained weights also respond to the content of photos.
#
# - `minisrgan/models/vgg.py`: the network, and the input that its weights expect
# - `minisrgan/losses/content.py`: `MSEContent` and `VGGContent`, with the factor 1/12.75 of the paper
# - `minisrgan/weights/vgg.py`: real weights, read from a file
# - the paper: Ledig et al. 2017, sec. 2.2.1 and eq. 5; sec. 3.4 compares $\phi_{2,2}$ with $\phi_{5,4}$
#
# **Open question.** Which differences between two photos should a loss ignore? Do these features ignore them?
#
# **Next:** notebook 9, the discriminator.
