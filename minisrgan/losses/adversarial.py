"""The adversarial losses of both players, on logits (SRGAN eq. 2 and sec. 2.2.2), and their weight beside the content.

With D(x) = sigmoid(z) the logarithms of eq. 2 are softplus functions of the logit z, which stay finite and keep a
gradient however sure D is:   -ln D = softplus(-z)      -ln(1 - D) = softplus(z)
"""

from collections.abc import Callable, Iterable

from minisrgan import ops
from minisrgan.autograd import Tensor
from minisrgan.backend import Array, array_module


def discriminator_loss(real_logits: Tensor, fake_logits: Tensor, real_label: float = 1.0) -> Tensor:
    """Return what D minimises: it should say 1 to originals and 0 to generated images.

    Formula   mean[-ln D(real)] + mean[-ln(1 - D(fake))] = mean softplus(-z_real) + mean softplus(z_fake)
    Gradient  (D(real) - 1)/n for z_real and D(fake)/n for z_fake: nothing once D is right and sure
    Shapes    logits (N, 1) each; a scalar
    real_label  below 1 smooths the label of originals (one-sided), which keeps D from growing too sure
    Source    SRGAN eq. 2; one-sided smoothing: Salimans et al. 2016, arXiv 1606.03498, sec. 3.4.

    >>> even = Tensor([[0.0]])
    >>> round(discriminator_loss(even, even).item(), 4)                 # 2 ln 2: D cannot tell
    1.3863
    """
    real = ops.binary_cross_entropy_with_logits(real_logits, real_label)
    fake = ops.binary_cross_entropy_with_logits(fake_logits, 0.0)
    return real + fake


def generator_loss(fake_logits: Tensor) -> Tensor:
    """Return what G minimises: D should take its images for originals.

    Formula   mean[-ln D(G(x))] = mean softplus(-z)
    Gradient  (D(G(x)) - 1)/n for z: largest where D is sure that the image is generated. The min-max form of eq. 2,
              ln(1 - D(G(x))), has its smallest gradient there, at the start of training, when G needs it most.
    Shapes    logits (N, 1); a scalar
    Source    SRGAN sec. 2.2.2 and eq. 6; the sum over the batch there is a mean here.

    >>> round(generator_loss(Tensor([[0.0]])).item(), 4)                # ln 2
    0.6931
    """
    return ops.softplus(-fake_logits).mean()


class AdversarialBalance:
    """A weight of the adversarial term that keeps its gradient in proportion to the content's.

    Formula     r = |dL_content/dx| / (|dL_adversarial/dx| + 1e-12), x the generator's output
                average <- 0.95 average + 0.05 min(r, 10 average), the first r as it is: a step in which D passes
                hardly any gradient on does not lift the weight of the next hundred
                weight = balance * average
    balance     the adversarial gradient's norm as a part of the content gradient's: 0.5 is half of it
    Source      Esser et al. 2021, arXiv 2012.09841, eq. 7, there at the last layer. With a fixed weight as in SRGAN
                eq. 3 the right value depends on the crop, the width of D and the weights of VGG.

    >>> balance = AdversarialBalance(0.5)
    >>> content, adversarial = Tensor([3.0, 4.0]), Tensor([0.0, 0.1])
    >>> round(balance.weight(content, adversarial).item(), 3)           # 0.5 * 5 / 0.1
    25.0
    """

    def __init__(self, balance: float, decay: float = 0.95) -> None:
        self.balance, self.decay = balance, decay
        self.ratio: Array | None = None

    def weight(
        self, content: Tensor, adversarial: Tensor, mean: Callable[[Iterable[Array]], Iterable[Array]] = list
    ) -> Tensor:
        """Take the gradients of both terms at the generator's output into the average; return the weight.

        mean    averages the squared norms over the processes that share a batch, if there are several
        """
        xp = array_module(content.data)
        content_norm, norm = (square**0.5 for square in mean((g.data * g.data).sum() for g in (content, adversarial)))
        ratio = content_norm / (norm + 1e-12)
        if self.ratio is not None:
            ratio = self.decay * self.ratio + (1 - self.decay) * xp.minimum(ratio, 10 * self.ratio)
        self.ratio = xp.asarray(ratio)  # an array even of no axes, as a checkpoint keeps it
        return Tensor(self.balance * self.ratio)
