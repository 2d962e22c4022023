"""The perceptual loss: content, adversarial and, for one variant, smoothness, each with its weight."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from minisrgan import ops
from minisrgan.autograd import Tensor
from minisrgan.losses.adversarial import generator_loss
from minisrgan.losses.grid import grid_penalty


@dataclass
class PerceptualLoss:
    """What the generator minimises.

    Formula   content(generated, original) + adversarial_weight * adversarial + tv_weight * total variation
              + pixel_weight * mean squared error of pixels + grid_weight * grid penalty
    content             `MSEContent` or `VGGContent`
    adversarial_weight  1e-3 in eq. 3
    tv_weight           2e-8 for SRResNet-VGG22, else 0
    pixel_weight        0 in SRGAN. VGG's features do not mind a shift of colour or a faint grid; pixels do.
    grid_weight         0 in SRGAN; of `grid_penalty`, against a lattice with the period of the pixel shuffles
    period              of that lattice: the generator's scale
    Source    SRGAN eq. 3, and sec. 3.4 for the total variation; pixels beside features are ESRGAN's (Wang et al.
              2018, arXiv 1809.00219, eq. 3), by their absolute difference.

    >>> from minisrgan.losses import MSEContent
    >>> loss = PerceptualLoss(MSEContent())
    >>> total, terms = loss(Tensor([[[[1.0]]]]), Tensor([[[[0.0]]]]), fake_logits=Tensor([[0.0]]))
    >>> {name: round(term.item(), 6) for name, term in terms.items()}
    {'content': 1.0, 'adversarial': 0.000693}
    """

    content: Callable[[Tensor, Tensor], Tensor]
    adversarial_weight: float = 1e-3
    tv_weight: float = 0.0
    pixel_weight: float = 0.0
    grid_weight: float = 0.0
    period: int = 4

    def __call__(
        self, generated: Tensor, original: Tensor, fake_logits: Tensor | None = None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the total and its weighted terms; without logits there is no adversarial term (SRResNet)."""
        terms = {"content": self.content(generated, original)}
        if fake_logits is not None:
            terms["adversarial"] = generator_loss(fake_logits) * self.adversarial_weight
        if self.tv_weight:
            terms["total_variation"] = ops.total_variation(generated) * self.tv_weight
        if self.pixel_weight:
            terms["pixel"] = ops.mse(generated, original) * self.pixel_weight
        if self.grid_weight:
            terms["grid"] = grid_penalty(generated, original, self.period) * self.grid_weight
        total, *others = terms.values()
        for term in others:
            total = total + term
        return total, terms
