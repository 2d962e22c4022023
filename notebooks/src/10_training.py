# %% [markdown]
# # 10. Training the SRGAN
#
# **You will** read the training step of the package line by line; train the bundled SRResNet on until it invents
# texture; then break a training in eight ways, and learn to find mistakes in the log that raise no error.
#
# **Time:** 75 minutes. **Before:** notebooks 7 to 9.

# %%
# %matplotlib inline
from copy import deepcopy
from dataclasses import replace

import numpy as np

from checks import check
from minisrgan import Tensor, no_grad
from minisrgan.data import CropSampler, sample_photos
from minisrgan.images import detail, grid, imresize, psnr
from minisrgan.inference import upscale
from minisrgan.losses import MSEContent, PerceptualLoss
from minisrgan.models import Discriminator, Generator
from minisrgan.show import curves_figure, images_figure
from minisrgan.training.config import Config
from minisrgan.training.stages import SRGANStage, SRResNetStage
from minisrgan.weights import boxed, load_features, load_generator
from own import FeatureContent, Stage, milestone

# %% [markdown]
# ## The loop
#
# A *stage* has a method that takes a step on a batch and returns the numbers for the log. The loop around it has three
# lines. (The package's also saves, validates, and stops at the first NaN: `minisrgan/training/run.py`.) We train on
# three photos, and look at a cat, which is not among them.

# %%
photos = sample_photos()
cat = photos.pop("chelsea")[84:212, 100:228]
small = imresize(cat, 1 / 4)
sampler = CropSampler(photos, crop=32, scale=4, rng=np.random.default_rng(10))
batches = [[Tensor(array) for array in sampler.batch(8)] for _ in range(150)]


def train(stage, batches=batches, first=0, last=None):
    log = []
    for step in range(first, last or stage.steps):
        low, high = batches[step]
        log.append({"step": step + 1} | stage.step(step, low, high))
    return log


# %% [markdown]
# ## The step, line by line

# %%
import inspect

print(inspect.getsource(SRGANStage.step))

# %% [markdown]
# - `generated = generator(low)`: computed once, for both networks.
# - `generated.detach()`: D must learn, and must not change G while doing so. This is the only right place for a detach.
# - D sees originals and generated images in two calls: in one batch, batch norm would mix their statistics.
# - `zero_grad`, `backward`, `step`: D is updated first, then it judges G.
# - `discriminator(generated)`: without detach, so that the gradient reaches the image. D is not updated here.
# - `_gradients` differentiates each term with respect to the image; the sum of these gradients is then propagated
#   through G.
# - `repeatable` calls a function, again if a GPU's memory was full.
# - `measured` computes the numbers for the log after the step: D's probabilities for originals and generated images,
#   the gradient of each term, and whether the output has a valid range.
#
# ### Exercise 10.1: clipping
#
# Many trainings limit the length of a gradient before the optimizer's step. `clip_grad_norm` takes the gradients of all
# parameters as *one* long vector. If its norm exceeds `limit`, all are scaled by the same factor, so that the norm
# equals `limit`.


# %% tags=["exercise"]
def clipped(gradients, limit):
    """Return a list of the gradients, scaled so that all together have at most the norm limit."""
    return ...


check("10.1", clipped)


# %% tags=["solution"]
def clipped(gradients, limit):
    """Return a list of the gradients, scaled so that all together have at most the norm limit."""
    norm = np.sqrt(sum((gradient**2).sum() for gradient in gradients))
    return [gradient * min(1, limit / norm) for gradient in gradients]


check("10.1", clipped)

# %% [markdown]
# ## From SRResNet to SRGAN
#
# We start from `srresnet`, which 34,400 steps of MSE have trained, and train it on in two ways: with the distance of
# features (notebook 8), and with a discriminator as well. Three settings, which the paper has not, make this possible:
#
# - `d_head_start`: for 75 steps only D learns. Before D can distinguish the images, its gradient is noise.
# - `adversarial_balance`: the adversarial term is scaled until its gradient has three times the norm of the content's.
# - `grid_weight`, `consistency_weight`: penalties on a lattice of 4 pixels, and on colours that drift.
#
# **Predict.** Which of the three has the highest PSNR, which the most detail?

# %%
config = Config(crop=32, batch=8, srresnet_steps=30, srgan_steps=150, d_channels=8, d_head_start=75)
config = replace(config, srgan_lr=3e-4, srgan_decay=1.0, d_lr=1e-3, adversarial_balance=3.0)
config = replace(config, grid_weight=8.0, consistency_weight=20.0)
features = FeatureContent(load_features(boxed("features"))[:9])  # phi 2,2, by your exercise 8.3

