"""How loud the discriminator is to be beside the content: by gradients, not by a weight that must be tuned."""

from minisrgan.autograd import Tensor
from minisrgan.backend import Array, array_module


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

    def weight(self, content: Tensor, adversarial: Tensor) -> Tensor:
        """Take the gradients of both terms at the generator's output into the average; return the weight."""
        xp = array_module(content.data)
        content_norm, norm = ((g.data * g.data).sum() ** 0.5 for g in (content, adversarial))
        ratio = content_norm / (norm + 1e-12)
        if self.ratio is not None:
            ratio = self.decay * self.ratio + (1 - self.decay) * xp.minimum(ratio, 10 * self.ratio)
        self.ratio = xp.asarray(ratio)  # an array even of no axes, as a checkpoint keeps it
        return Tensor(self.balance * self.ratio)
