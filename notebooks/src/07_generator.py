# %% [markdown]
# # 7. The generator
#
# **You will** combine the parts of notebooks 3 to 6 into SRResNet, the generator of SRGAN; count its operations and
# compute its receptive field; train a small one in half a minute, until it is better than bicubic; and see which
# kernel it uses at which position.
#
# **Time:** 60 minutes. **Before:** notebooks 3 to 6.

# %%
# %matplotlib inline
import numpy as np

from checks import check
from minisrgan import Tensor, nn, ops
from minisrgan.data import CropSampler, sample_photos
from minisrgan.explain import inspect
from minisrgan.images import imresize, nearest, psnr
from minisrgan.models import Generator
from minisrgan.models.generator import Upsample
from minisrgan.optim import Adam, piecewise
from minisrgan.show import images_figure, lines_figure, summarize, summary_table
from own import Upscaler, enlarge, milestone

rng = np.random.default_rng(7)
photos = sample_photos()
photo = photos.pop("astronaut")[:256, 96:352]  # kept for the end: no training on it
low = imresize(photo, 1 / 2).astype(np.float32)[None] / 255

# %% [markdown]
# ## The block
#
# A residual block computes `conv1`, `bn1`, `prelu`, `conv2`, `bn2`, in this order, and adds its input to the result.
# There is no activation after the sum, so the skip connections form a linear path through all blocks.
#
# ### Exercise 7.1: residual block


# %% tags=["exercise"]
def residual_block(x, conv1, bn1, prelu, conv2, bn2):
    """Return y of the shape of x; all five are functions from a Tensor to a Tensor."""
    return ...


check("7.1", residual_block)


# %% tags=["solution"]
def residual_block(x, conv1, bn1, prelu, conv2, bn2):
    """Return y of the shape of x; all five are functions from a Tensor to a Tensor."""
    return x + bn2(conv2(prelu(bn1(conv1(x)))))


check("7.1", residual_block)

# %% [markdown]
# ## The whole network
#
# A 9 x 9 convolution turns colours into `channels` feature maps. After the blocks come a convolution and a long skip
# connection around all blocks, then the pixel shuffle and a 9 x 9 convolution back to colours. By hand, without
# blocks:

# %%
conv_first, conv_last = (nn.Conv2d(*io, 9, padding=4, rng=rng) for io in ((3, 16), (16, 3)))
prelu_first, conv_middle = nn.PReLU(16), nn.Conv2d(16, 16, 3, padding=1, rng=rng)
bn_middle, upsample = nn.BatchNorm2d(16), Upsample(16, rng)
first = prelu_first(conv_first(Tensor(low)))
deep = bn_middle(conv_middle(first))  # the blocks would stand here
large = upsample(first + deep)
y = conv_last(large)
for name, t in {"low": Tensor(low), "first": first, "deep": deep, "large": large, "y": y}.items():
    print(f"{name:6} {t.shape}")

# %% [markdown]
# `Generator` in the package has the blocks, too. Last column: how many pixels of the input, along one side, a pixel
# depends on.

# %%
print(summary_table(Generator(scale=2, channels=16, blocks=2), (1, 24, 24, 3)))

# %% [markdown]
# **Predict.** The paper's generator has 64 channels, 16 blocks, and two upsamplings for a factor of 4. Which part does
# most of the multiplications?

# %%
rows = summarize(Generator(), (1, 24, 24, 3))
total = sum(row.multiply_adds for row in rows)
for part in ("conv_first", "blocks", "conv_middle", "upsample.0", "upsample.1", "conv_last"):
    own = [row for row in rows if row.path.startswith(part)]
    share = sum(row.multiply_adds for row in own) / total
    print(f"{part:12} {sum(row.parameters for row in own):9,} parameters  {share:4.0%} of the work")

# %% [markdown]
# <details><summary>The answer</summary>
#
# The blocks, but they do only about half of the work. The second upsampling costs as much as eight of them: it runs
# on four times the pixels, with four times the output channels.
# </details>
#
# ### Exercise 7.2: how far does it see?
#
# A convolution of `k` x `k` extends the receptive field by $(k-1)/2$ pixels, in pixels of *its own* image. After a
# shuffle by $r$ these are $r$ times smaller. Add up, in pixels of the input.


