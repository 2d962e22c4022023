# %% [markdown]
# # 9. Two players
#
# **You will** study a GAN with numbers instead of images: what the optimal discriminator is, why the loss from the
# formula has a vanishing gradient for the generator, and why the training need not converge. Then you train a
# discriminator like SRGAN's, and compute what it would change in an image.
#
# **Time:** 60 minutes. **Before:** notebooks 2, 5 and 7.

# %%
# %matplotlib inline
import numpy as np

from checks import check
from exercises.n09 import best
from minisrgan import Tensor, nn, ops
from minisrgan.data import CropSampler, sample_photos
from minisrgan.explain import inspect
from minisrgan.images import imresize
from minisrgan.losses import discriminator_loss, generator_loss
from minisrgan.models import Discriminator
from minisrgan.optim import Adam
from minisrgan.show import images_figure, lines_figure, summary_table

# %% [markdown]
# ## The game
#
# The real numbers are distributed around 2. A generator makes numbers around $\mu$, which should look like real ones.
# A discriminator $D$ outputs for each number the probability that it is real. Both optimize the same value $V$ ($-V$ is
# the *cross-entropy* of $D$): $D$ maximizes it, $G$ minimizes it:
#
# $$V = \mathrm{mean}\,\ln D(\mathrm{real}) + \mathrm{mean}\,\ln (1 - D(\mathrm{fake}))$$
#
# ### Exercise 9.1: the best discriminator
#
# At a number $x$, the density of real numbers is `p_real`, that of generated numbers `p_fake`. Its contribution to
# $V$ is $p_\mathrm{real} \ln D + p_\mathrm{fake} \ln (1 - D)$. For which $D$ is this largest?


# %% tags=["exercise"]
def best_discriminator(p_real, p_fake):
    """Return D for densities p_real and p_fake, arrays."""
    return ...


check("9.1", best_discriminator)


# %% tags=["solution"]
def best_discriminator(p_real, p_fake):
    """Return D for densities p_real and p_fake, arrays."""
    return p_real / (p_real + p_fake)


check("9.1", best_discriminator)

# %% [markdown]
# ### Exercise 9.2: what D minimizes
#
# The network outputs a logit $z$, not a probability, with $D = \mathrm{sigmoid}(z)$. Then $-\ln D =
# \mathrm{softplus}(-z)$ and $-\ln(1 - D) = \mathrm{softplus}(z)$, which stay finite even if $D$ is very confident.
# Write the loss of $D$, that is $-V$, with `ops.softplus`.


# %% tags=["exercise"]
def d_loss(real_logits, fake_logits):
    """Return the loss, a Tensor, for two Tensors of logits (N, 1)."""
    return ...


check("9.2", d_loss)


# %% tags=["solution"]
def d_loss(real_logits, fake_logits):
    """Return the loss, a Tensor, for two Tensors of logits (N, 1)."""
    return ops.softplus(-real_logits).mean() + ops.softplus(fake_logits).mean()


check("9.2", d_loss)

# %% [markdown]
# Does a small network find the optimal discriminator? It sees only samples, not the densities.


# %%
def small_discriminator(rng):
    first, second, last = (nn.Linear(*io, rng=rng) for io in ((1, 16), (16, 16), (16, 1)))
    return nn.Sequential(first, nn.LeakyReLU(0.2), second, nn.LeakyReLU(0.2), last)


def numbers(rng, mean):
    return Tensor(rng.normal(mean, 0.5, size=(64, 1)).astype(np.float32))


def learn(discriminator, optimizer, real, fake):
    optimizer.zero_grad()
    discriminator_loss(discriminator(real), discriminator(fake)).backward()
    optimizer.step()


# %%
rng = np.random.default_rng(9)
discriminator, x = small_discriminator(rng), np.linspace(-1, 4, 101, dtype=np.float32)
optimizer = Adam(discriminator.parameters(), 0.01)
for _ in range(400):
    learn(discriminator, optimizer, numbers(rng, 2), numbers(rng, 1))
p_real, p_fake = (np.exp(-(((x - mean) / 0.5) ** 2) / 2) for mean in (2, 1))
learned = ops.sigmoid(discriminator(Tensor(x[:, None]))).numpy()[:, 0]
lines = {"real": p_real, "generated": p_fake, "best D": best(p_real, p_fake), "learned": learned}
lines_figure({name: (x, y) for name, y in lines.items()}, "x")