# %%
networks = {name: load_generator("srresnet") for name in ("MSE", "features", "features + GAN")}
train(SRResNetStage(networks["features"], features, config))
discriminator = Discriminator(32, config.d_channels, rng=np.random.default_rng(1))
log = train(Stage(networks["features + GAN"], discriminator, features, config))  # by 9.2
milestone("10")

# %% tags=["times"]
panels = {"loss": ["content", "adversarial"], "D's answer": ["d_real", "d_fake"]}
panels["gradient"] = ["grad_content", "grad_adversarial", "grad_grid"]
curves_figure(log, panels)

# %% [markdown]
# **Figure 1.** The training with the GAN. During the head start D's probabilities for originals and for generated
# images part; once G learns, they come closer again, and neither wins. Only after step 75 there are losses of G. The
# adversarial gradient is up to six times that of content.

# %% tags=["times"]
pictures = {name: upscale(network, small) for name, network in networks.items()}
for name, picture in pictures.items():
    print(f"{name:15} {psnr(picture, cat):.2f} dB, detail {detail(picture, cat):.2f},", end=" ")
    print(f"grid {grid(picture):.2f}")
images_figure(pictures | {"original": cat}, columns=4, width=2.1)

# %% [markdown]
# **Figure 2.** The cat's eye, which no network trained on, by the three networks and in the original. MSE's fur is
# smooth; that of the features has a fine lattice of 2 pixels; the GAN's has strokes, like hairs.
#
# <details><summary>The answer</summary>
#
# MSE has the highest PSNR, the GAN the most detail. The bundled `srgan` had 3,300 steps, on crops of 64 x 64.
# </details>
#
# ## A gallery of failures
#
# The networks are tiny, and all but "D won" continue copies of one stage: 100 steps of MSE, then a head start of 30
# steps for D. Each changes one thing of "healthy".

# %%
tiny = replace(config, channels=16, blocks=2)
tiny = replace(tiny, srresnet_steps=100, srresnet_lr=2e-3, srresnet_warmup=20)
tiny = replace(tiny, srgan_lr=1e-3, srgan_steps=55, d_head_start=30, adversarial_balance=1.0)
start = Generator(4, 16, 2, rng=np.random.default_rng(0)).start_as_nearest()
train(SRResNetStage(start, MSEContent(), tiny))
stage = SRGANStage(start, Discriminator(32, 8, rng=np.random.default_rng(1)), features, tiny)
without_head_start = deepcopy(stage)
train(stage, last=30)
names = ["healthy", "grid", "colour cast", "mode collapse", "D at chance", "wrong VGG input"]
stages = {name: deepcopy(stage) for name in [*names, "detached"]}


# %%
class Detached(PerceptualLoss):
    # 0 * sum: without any path to the image, the package would raise an error
    def __call__(self, generated, original, logits):
        return super().__call__(generated, original, logits.detach() + 0.0 * generated.sum())


stages["grid"].loss.grid_weight = 0.0
stages["colour cast"].loss.consistency_weight = 0.0
stages["mode collapse"].balance.balance = 1000.0
slow = replace(tiny, d_lr=1e-9)
stages["D at chance"] = SRGANStage(deepcopy(start), Discriminator(32, 8), features, slow)
stages["wrong VGG input"].loss.content = lambda y, x: features((y + 1) * 127.5, (x + 1) * 127.5)
stages["detached"].loss = Detached(**vars(stages["detached"].loss))

# %%
logs = {name: train(stage, first=30) for name, stage in stages.items()}
stages["D won"] = without_head_start
logs["D won"] = train(stages["D won"], batches[:1] * 55)  # the same eight crops in every step
gallery = {name: upscale(stage.generator, small) for name, stage in stages.items()}
noise = np.random.default_rng(0).integers(0, 256, small.shape)
both = Tensor(np.stack([small, noise]).astype(np.float32) / 255)  # a batch of two
with no_grad():
    left_on = stages["healthy"].generator.train()(both).numpy()[0]
gallery["train() left on"] = ((left_on + 1) * 127.5).round().clip(0, 255).astype(np.uint8)

# %% tags=["times"]
print(f"{'':16}content  adv/content  D real  D fake  PSNR  grid  colour")
for name, picture in gallery.items():
    last = logs.get(name, logs["healthy"])[-15:]
    keys = ("content", "grad_adversarial", "grad_content", "d_real", "d_fake")
    content, adversarial, own, real, fake = (np.mean([r[key] for r in last]) for key in keys)
    shift = max((picture.astype(float) - cat).mean(axis=(0, 1)), key=abs)
    print(f"{name:15} {content:8.2f} {adversarial / own:9.1f} {real:10.2f} {fake:7.2f}", end=" ")
    print(f"{psnr(picture, cat):7.2f} {grid(picture):4.1f} {shift:6.1f}")