# %% tags=["exercise"]
def reach(layers):
    """Return the radius for layers such as [("conv", 9), ("shuffle", 2), ("conv", 9)]."""
    return ...


check("7.2", reach)


# %% tags=["solution"]
def reach(layers):
    """Return the radius for layers such as [("conv", 9), ("shuffle", 2), ("conv", 9)]."""
    radius, pixel = 0.0, 1.0
    for kind, size in layers:
        if kind == "conv":
            radius += pixel * (size - 1) / 2
        else:
            pixel /= size
    return radius


check("7.2", reach)

# %% [markdown]
# ## Where to start
#
# With random weights, the generator needs thousands of steps to learn to reproduce its input; we have half a minute.
# `start_as_nearest()` initializes the weights so that the network repeats each pixel, and the blocks add zero.

# %%
drawn = Generator(scale=2, channels=16, blocks=2)
generator = Generator(scale=2, channels=16, blocks=2).start_as_nearest()
starts = {"drawn at random": enlarge(drawn, low), "start_as_nearest()": enlarge(generator, low)}
images_figure({"input": low[0], **starts}, width=2.2)

# %% [markdown]
# **Figure 1.** The small photo of an astronaut, and what two untrained generators make of it: random weights give
# false colours; the other start repeats every pixel.
#
# ### Exercise 7.3: from numbers to a photo
#
# The network takes numbers in $[0, 1]$ and returns numbers around $[-1, 1]$. A photo has integer levels from 0 to
# 255. Write the conversion; the output may be outside the range.


# %% tags=["exercise"]
def to_photo(y):
    """Return uint8 levels for an array y of floats, -1 for black and 1 for white."""
    return ...


check("7.3", to_photo)


# %% tags=["solution"]
def to_photo(y):
    """Return uint8 levels for an array y of floats, -1 for black and 1 for white."""
    return ((y + 1) * 127.5).round().clip(0, 255).astype(np.uint8)


check("7.3", to_photo)

# %% [markdown]
# ## Half a minute of training
#
# Each step takes eight random crops of three other photos; for the last third, the steps are ten times smaller.
#
# **Predict.** The curve begins at the PSNR of repeated pixels. Will it pass bicubic? Will it ever fall below its
# start?