# %% [markdown]
# **Figure 1.** Two bells, generated numbers around 1 and real ones around 2; the best discriminator, which climbs from
# 0 to 1 between them and is 1/2 in the middle; and the learned one, which lies close to it.
#
# ## Saturating and not
#
# In the formula, $G$ minimizes $\ln(1 - D)$, which is $-\mathrm{softplus}(z)$: the *saturating* loss. SRGAN's generator
# minimizes $-\ln D = \mathrm{softplus}(-z)$ instead. Both want $z$ to grow. The difference is in the gradient.
#
# ### Exercise 9.3: two gradients


# %% tags=["exercise"]
def generator_gradients(z):
    """Return the derivatives of -softplus(z) and of softplus(-z) in z, an array."""
    saturating = ...
    non_saturating = ...
    return saturating, non_saturating


check("9.3", generator_gradients)


# %% tags=["solution"]
def generator_gradients(z):
    """Return the derivatives of -softplus(z) and of softplus(-z) in z, an array."""
    d = 1 / (1 + np.exp(-z))
    saturating = -d
    non_saturating = d - 1
    return saturating, non_saturating


check("9.3", generator_gradients)

# %% [markdown]
# **Predict.** A generated number is so poor that $D$ is certain: $z = -8$. How large is each gradient? And which one
# is larger if the generated number is good?

# %%
z = Tensor([-8.0, 0.0, 8.0], requires_grad=True)
for name, loss in {"saturating": -ops.softplus(z), "non-saturating": ops.softplus(-z)}.items():
    z.grad = None
    loss.sum().backward()
    print(f"{name:14}", *(f"{value:8.4f}" for value in z.grad.numpy()))

# %% [markdown]
# <details><summary>The answer</summary>
#
# The saturating one is -0.0003, almost 0 just where G has most to learn; the other is nearly -1. For good numbers it
# is the other way round, which does no harm.
# </details>

# %% [markdown]
# Now train both. The generator has one parameter, $\mu$, and starts at -2, far away. First only $D$ is trained, for
# 200 steps, and becomes confident. **Predict.** Where will $\mu$ be after 300 more steps, with each loss?


# %%
def play(loss, steps=300, head_start=200):
    rng, path = np.random.default_rng(9), []
    discriminator, mu = small_discriminator(rng), nn.Parameter(np.float32([-2]))
    optimizer = Adam(discriminator.parameters(), 0.01)
    for step in range(head_start + steps):
        fake = numbers(rng, 0) + mu
        learn(discriminator, optimizer, numbers(rng, 2), fake.detach())
        if step >= head_start:
            mu.zero_grad()
            loss(discriminator(fake)).backward()
            mu.data -= 0.05 * mu.grad.data
        path.append(mu.item())
    return range(head_start + steps), path


# %%
paths = {
    "saturating": play(lambda z: -ops.softplus(z).mean()),
    "non-saturating": play(generator_loss),
    "real": ((0, 500), (2, 2)),
}
lines_figure(paths, "step", "mu")

# %% [markdown]
# **Figure 2.** The value of mu over 500 steps. With the saturating loss it stays at -2 to the end. With the other it
# rises as soon as it is trained, overshoots 2, where the real numbers are, and oscillates around it.
#
# <details><summary>The answer</summary>
#
# Still at -2 with the saturating one; near 2 with the other, but oscillating, because $D$ must adapt whenever $\mu$
# changes.
# </details>
#
# ## Convergence is not guaranteed
#
# Even simpler: all real numbers are 0, all generated ones are $\mu$, and $D$ has one weight, $z = w \cdot x$. The best
# for both is $\mu = 0$, $w = 0$. Each follows its own gradient, both at the same moment. **Predict.** Do they spiral
# in, run in a circle, or spiral out?


# %%
def spiral(rate, steps=400, decay=0.0):
    mu, w, path = 1.0, 0.0, []
    for _ in range(steps):
        d = 1 / (1 + np.exp(-w * mu))  # D of a generated number
        grad_mu, grad_w = (d - 1) * w, d * mu
        mu, w = mu - rate * grad_mu, w - rate * (grad_w + decay * w)
        path.append((mu, w))
    return np.array(path).T


lines = {f"rate {rate}": spiral(rate, steps=round(200 / rate)) for rate in (1.0, 0.5, 0.1)}
lines["rate 0.5, decay"] = spiral(0.5, decay=0.3)
figure = lines_figure(lines, "mu", "w", size=(7, 4.7))
figure.axes[0].set_xlim(-1.6, 2.6)  # room for the legend
figure

# %% [markdown]
# **Figure 3.** The plane of mu and w. Without decay the two parameters end in a ring around the solution: the smaller
# the rate, the narrower the ring, but none of the three reaches the middle. With a term that pulls w to 0 they spiral
# into it.
#
# <details><summary>The answer</summary>
#
# In a circle: each player's improvement changes the other's gradient. Far from the solution the losses pull inward;
# close to it, simultaneous steps move outward, the more so the larger the steps are. That is why a GAN's losses do
# not fall as others do, why learning rates are small, and why $D$ must not become too strong.
# </details>


