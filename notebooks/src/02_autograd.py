# %% [markdown]
# # 2. Autograd in a page
#
# **You will** build an engine for automatic differentiation in about thirty lines; use it to learn a number; see why
# backpropagation needs an order of the steps; compare it with the package's engine; and find a wrong gradient with
# `gradcheck`.
#
# **Time:** 60 minutes. **Before:** the chain rule, and NumPy's broadcasting.

# %%
# %matplotlib inline
import numpy as np

from checks import check
from minisrgan import Tensor, ops
from minisrgan.autograd import Function, gradcheck
from minisrgan.errors import GradientError
from minisrgan.explain import graph
from minisrgan.show import lines_figure

rng = np.random.default_rng(2)

# %% [markdown]
# ## An array that remembers
#
# Training asks one question, millions of times: how does the loss $L$ change if this weight grows a little? The
# answer is $\partial L / \partial \mathrm{weight}$, the *gradient*. The chain rule computes it from the end to the
# beginning: every step takes the gradient of its result and propagates it back to its inputs (*backpropagation*),
#
# $$\frac{\partial L}{\partial x} = \frac{\partial L}{\partial y} \cdot \frac{\partial y}{\partial x}$$
#
# So a value needs to store its inputs (its parents), and how to propagate a gradient to them.


# %%
class Value:
    """An array, its parents, and for each of them a function from our gradient to theirs."""

    def __init__(self, data, parents=(), pulls=()):
        self.data, self.parents, self.pulls = np.asarray(data, float), parents, pulls
        self.grad = np.zeros_like(self.data)


# %%
def add(a, b):
    return Value(a.data + b.data, (a, b), (lambda g: g, lambda g: g))


def multiply(a, b):
    return Value(a.data * b.data, (a, b), (lambda g: g * b.data, lambda g: g * a.data))


# %% [markdown]
# Now the backward pass. A value that was used twice receives two gradients, and both must have arrived before it
# propagates their sum. This is guaranteed if every value comes after all of its parents in `order`, and we go through
# `order` from the end.


# %%
def order(value, done=None):
    done = [] if done is None else done
    if value not in done:
        for parent in value.parents:
            order(parent, done)
        done.append(value)
    return done


def backward(y, grad_y=1.0):
    y.grad = y.grad + grad_y
    for value in reversed(order(y)):
        for parent, pull in zip(value.parents, value.pulls):
            parent.grad = parent.grad + pull(value.grad)


# %% [markdown]
# That is the engine. **Predict.** With $x = 3$, what are $y = x \cdot x + x$ and $\mathrm{d}y/\mathrm{d}x$? Which line
# of `backward` adds the three parts that make it up?

# %%
x = Value(3.0)
y = add(multiply(x, x), x)
backward(y)
print(f"y = {y.data}, dy/dx = {x.grad}")

# %% [markdown]
# <details><summary>The answer</summary>
#
# $y = 12$ and $\mathrm{d}y/\mathrm{d}x = 2x + 1 = 7$: the two sides of the product give 3 each, the sum gives 1, and
# the last line adds each to the sum so far.
# </details>

# %% [markdown]
# Even this small engine can learn. Which number has the square 2? The loss is the squared error of the square; each
# step moves the number a little against its gradient.

# %%
number = Value(1.0)
for _ in range(20):
    off = add(multiply(number, number), Value(-2.0))
    backward(multiply(off, off))
    number = Value(number.data - 0.05 * number.grad)
print(f"{number.data:.9f}, and the square root of 2 is {np.sqrt(2):.9f}")

# %% [markdown]
# All training is this loop, with millions of numbers in place of one.
#
# ### Exercise 2.1: an operation of your own
#
# Add tanh to the engine. Its derivative is $1 - y^2$, in terms of the result. `run` turns any operation into a function
# of arrays, for the check to call.


# %%
def run(operation, grad_y, *arrays):
    values = [Value(array) for array in arrays]
    y = operation(*values)
    backward(y, grad_y)
    return y.data, *(value.grad for value in values)


# %% tags=["exercise"]
def tanh(a):
    """Return the Value tanh(a)."""
    raise NotImplementedError  # your code here


check("2.1", lambda grad_y, x: run(tanh, grad_y, x))


# %% tags=["solution"]
def tanh(a):
    """Return the Value tanh(a)."""
    y = np.tanh(a.data)
    return Value(y, (a,), (lambda g: g * (1 - y**2),))


check("2.1", lambda grad_y, x: run(tanh, grad_y, x))

# %% [markdown]
# ## Why the order matters
#
# A simpler `backward` would call itself for each parent. This is correct, too, but it follows every *path*. In
# $y = x + x$ two paths lead from $y$ to $x$; now chain many such steps, like the sixteen residual blocks of SRGAN's
# generator, and count the visits.


# %%
def paths(value):
    return 1 + sum(paths(parent) for parent in value.parents)


chain = [Value(1.0)]
for _ in range(16):
    chain.append(add(chain[-1], chain[-1]))
steps = {"every path": [paths(v) for v in chain], "in order": [len(order(v)) for v in chain]}
figure = lines_figure({name: (range(17), count) for name, count in steps.items()}, "sums", "visits")
figure.axes[0].set_yscale("log")
figure

