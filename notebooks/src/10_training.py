# %% [markdown]
# # 10. Training the SRGAN
#
# **You will** read the training step of the package line by line; run a small training; then break it deliberately in
# three ways, and learn to find mistakes in the log that raise no error.
#
# **Time:** 60 minutes. **Before:** notebooks 7 to 9.

# %%
# %matplotlib inline
import inspect
from dataclasses import replace
from textwrap import dedent

import numpy as np

from checks import check
from minisrgan import Tensor
from minisrgan.data import CropSampler, sample_photos
from minisrgan.images import imresize
from minisrgan.inference import upscale
from minisrgan.losses import MSEContent, PerceptualLoss
from minisrgan.models import Discriminator, Generator
from minisrgan.show import curves_figure, images_figure, lines_figure
from minisrgan.training.config import Config
from minisrgan.training.stages import SRGANStage, SRResNetStage
from minisrgan.training.watch import plain_words

# %% [markdown]
# ## The loop
#
# A *stage* has a method that takes a step on a batch and returns the numbers for the log. The loop around it has
# three lines. (The package's also saves, validates, and stops at the first NaN: `minisrgan/training/run.py`.)


# %%
def train(stage):
    photos = sample_photos(["astronaut", "coffee"])
    sampler, log = CropSampler(photos, crop=32, scale=4, rng=np.random.default_rng(10)), []
    for step in range(stage.steps):
        low, high = (Tensor(array) for array in sampler.batch(8))
        log.append({"step": step + 1} | stage.step(step, low, high))
    return log


small = {"channels": 16, "blocks": 2, "d_channels": 8, "crop": 32, "batch": 8}
rates = {"srresnet_lr": 2e-3, "srgan_lr": 1e-4, "d_lr": 1e-4, "adversarial_weight": 5e-3}
config = Config(**small, **rates, srresnet_steps=120, srresnet_warmup=20, srgan_steps=60)

# %% [markdown]
# ## First stage: the warm start
#
# SRGAN starts with a generator trained only on pixels. Ours is tiny, and starts by repeating pixels, to save time.

# %%
rng = np.random.default_rng(0)
generator = Generator(4, channels=16, blocks=2, rng=rng).start_as_nearest()
warm_log = train(SRResNetStage(generator, MSEContent(), config))
warm = {name: array.copy() for name, array in generator.state_dict().items()}
first, last = (np.mean([r["content"] for r in part]) for part in (warm_log[:20], warm_log[-20:]))
print(f"mean squared error: {first:.3f} in the first 20 steps, {last:.3f} in the last")

# %% [markdown]
# ## Second stage, line by line

# %%
print(dedent(inspect.getsource(SRGANStage.step)))

# %% [markdown]
# - `generated = generator(low)`: computed once, for both networks.
# - `generated.detach()`: D must learn, and must not change G while doing so. This is the only right place for a detach.
# - D sees originals and generated images in two calls: in one batch, batch norm would mix their statistics.
# - `zero_grad`, `backward`, `step`: D is updated first. Then the updated D judges G.
# - `discriminator(generated)`: without detach, so that the gradient reaches the image. D is not updated here.
# - `_gradients` differentiates each term with respect to the image; the sum of these gradients is then propagated
#   through G.
# - `repeatable` calls the given function, and calls it again if the memory of a GPU was full.
# - `measured` computes the numbers for the log after the step: D's probabilities for originals and generated images,
#   the gradient of each term, and whether the output has a valid range.
#
# ### Exercise 10.1: clipping
#
# Many other trainings limit the length of a gradient before the optimizer's step. `clip_grad_norm` takes the
# gradients of all of a network's parameters as *one* long vector. If its norm exceeds `limit`, all are scaled by the
# same factor, so that the norm equals `limit`.


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
# ## A healthy run
#
# **Predict.** The adversarial term has the weight 0.005, and is less than half of the content term. Which of the two
# has the larger gradient at the pixels?

# %%
original, logs, pictures = sample_photos(["astronaut"])["astronaut"][60:220, 140:300], {}, {}


