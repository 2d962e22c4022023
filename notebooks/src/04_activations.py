# %% [markdown]
# # 4. Leaky, parametric: activations that learn
#
# **You will** see why a network needs nonlinear functions between its convolutions; derive the gradient of PReLU with
# respect to its input and its slope; write a leaky ReLU as an operation of the package's engine; and train a slope.
#
# **Time:** 60 minutes. **Before:** notebooks 2 and 3.

# %%
# %matplotlib inline
import numpy as np

from checks import check
from minisrgan import Tensor, nn, ops
from minisrgan.autograd import Function, gradcheck, gradgradcheck
from minisrgan.data import sample_photos
from minisrgan.images import imresize
from minisrgan.optim import Adam
from minisrgan.show import images_figure, lines_figure

rng = np.random.default_rng(4)

# %% [markdown]
# ## Why a bend
#
# **Predict.** Two convolutions one after the other have twice the weights of one. Can they do more than a single,
# larger convolution could? A linear map $f$ obeys $f(a + b) = f(a) + f(b)$. Which of the two lines below will print
# (nearly) 0?

# %%
first, second = (nn.Conv2d(3, 3, 3, bias=False, rng=rng) for _ in range(2))
a, b = (Tensor(rng.normal(size=(1, 8, 8, 3)).astype(np.float32)) for _ in range(2))
for f in (lambda x: second(first(x)), lambda x: second(ops.relu(first(x)))):
    print(f"{np.abs((f(a + b) - f(a) - f(b)).numpy()).max():.4f}")

# %% [markdown]
# <details><summary>The answer</summary>
#
# The first. Convolutions are linear, so two of them are one convolution with a 5 x 5 kernel; thirty are one as well.
# Only a nonlinear function between them, the *activation*, makes a deep network more powerful.
# </details>

# %% [markdown]
# The simplest bend is at 0. All three activations of SRGAN are one formula with another slope $a$ below it:
#
# $$y = \max(x, 0) + a \cdot \min(x, 0)$$
#
# ReLU (in VGG) has $a = 0$, leaky ReLU (in the discriminator) $a = 0.2$, and PReLU (in the generator) learns an $a$ for
# every channel.

# %%
x = Tensor(np.linspace(-2, 2, 401), requires_grad=True)
kinds = {"ReLU": 0.0, "leaky ReLU": 0.2, "PReLU, a = -0.5": -0.5}
curves = {name: ops.prelu(x, Tensor(np.array([a]))).numpy() for name, a in kinds.items()}
lines_figure({name: (x.numpy(), y) for name, y in curves.items()}, "x", "y", size=(5, 3))

# %% [markdown]
# **Figure 1.** Three activations. Above 0 all are the identity. Below, ReLU is flat, leaky ReLU falls gently with slope
# 0.2, and a PReLU that has learned $a = -0.5$ rises to the left.
#
# ### Exercise 4.1: the gradient with respect to x
#
# $\partial y / \partial x$ is 1 above 0 and $a$ elsewhere; at the kink itself we take $a$. Given `grad_y`, return
# `grad_x`, for any shape, without a loop.


# %% tags=["exercise"]
def leaky_gradient(grad_y, x, a):
    """Return grad_x of y = max(x, 0) + a min(x, 0); a is a number."""
    return ...


check("4.1", leaky_gradient)


# %% tags=["solution"]
def leaky_gradient(grad_y, x, a):
    """Return grad_x of y = max(x, 0) + a min(x, 0); a is a number."""
    return grad_y * np.where(x > 0, 1, a)


check("4.1", leaky_gradient)

# %% [markdown]
# ### Exercise 4.2: the gradient with respect to the slope
#
# For PReLU, $\partial y / \partial a = \min(x, 0)$. One slope is used for every pixel of its channel in every image,
# so its gradient is the sum over all of them: what is repeated in the forward pass is summed in the backward pass.
# `x` is `(N, H, W, C)`, `slope` is `(C,)`.


# %% tags=["exercise"]
def prelu_gradients(grad_y, x, slope):
    """Return (grad_x, grad_slope)."""
    grad_x = ...
    grad_slope = ...
    return grad_x, grad_slope