# %% [markdown]
# **Figure 1.** Visits of a walk back through up to 16 sums $x + x$, on a logarithmic scale: one that follows every path
# doubles with each sum and ends at 131,071; one in order visits each value once, 17 of them.
#
# ### Exercise 2.2: broadcasting
#
# Our `add` has a bug: in `add(batch, bias)` NumPy repeats the bias for every row, but the gradient comes back in the
# shape of the batch. What is repeated in the forward pass is *summed* in the backward pass. Write that sum: over the
# axes that the small array lacks, and over those where it has length 1 (they stay, with length 1).


# %% tags=["exercise"]
def sum_to(g, shape):
    """Return g summed to a shape that broadcasts to g's: (4, 3) to (3,), or to (4, 1)."""
    return ...


check("2.2", sum_to)


# %% tags=["solution"]
def sum_to(g, shape):
    """Return g summed to a shape that broadcasts to g's: (4, 3) to (3,), or to (4, 1)."""
    g = g.sum(axis=tuple(range(g.ndim - len(shape))))
    return g.sum(axis=tuple(i for i, size in enumerate(shape) if size == 1), keepdims=True)


check("2.2", sum_to)

# %% [markdown]
# ## The real one
#
# A `Tensor` is our `Value`; its operations are classes with `forward` and `backward` instead of pairs of lambdas. Ask
# any result to explain its backward pass, or draw the graph it came from.

# %% tags=["times"]
x, w = Tensor([[1.0, 2.0], [3.0, -1.0]], True), Tensor([0.5, -1.0], True)
loss = (ops.tanh(x * w) ** 2).mean()
loss.explain(names={"x": x, "w": w})

# %%
graph.to_svg(loss, names={"x": x, "w": w, "loss": loss})

# %% [markdown]
# **Figure 2.** The graph of the same loss, downwards from the leaves x and w, the square boxes, through multiply,
# tanh and power to the mean, which is a sum and a multiplication by 1/4. The label of each line is the shape of its
# tensor.
#
# ## How do we know?
#
# By a *finite difference*: $\frac{L(x + \varepsilon) - L(x - \varepsilon)}{2 \varepsilon}$ must be close to the gradient.
# **Predict.** The smaller $\varepsilon$, the better the approximation. So should we take $\varepsilon = 10^{-15}$?


# %%
def error(eps, kind):
    x, e = kind(0.7), kind(eps)
    return abs((np.tanh(x + e) - np.tanh(x - e)) / (2 * e) - (1 - np.tanh(0.7) ** 2))


eps = 10.0 ** -np.arange(0, 15.5, 0.5)
kinds = {kind.__name__: (eps, [error(e, kind) for e in eps]) for kind in (np.float32, np.float64)}
figure = lines_figure(kinds, "eps", "error of the slope")
figure.axes[0].set(xscale="log", yscale="log")
figure

# %% [markdown]
# **Figure 3.** How far the difference quotient of tanh is off, against $\varepsilon$, both scales logarithmic. Each
# line is a V: from the right it falls with $\varepsilon^2$, until rounding takes over and it rises again. In float64
# the best $\varepsilon$ is near $10^{-5}$; in float32 it is near $10^{-2}$, with an error a million times as large.
# The line of float32 ends in a plateau: below about $10^{-8}$, $x + \varepsilon$ rounds to $x$, the quotient is 0,
# and the error is the slope itself.
#
# <details><summary>The answer</summary>
#
# No. A difference of two almost equal numbers keeps only their last digits, and dividing by $\varepsilon$ enlarges
# their rounding errors. `gradcheck` therefore insists on float64, and takes $\varepsilon = 10^{-6}$.
# </details>

# %% [markdown]
# Here is an operation whose `backward` looks plausible. It subtracts from each column its mean.


# %%
class Centre(Function):
    def forward(self, x):
        return x - x.mean(axis=0)

    def backward(self, grad_y):
        return grad_y  # minus a mean: a constant falls away


try:
    gradcheck(Centre.apply, [Tensor(rng.normal(size=(4, 2)), True)])
except GradientError as mistake:
    print(mistake)

# %% [markdown]
# ### Exercise 2.3: mend it
#
# The mean is not a constant: it moves when any $x_k$ of its column moves. From $y_i = x_i - \frac{1}{n} \sum_k x_k$,
# what does $x_k$ do to *every* $y_i$?


# %% tags=["exercise"]
def centre_gradient(grad_y):
    """Return grad_x for y = x - x.mean(axis=0), both (n, columns)."""
    return ...


check("2.3", centre_gradient)


# %% tags=["solution"]
def centre_gradient(grad_y):
    """Return grad_x for y = x - x.mean(axis=0), both (n, columns)."""
    return grad_y - grad_y.mean(axis=0)


check("2.3", centre_gradient)

# %% [markdown]
# ## Summary
#
# Store the parents, go back in order, and sum the gradients. A framework adds more operations and speed.
#
# - `minisrgan/autograd/tensor.py`, `minisrgan/autograd/function.py`, `minisrgan/autograd/engine.py`: in this order
# - `minisrgan/ops/reduction.py`: `sum_to`; `minisrgan/autograd/gradcheck.py`: the check above, which also handles
#   kinks
# - the paper: Ledig et al. 2017, sec. 2, eq. 1, whose minimum over $\theta_G$ is found by such gradients
#
# **Open question.** The engine keeps every value until the backward pass. Which could be computed again instead, and at what cost?
#
# **Next:** notebook 3, the operation that does nearly all the work.