# %%
def train(generator, steps):
    sampler, scores = CropSampler(photos, 48, 2, np.random.default_rng(7)), {}
    optimizer, lr = Adam(generator.parameters(), lr=0), piecewise((1e-3, 1e-4), (2 * steps // 3,))
    for step in range(steps + 1):
        if step % 20 == 0:
            scores[step] = psnr(enlarge(generator, low), photo)
        generator.train()
        small, original = (Tensor(array).to(DEVICE) for array in sampler.batch(8))
        optimizer.zero_grad()
        ops.mse(generator(small), original).backward()
        optimizer.lr = lr(step)
        optimizer.step()
    return scores


# %% tags=["times"]
scores = train(generator.to(DEVICE), steps=400)  # on the GPU where there is one
generator.to("cpu")
bicubic = psnr(imresize(imresize(photo, 1 / 2), 2), photo)
lines = {
    "the generator": (list(scores), list(scores.values())),
    "bicubic": ((0, 400), [bicubic] * 2),
}
print(
    f"bicubic {bicubic:.2f} dB, generator {scores[0]:.2f} dB at first, {scores[400]:.2f} dB at last"
)
lines_figure(lines, "step", "PSNR, dB")

# %% [markdown]
# **Figure 2.** PSNR of the astronaut, which the generator never trained on, over 400 steps, beside the level line of
# bicubic: it falls by about 1 dB at first, climbs, passes bicubic before step 200, and settles about 1 dB above it.
#
# <details><summary>The answer</summary>
#
# Both. At the start it repeats pixels; the first steps add random content to the output, and the running statistics
# of batch norm, which are used for the enlargement, lag behind weights that change quickly.
# </details>
#
# ### On your own code
#
# `Upscaler` is a smaller network, built from your answers to 3.2 to 3.4, 4.2, 5.1 to 5.3, 6.1, 6.3 and 7.1 in
# `mine.py`; the package's functions stand in for those that are missing. `own.py` shows it.

# %%
net = Upscaler(np.random.default_rng(7))
own_scores = train(net, steps=180)
print(f"your network: {own_scores[0]:.2f} dB at first, {own_scores[180]:.2f} dB after 180 steps")
milestone("7")

# %%
names = ("repeated pixels", "bicubic", "the generator", "original")
made = (nearest(low[0], 2), imresize(imresize(photo, 1 / 2), 2), enlarge(generator, low), photo)
images_figure({name: image[64:128, 100:164] for name, image in zip(names, made)}, width=2.2)

# %% [markdown]
# **Figure 3.** The astronaut's eyes, four times: in squares; smooth and blurred by bicubic; a little crisper by the
# generator; and the original, with single hairs and the grain of the skin, which none of the others has.

# %%
# The generator to be clicked: from a pixel of the eye back to the input, through every block.
inspect(generator.eval(), low[:, 49:53, 52:56], loss=lambda y: (y * y).mean())

# %% [markdown]
# ## A kernel for every place
#
# Bicubic uses the same kernels everywhere: one for each position of a new pixel within an old one, four for a factor
# of two. The generator is not linear, because of its PReLUs. But near a given photo it is a linear map, and autograd
# computes its kernel for any output pixel: the gradient of that pixel with respect to the input. **Predict.** Will it
# be the same kernel on a smooth background, in hair and in black cloth?

# %%
places = {"background": (20, 108), "hair": (35, 50), "black": (98, 83)}
kernels = {}
for name, (h, w) in places.items():
    x = Tensor(low[:, h - 12 : h + 13, w - 12 : w + 13], requires_grad=True)
    generator.eval()(x)[0, 24, 24, 1].backward()
    kernels[name] = x.numpy()[0, 7:18, 7:18]
    kernels[f"kernel, {name}"] = x.grad.numpy()[0, 7:18, 7:18, 1] / 2
images_figure(kernels, width=1.5, limit=0.5)

# %% [markdown]
# **Figure 4.** Three details of 11 x 11 pixels, and beside each the kernel of its middle pixel, green from green. For
# the background and for hair it is nearly the same, violet in the middle and orange to the right and below; in black
# cloth it is pale.
#
# <details><summary>The answer</summary>
#
# The first two are similar: the pixel, plus its amplified difference from its neighbours on the right and below. Only
# PReLUs can change the kernel; in black cloth they have switched.
# </details>
#
# ## What MSE rewards
#
# Large photos with different fur can have the same small photo. **Predict.** Which guess has the smallest mean squared
# error?

# %%
cat = sample_photos(["chelsea"])["chelsea"].astype(float)


def fine(top, left):
    y = cat[top : top + 64, left : left + 64]
    for _ in range(9):  # remove what a small photo would keep
        y = y - imresize(imresize(y, 1 / 4), 4)
    return y


places = [(150, 75), (30, 180), (60, 60), (20, 150), (90, 60), (40, 200), (0, 190), (150, 60)]
possible = np.array([cat[150:214, 75:139] - fine(150, 75) + fine(*place) for place in places])
names = ("one", "another", "a third", "average of 8")
guesses = dict(zip(names, [*possible[:3], possible.mean(axis=0)]))
print("errors:", {name: f"{((possible - g) ** 2).mean():.0f}" for name, g in guesses.items()})
images_figure({name: guess / 255 for name, guess in guesses.items()}, width=2)

# %% [markdown]
# **Figure 5.** A cat's fur with sharp hairs in three directions, and the average of eight such patches: blurred, with
# the smallest error.
#
# So MSE makes networks return the blur: the enlarged face has no pores. SRGAN solves this.
#
# ## Summary
#
# The generator has residual blocks on the small image, pixel shuffles at the end, and 9 x 9 convolutions first and
# last. Trained with MSE, it is better than bicubic, and blurs the details that it cannot know.
#
# - `minisrgan/models/generator.py`: the whole network on one screen; `receptive_radius`, `start_as_nearest`
# - `minisrgan/training/stages.py`: `SRResNetStage`, the loop above with all that a long training needs
# - `minisrgan/explain/summary.py`: the table of layers
# - the paper: Ledig et al. 2017, sec. 2.1 and fig. 4 for the network, sec. 3.2 for its training, eq. 4 for the loss
#
# **Open question.** More blocks or more photos: which helps more? How would you find out in an hour?
#
# **Next:** notebook 8, a loss that looks at more than pixels.
