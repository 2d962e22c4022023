"""The perceptual loss: content, adversarial and, for one variant, smoothness, each with its weight."""

from collections.abc import Callable
from dataclasses import dataclass

from minisrgan import ops
from minisrgan.autograd import Tensor
from minisrgan.autograd.arguments import setting
from minisrgan.losses.adversarial import generator_loss
from minisrgan.losses.content import consistency_loss, grid_penalty


@dataclass
class PerceptualLoss:
    """The loss of the generator.

    Formula   content(generated, original) + adversarial_weight * adversarial + tv_weight * total variation
              + consistency_weight * consistency + grid_weight * grid penalty
    content             `MSEContent` or `VGGContent`
    adversarial_weight  1e-3 in eq. 3
    tv_weight           2e-8 for SRResNet-VGG22, else 0
    consistency_weight  weight of `consistency_loss`, against a drift of the colours; 0 in SRGAN
    grid_weight         weight of `grid_penalty`, against a lattice with the period of the pixel shuffles; 0 in SRGAN
    scale               the generator's scale, used by these two losses
    Errors    ArgumentError for weights below 0, or that are not finite numbers
    Source    SRGAN eq. 3, and sec. 3.4 for the total variation.

    >>> from minisrgan.losses import MSEContent
    >>> loss = PerceptualLoss(MSEContent())
    >>> total, terms = loss(Tensor([[[[1.0]]]]), Tensor([[[[0.0]]]]), fake_logits=Tensor([[0.0]]))
    >>> {name: round(term.item(), 6) for name, term in terms.items()}
    {'content': 1.0, 'adversarial': 0.000693}
    """

    content: Callable[[Tensor, Tensor], Tensor]
    adversarial_weight: float = 1e-3
    tv_weight: float = 0.0
    consistency_weight: float = 0.0
    grid_weight: float = 0.0
    scale: int = 4

    def __post_init__(self) -> None:
        """Check the settings."""
        for name in ("adversarial_weight", "tv_weight", "consistency_weight", "grid_weight"):
            setattr(self, name, setting("PerceptualLoss", name, getattr(self, name)))

    def __call__(
        self, generated: Tensor, original: Tensor, fake_logits: Tensor | None = None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the total and its weighted terms; without logits there is no adversarial term (SRResNet)."""
        terms = {"content": self.content(generated, original)}
        if fake_logits is not None:
            terms["adversarial"] = generator_loss(fake_logits) * self.adversarial_weight
        if self.tv_weight:
            terms["total_variation"] = ops.total_variation(generated) * self.tv_weight
        if self.consistency_weight:
            terms["consistency"] = consistency_loss(generated, original, self.scale) * self.consistency_weight
        if self.grid_weight:
            terms["grid"] = grid_penalty(generated, original, self.scale) * self.grid_weight
        first, *others = terms.values()
        return sum(others, first), terms