# %%
# Try other learning rates: does any of them end in the middle?
def at_rate(rate):
    figure = lines_figure({"": spiral(rate, steps=round(200 / rate))}, "mu", "w", size=(5, 3.6))
    figure.axes[0].set(title=f"learning rate {rate:g}", xlim=(-2, 2), ylim=(-2, 2))
    return figure


slider(at_rate, "learning rate", [0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0], 0.5)

# %% [markdown]
# ## The discriminator of SRGAN
#
# Eight convolutions, each second one with stride 2, then two dense layers. A batch norm follows each convolution but
# the first, a LeakyReLU every layer but the last, and there is no pooling. A small one:

# %%
print(summary_table(Discriminator(crop=32, channels=4), (1, 32, 32, 3)))

# %% [markdown]
# Train it to distinguish photos from blurred ones, like bicubic's. **Predict.** After how many steps is it confident?

# %%
photos = {name: imresize(image, 1 / 2) for name, image in sample_photos().items()}
sampler = CropSampler(photos, 32, 4, np.random.default_rng(9))
discriminator = Discriminator(crop=32, channels=8)
optimizer, answers = Adam(discriminator.parameters(), 1e-3), []
for _ in range(150):
    low, real = sampler.batch(8)
    fake = np.stack([imresize(image, 4) for image in (low * 255).round().astype(np.uint8)])
    fake = fake.astype(np.float32) / 127.5 - 1
    answers.append([ops.sigmoid(discriminator(Tensor(a))).numpy().mean() for a in (real, fake)])
    learn(discriminator, optimizer, Tensor(real), Tensor(fake))
lines = {name: (range(150), c) for name, c in zip(("real", "blurred"), np.array(answers).T)}
lines_figure(lines, "step", "D, on average")

# %% [markdown]
# **Figure 4.** The discriminator's mean probability for eight real and eight blurred crops: for about fifty steps the
# lines are not separated, then they diverge, and after a hundred they are near 1 and near 0, with a few exceptions.
#
# The gradient of the generator's loss says how each pixel of a blurred crop should change to
# look real.

# %%
y = Tensor(fake, requires_grad=True)
generator_loss(discriminator.eval()(y)).backward()
asked = -y.grad.numpy()
shown = {"blurred": (fake[0] + 1) / 2, "original": (real[0] + 1) / 2}
maps = {"what D asks": asked[0].mean(axis=2), "what is missing": (real - fake)[0].mean(axis=2)}
images_figure({**shown, **maps}, columns=4, width=2.2)

# %% [markdown]
# **Figure 5.** A blurred crop with a cat's eye, the original, what the discriminator asks for, and what is missing,
# violet for brighter and orange for darker. What it asks for is fine grain, in the fur more than in the eye; what is
# missing are lines.

# %%
# A discriminator of numbers to be clicked: its logits for 2, 1 and -2, and what G receives.
rng, small = np.random.default_rng(9), small_discriminator(np.random.default_rng(9))
optimizer = Adam(small.parameters(), 0.01)
for _ in range(400):
    learn(small, optimizer, numbers(rng, 2), numbers(rng, 1))
inspect(small, np.float32([[2], [1], [-2]]), loss=generator_loss)

# %% [markdown]
# It does not know the original of a blurred crop, so it cannot ask for *these* lines. It asks for a property that
# real crops have and blurred ones lack: contrast from pixel to pixel. So SRGAN needs both losses: the adversarial
# loss for plausible texture, and the content loss for the actual content.
#
# ## Summary
#
# $D$ learns a ratio of densities; $G$ follows its gradient, and needs the non-saturating loss. Convergence is not
# guaranteed; $G$ may end with one image for all (*mode collapse*).
#
# - `minisrgan/losses/adversarial.py`: both losses on logits, with their gradients
# - `minisrgan/models/discriminator.py`: the network on one screen
# - `minisrgan/training/stages.py`: `SRGANStage`, where both are trained alternately
# - the paper: Ledig et al. 2017, sec. 2.1 with eq. 2, and sec. 2.2.2; Goodfellow et al. 2014 (arXiv 1406.2661), sec. 3
#   and 4; Mescheder et al. 2018 (arXiv 1801.04406), sec. 2, for the spiral
#
# **Open question.** If $D$ saw the small photo, too, what could it detect that it cannot detect now?
#
# **Next:** notebook 10, all of it together.