apart = np.abs(gallery["train() left on"].astype(float) - gallery["healthy"])
print(f"noise in its batch moves the cat by {apart.mean():.2f} levels, at most {apart.max():.0f}")
images_figure(gallery | {"original": cat}, columns=5, width=1.5)

# %% [markdown]
# **Figure 3.** The cats of the nine trainings, and the original. Plain to see are the lattice of "grid", the red tint
# of "colour cast", and the red pattern of "mode collapse". "Wrong VGG input" and "D won" have a fine lattice; the
# others look healthy.
#
# How the log shows each, beside "healthy", where D is above chance:
#
# - **grid, colour cast:** no loss shows them, for nothing measures them. `grid` and the mean colours of a picture do.
# - **mode collapse:** content rises several times: G paints one texture over everything, and D cannot tell.
# - **D won:** above 0.95 for originals, below 0.05 for generated images: the package warns. D sees the same crops in each
#   step, and knows them by heart.
# - **D at chance:** the same for both: its learning rate is a billionth. Its gradient is noise, which the balance
#   makes loud.
# - **wrong VGG input:** content is thousands of times larger, and the balance does not keep up.
# - **detached:** the adversarial gradient is exactly 0. The losses look plausible.
# - **train() left on:** nothing. The training is the healthy one; afterwards batch norm averages over the cat and
#   noise, which moves the cat (last line).
#
# ### Exercise 10.2: when has D won?
#
# The package watches the log by such rules, and warns. Write one: in each of the last `window` steps D's probability is
# above 0.95 for originals and below 0.05 for generated images. Return after how many steps this is first true, or -1.


# %% tags=["exercise"]
def won_after(d_real, d_fake, window):
    """Return after how many steps D has won, for its mean answers d_real and d_fake (steps,)."""
    return ...


check("10.2", won_after)


# %% tags=["solution"]
def won_after(d_real, d_fake, window):
    """Return after how many steps D has won, for its mean answers d_real and d_fake (steps,)."""
    row = 0
    for step, (real, fake) in enumerate(zip(d_real, d_fake), 1):
        row = row + 1 if real > 0.95 and fake < 0.05 else 0
        if row == window:
            return step
    return -1


check("10.2", won_after)

# %% [markdown]
# ### Exercise 10.3: the average that is saved
#
# G's weights oscillate, because two losses change them. We save their running average, `EMA`, not the last ones: after
# each step the average is `decay` times itself plus `1 - decay` times the weights.


# %% tags=["exercise"]
def averages(weights, decay):
    """Return the averages (steps, n) of weights (steps, n); the first is weights[0]."""
    return ...


check("10.3", averages)


# %% tags=["solution"]
def averages(weights, decay):
    """Return the averages (steps, n) of weights (steps, n); the first is weights[0]."""
    rows = [weights[0]]
    for row in weights[1:]:
        rows.append(decay * rows[-1] + (1 - decay) * row)
    return np.array(rows)


check("10.3", averages)


# %% tags=["machine"]
# One step of wider networks, on the GPU where there is one.
import time

networks = Generator(4, channels=32, blocks=4).to(DEVICE), Discriminator(32, 16).to(DEVICE)
stage = SRGANStage(*networks, MSEContent(), config)
sampler = CropSampler(sample_photos(["coffee"]), crop=32, scale=4, rng=np.random.default_rng(10))
low, high = (Tensor(array).to(DEVICE) for array in sampler.batch(8))
for step in range(2):  # the first step prepares the device
    start = time.perf_counter()
    stage.step(step, low, high)
print(f"a step on {DEVICE}: {time.perf_counter() - start:.3f} s")

# %% [markdown]
# ## Summary
#
# A warm start, D and G alternately, one detach in the right place. The losses of a GAN hardly show its state; D's
# probabilities, the gradient of each term, the range of the output, and the images do.
#
# - `minisrgan/training/stages.py`: both steps; `minisrgan/training/run.py`: what a long training needs around them
# - `minisrgan/training/watch.py`: `plain_words`; `minisrgan/optim/clip.py`, `minisrgan/optim/ema.py`: your exercises
# - `docs/recipe.md`: how the bundled models were trained
# - the paper: Ledig et al. 2017, sec. 3.2: a million steps, then 200,000 of the GAN
#
# **Open question.** How would you choose the adversarial weight without anybody looking?
#
# **Next:** notebook 11, how to judge what has been trained.