check("4.2", prelu_gradients)


# %% tags=["solution"]
def prelu_gradients(grad_y, x, slope):
    """Return (grad_x, grad_slope)."""
    grad_x = grad_y * np.where(x > 0, 1, slope)
    grad_slope = (grad_y * np.minimum(x, 0)).sum(axis=(0, 1, 2))
    return grad_x, grad_slope


check("4.2", prelu_gradients)

# %% [markdown]
# The layer shows the same in numbers:

# %%
layer = nn.PReLU(channels=8, slope=0.25)
layer.explain(rng.normal(size=(1, 4, 4, 8)).astype(np.float32), at=(0, 1, 1, 5))


# %%
# For which slopes is y the identity, for which is it an absolute value?
def bend(slope):
    a, x = Tensor(np.array([slope])), Tensor(np.linspace(-2, 2, 401), requires_grad=True)
    y = ops.prelu(x, a)
    y.sum().backward()
    lines = {"y": (x.numpy(), y.numpy()), "dy/dx": (x.numpy(), x.grad.numpy())}
    return lines_figure(lines, f"x, for the slope {slope:.2f}", size=(5, 3))


slider(bend, "slope a", np.linspace(-1, 1, 9), 0.25)

# %% [markdown]
# ### Exercise 4.3: an operation of the real engine
#
# A `Function` has two methods. `forward` sees plain arrays and keeps its first input with `self.save_inputs(0)`;
# `backward` gets it back from `self.saved` as a Tensor and computes with Tensors, so that its result can be
# differentiated *again*. Write leaky ReLU with $a = 0.2$. A condition becomes zeros and ones by
# `Tensor((x.data > 0).astype(x.dtype))`.


# %% tags=["exercise"]
class MyLeakyReLU(Function):
    """Leaky ReLU with slope 0.2."""

    def forward(self, x):
        raise NotImplementedError

    def backward(self, grad_y):
        raise NotImplementedError


check("4.3", MyLeakyReLU.apply)


# %% tags=["solution"]
class MyLeakyReLU(Function):
    """Leaky ReLU with slope 0.2."""

    def forward(self, x):
        self.save_inputs(0)
        return np.maximum(x, 0) + 0.2 * np.minimum(x, 0)

    def backward(self, grad_y):
        (x,) = self.saved
        positive = Tensor((x.data > 0).astype(x.dtype))
        return grad_y * (positive + 0.2 * (1.0 - positive))


check("4.3", MyLeakyReLU.apply)

# %% [markdown]
# The package's PReLU passes the same test, and the one for the gradient of its gradient, with errors below a millionth:

# %%
x, slope = Tensor(rng.normal(size=(2, 3, 3, 4)), True), Tensor(rng.normal(size=4), True)
for test in (gradcheck, gradgradcheck):
    report = test(ops.prelu, [x, slope])
    print(f"{test.__name__} of {', '.join(report.inputs)}:", max(report.errors) < 1e-6)

# %% [markdown]
# ## What a slope does to a deep network
#
# Each ReLU sets about half of its numbers to 0, and with them half of the signal's energy. He et al. initialize the
# weights with larger values to compensate for it: with variance $2 / ((1 + a^2) \cdot \mathrm{fan\_in})$, where
# fan_in is the number of products in one output. **Predict.** Initialize the weights as for ReLU, $a = 0$. What
# happens to the signal in 30 layers if the activation is ReLU; if it is leaky with $a = 0.5$; if there is none, $a =
# 1$?


# %%
def depth_profile(a, depth=30):
    x, sizes = Tensor(rng.normal(size=(1, 24, 24, 64)).astype(np.float32)), []
    for _ in range(depth):
        weight = Tensor(nn.he_normal((3, 3, 64, 64), rng))
        x = ops.leaky_relu(ops.conv2d(x, weight, padding=1), a)
        sizes.append(np.sqrt((x.numpy() ** 2).mean()))
    return range(1, depth + 1), sizes


lines = {f"a = {a}": depth_profile(a) for a in (0.0, 0.5, 1.0)}
figure = lines_figure(lines, "layer", "root of mean y²")
figure.axes[0].set_yscale("log")
figure

