"""The adversarial losses of discriminator and generator, on logits (SRGAN eq. 2 and sec. 2.2.2), and their weight.

With D(x) = sigmoid(z) the logarithms of eq. 2 are softplus functions of the logit z, which stay finite and have a
nonzero gradient even if D is very certain:   -ln D = softplus(-z)      -ln(1 - D) = softplus(z)
"""

from collections.abc import Callable, Iterable

from minisrgan import ops
from minisrgan.autograd import Tensor
from minisrgan.autograd.checks import require_logits
from minisrgan.backend import Array, array_module


def discriminator_loss(real_logits: Tensor, fake_logits: Tensor, real_label: float = 1.0) -> Tensor:
    """Return the loss of D: D should output 1 for originals and 0 for generated images.

    Formula   mean[-ln D(real)] + mean[-ln(1 - D(fake))] = mean softplus(-z_real) + mean softplus(z_fake)
    Gradient  (D(real) - 1)/n for z_real and D(fake)/n for z_fake: almost 0 if D is right and certain
    Shapes    logits (N, 1) each; the loss is a scalar
    Errors    ShapeError for images in place of logits; ArgumentError for a label that is not from 0 to 1
    real_label  below 1 smooths the label of originals (one-sided), so that D does not become too certain
    Source    SRGAN eq. 2; one-sided smoothing: Salimans et al. 2016, arXiv 1606.03498, sec. 3.4.

    A relativistic discriminator judges pairs. With the logits z_real - z_fake and z_fake - z_real this loss is twice
    mean[-ln sigmoid(z_real - z_fake)], and G minimizes `generator_loss(z_fake - z_real)`. Whatever the two images of a
    pair have in common, such as a blurred background, cancels (Jolicoeur-Martineau 2018, arXiv 1807.00734: RSGAN).

    >>> even = Tensor([[0.0]])
    >>> round(discriminator_loss(even, even).item(), 4)                 # 2 ln 2: D cannot tell
    1.3863
    """
    real = ops.binary_cross_entropy_with_logits(require_logits("discriminator_loss", real_logits), real_label)
    fake = ops.binary_cross_entropy_with_logits(require_logits("discriminator_loss", fake_logits), 0.0)
    return real + fake


def generator_loss(fake_logits: Tensor) -> Tensor:
    """Return the loss of G: D should take its images for originals.

    Formula   mean[-ln D(G(x))] = mean softplus(-z)
    Gradient  (D(G(x)) - 1)/n for z: largest if D is certain that the image is generated. The min-max form of eq. 2,
              ln(1 - D(G(x))), has its smallest gradient in this case, at the start of training, when G needs it most.
    Shapes    logits (N, 1); the loss is a scalar
    Errors    ShapeError for images in place of logits
    Source    SRGAN sec. 2.2.2 and eq. 6; the sum over the batch there is a mean here.

    >>> round(generator_loss(Tensor([[0.0]])).item(), 4)                # ln 2
    0.6931
    """
    return ops.softplus(-require_logits("generator_loss", fake_logits)).mean()


class AdversarialBalance:
    """A weight that keeps the gradient of the adversarial term in proportion to that of the content term.

    Formula     r = |dL_content/dx| / (|dL_adversarial/dx| + 1e-12), x the generator's output
                average <- 0.95 average + 0.05 min(r, 10 average), starting with the first r. Without the limit of
                10 average, one step with a tiny adversarial gradient would raise the weight of the next hundred
                weight = balance * average
    balance     the norm of the adversarial gradient divided by that of the content gradient
    Source      Esser et al. 2021, arXiv 2012.09841, eq. 7, for gradients at the last layer. The best fixed weight for
                SRGAN eq. 3 depends on the crop, the width of D and the weights of VGG.

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
        """Update the average with the gradients of both terms at the generator's output; return the weight.

        mean    averages the squared norms over the processes that share a batch, if there are several
        """
        content_norm, norm = (square**0.5 for square in mean((g.data * g.data).sum() for g in (content, adversarial)))
        ratio = content_norm / (norm + 1e-12)
        if self.ratio is None:
            self.ratio = array_module(content.data).asarray(ratio)  # a checkpoint stores arrays, also 0-d ones
        else:  # in place, since a captured step knows only its address
            self.ratio[...] = self.decay * self.ratio + (1 - self.decay) * ratio.clip(None, 10 * self.ratio)
        return Tensor(self.balance * self.ratio)