def run(name, config, start, loss=None):
    generator = Generator(4, channels=16, blocks=2, rng=np.random.default_rng(0))
    generator.load_state_dict(start or generator.state_dict())
    discriminator = Discriminator(32, config.d_channels, rng=np.random.default_rng(1))
    stage = SRGANStage(generator, discriminator, MSEContent(), config)
    stage.loss = loss or stage.loss
    logs[name] = train(stage)
    pictures[name] = upscale(generator, imresize(original, 1 / 4))


# %%
run("healthy", config, warm)
panels = {"loss": ["content", "adversarial"], "D's answer": ["d_real", "d_fake"]}
panels["gradient"] = ["grad_content", "grad_adversarial"]
curves_figure(logs["healthy"], panels)

# %% [markdown]
# **Figure 1.** A healthy run. The losses stay constant, content above adversarial. D's probabilities for originals
# and for generated images are both near one half: neither wins. The gradient of the adversarial term is about six
# times that of content.
#
# <details><summary>The answer</summary>
#
# The adversarial one, several times. A loss says how large the error is, its gradient how strongly it changes the
# pixels: small changes of pixels can change D's output a lot. So the log contains the gradient of each term, and the
# weights are chosen by it.
# </details>
#
# ## Three failures, on purpose
#
# **No warm start:** G begins with random weights. **D too strong:** the same, and D learns 200 times as fast as G.
# **Detached:** somebody cut the adversarial term off from the image. The package detects this (`grad` finds no path
# and raises an error); so they added `0 * generated.sum()`, and the error disappeared. **Predict.** Will any loss in
# the log look odd in the third?


# %%
class Detached(PerceptualLoss):
    def __call__(self, generated, original, fake_logits):
        fake_logits = fake_logits.detach() + 0.0 * generated.sum()
        return super().__call__(generated, original, fake_logits)


run("no warm start", config, None)
strong = replace(config, d_lr=2e-3, srgan_lr=1e-5, srgan_steps=120)
run("D too strong", strong, None)
run("detached", config, warm, Detached(MSEContent(), config.adversarial_weight))

# %%
for name, log in logs.items():
    keys = ("content", "adversarial", "d_real", "d_fake")
    content, adversarial, real, fake = (np.mean([r[key] for r in log[-20:]]) for key in keys)
    print(f"{name:14} content {content:.2f}, adversarial {adversarial:.3f},", end=" ")
    print(f"D says {real:.1f} to originals, {fake:.1f} to G's")

# %%
lines = {}
for name, log in logs.items():
    lines[name] = [r["step"] for r in log], [r["grad_adversarial"] / r["grad_content"] for r in log]
figure = lines_figure(lines, "step", "gradient, adversarial / content", size=(7, 3))
figure.axes[0].set_yscale("symlog", linthresh=0.01)
figure

# %% [markdown]
# **Figure 2.** The adversarial gradient over that of content, step by step. In the healthy run it is 4 to 15. Without
# a warm start, and with D too strong, the content gradient is so large that the ratio is below 1. Detached it is
# exactly 0, from the first step on.
#
# <details><summary>The answer</summary>
#
# None. When detached, the adversarial loss still has a plausible value and changes with D. Only its gradient shows
# the mistake.
# </details>

# %%
images_figure(pictures | {"original": original}, columns=5, width=1.8)

# %% [markdown]
# **Figure 3.** The outputs of the four generators for a face from one of the training photos. Healthy and detached
# look similar; without a warm start, false colours; where D was too strong and G hardly changed, the noise of random
# weights; and the original.
#
# The package monitors these numbers during training, and prints a warning if one has been bad for 50 steps:

# %%
for name, log in logs.items():
    for warning in plain_words(log[-50:]).values() or ["nothing to say"]:
        print(f"{name}: {warning.split(':')[0].split('. ')[0]}")

# %% [markdown]
# ### Exercise 10.2: when has D won?
#
# Write such a rule: in each of the last `window` steps D's probability is above 0.95 for originals and below 0.05 for
# generated images. Return the number of steps taken when this is true for the first time, or -1.


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
# G's weights oscillate, because two losses change them. We save a running average of the weights, `EMA`, not the last
# ones: after each step the average is `decay` times itself plus `1 - decay` times the weights.


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
# **Next:** notebook 11, how to judge what has been trained.