# %% [markdown]
# **Figure 2.** The size of a signal, as the root of its mean square, after each of 30 convolutions with weights drawn
# for ReLU, on a logarithmic scale. With ReLU it stays near 1 for the first half and then falls to a fifth; with slope
# 0.5 it rises to nearly 20, and without an activation to more than 20,000.
#
# <details><summary>The answer</summary>
#
# With slope $a$, each layer multiplies the mean square by $1 + a^2$ on average, if the weights were drawn for $a =
# 0$: the signal grows by $\sqrt{1.25}$ or $\sqrt{2}$ a layer, to 28 or 33,000 after 30, and keeps its size with ReLU.
# The zeros of the padding reduce it a little, and a single random network deviates from the average, more so with
# fewer channels.
# </details>
#
# ## A slope that trains
#
# In notebook 3 a kernel of $-1, 0, +1$ found edges, with a sign. Let the target now be the edges *without* sign: the
# absolute value of that image. The model is one convolution and one PReLU, which starts at $a = 0.25$. **Predict.**
# Which slope makes PReLU an absolute value?

# %%
grey = imresize(sample_photos(["chelsea"])["chelsea"], 1 / 2).mean(axis=2, keepdims=True)
x = Tensor((grey / 255).astype(np.float32)[None])
teacher = np.zeros((3, 3, 1, 1), np.float32)
teacher[:, 0], teacher[:, 2] = -1, 1
target = Tensor(np.abs(ops.conv2d(x, Tensor(teacher)).numpy()))


# %%
def learn(seed, steps=600):
    net = nn.Sequential(nn.Conv2d(1, 1, 3, rng=np.random.default_rng(seed)), nn.PReLU(1))
    optimizer, slopes = Adam(net.parameters(), lr=0.02), []
    for _ in range(steps):
        net.zero_grad()
        ops.mse(net(x), target).backward()
        optimizer.step()
        slopes.append(net[1].weight.item())
    return net, slopes


pupils = {f"first weights drawn with seed {seed}": learn(seed) for seed in (5, 0)}
lines_figure({name: (range(600), slopes) for name, (_, slopes) in pupils.items()}, "step", "slope")

# %% [markdown]
# **Figure 3.** The slope during 600 steps, for two initializations of the kernel. One falls from 0.25 past -1 and
# returns to about -1; the other stops near 0.1.
#
# <details><summary>The answer</summary>
#
# $a = -1$: then $y = -x$ below 0. The network learned this from the gradient of exercise 4.2. The other model is in a
# local minimum, where every small change of kernel or slope increases the loss. Wide networks have many channels, so
# that some of them start well.
# </details>

# %%
net = pupils["first weights drawn with seed 5"][0]
found = {"teacher's kernel": teacher, "pupil's kernel": net[0].weight.numpy()}
maps = {name: kernel[:, :, 0, 0] for name, kernel in found.items()}
maps |= {"target": target.numpy()[0, :, :, 0], "pupil's output": net(x).numpy()[0, :, :, 0]}
images_figure(maps, width=2.3)

# %% [markdown]
# **Figure 4.** The kernel that made the target, and the one that the first model found, which is nearly the same,
# left against right. Then the edges of the cat without sign, as wanted and as learned; they look alike.
#
# ## Summary
#
# Without nonlinear functions, a deep network is equivalent to a single layer. A slope for negative values keeps their
# gradients from vanishing; a learned slope costs one number per channel.
#
# - `minisrgan/ops/activation.py`: `prelu`, `leaky_relu`, with `backward_fused`, which does both gradients in one pass
# - `minisrgan/nn/init.py`: `he_normal`; `minisrgan/nn/layers.py`: the layers
# - the paper: Ledig et al. 2017, sec. 2.1: PReLU in the generator, leaky ReLU with 0.2 and no pooling in the
#   discriminator; He et al. 2015 (arXiv 1502.01852) for PReLU and for the first weights
#
# **Open question.** A slope may leave the range from 0 to 1 during training. Is this a strength or a danger? Which experiment would show it?
#
# **Next:** notebook 5, which keeps the signal of figure 2 at a constant size.
