"""What watches a training: the numbers that its log tells of a step, and what goes wrong without an error."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from minisrgan import ops
from minisrgan.autograd import Tensor
from minisrgan.backend import to_floats
from minisrgan.losses import AdversarialBalance
from minisrgan.nn import Module
from minisrgan.optim import grad_norm

WINDOW = 50  # steps for which something has to hold before it is told

TERM = (
    "the gradient of {term} is 0: it teaches the generator nothing, however good it looks in the log. Is what "
    "counts in it detached on its way, or its weight 0?"
)
SATURATED = (
    "the discriminator has won: it tells originals ({d_real:.2f}) from generated pictures ({d_fake:.3f}) every time, "
    "and the generator learns little from it. Try a lower d_lr, real_label = 0.9, or fewer "
    "d_channels; and begin with a trained SRResNet (--init)"
)
OUTSIDE = (
    "{outside:.0%} of the output lies outside of [-1, 1], where black and white end: saved pictures lose it. Try "
    "a lower learning rate, or more weight on the content"
)
UNIFORM = (
    "the output is nearly uniform: it varies {contrast:.2f} times as much as the originals. Try a lower learning "
    "rate, or less adversarial weight"
)


def measured(
    networks: Mapping[str, Module],
    generated: Tensor,
    high: Tensor,
    terms: Mapping[str, Tensor] | None = None,
    gradients: Mapping[str, Tensor] | None = None,
    judged: Sequence[Tensor] = (),
    balance: AdversarialBalance | None = None,
) -> dict[str, float]:
    """Return the numbers of a step that has just been taken.

    terms      of the loss, weighted, and their
    gradients  at the generator's output, where the generator has learned
    judged     D's logits for originals and for generated images, and its loss, where there is a discriminator

    Returns    loss, its terms, the norm grad_NAME of each term's gradient; grad and d_grad, the norms over all
               parameters of each player; d_loss, d_real and d_fake, what D says to originals and generated images;
               outside, which part of the output leaves [-1, 1]; contrast, how much it varies beside the originals; and
               adversarial_weight where that is balanced
    """
    y, terms = generated.data, dict(terms or {})
    values: dict[str, Any] = {name: term.data for name, term in terms.items()}
    if terms:
        values["loss"] = sum(values.values())
    norms = {f"grad_{name}": (g.data * g.data).sum() for name, g in (gradients or {}).items()}
    values |= norms | {"outside": (abs(y) > 1.05).mean(), "contrast": y.std() / (high.data.std() + 1e-6)}
    if judged:
        real, fake, loss = (tensor.detach() for tensor in judged)
        chances = {"d_real": ops.sigmoid(real).mean(), "d_fake": ops.sigmoid(fake).mean()}
        values |= {"d_loss": loss.data} | {name: chance.data for name, chance in chances.items()}
    if balance and balance.ratio is not None and terms:
        values["adversarial_weight"] = balance.balance * balance.ratio
    numbers = dict(zip(values, to_floats([*values.values()]), strict=True))  # from a GPU together: Python waits once
    numbers |= {name: numbers[name] ** 0.5 for name in norms}
    players = {"generator": "grad", "discriminator": "d_grad"} if terms else {"discriminator": "d_grad"}
    return numbers | {players[name]: grad_norm(net.parameters()) for name, net in networks.items() if name in players}


def plain_words(records: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Return what has been wrong in all of the last steps: a short name -> what it means and what to try.

    records  of the log, those of the last `WINDOW` steps; nothing is said of fewer
    Looks at  grad_NAME       the gradient of a loss term is 0
              d_real, d_fake  what D says to originals is above 0.95, and to generated pictures below 0.05
              outside         more than 5 % of the output's values are outside of [-1.05, 1.05]
              contrast        the standard deviation of the output is below a tenth of the originals'

    >>> list(plain_words([{"grad_content": 0.0, "outside": 0.0, "contrast": 1.0}] * WINDOW))
    ['grad_content']
    """
    if len(records) < WINDOW:
        return {}
    last = records[-1]

    def always(name: str, low: float, high: float) -> bool:
        return all(low <= record.get(name, -1.0) <= high for record in records)

    found = {name: TERM.format(term=name.removeprefix("grad_"))
             for name in last if name.startswith("grad_") and always(name, 0, 0)}  # fmt: skip
    if always("d_real", 0.95, 1) and always("d_fake", 0, 0.05):
        found["discriminator"] = SATURATED.format(**last)
    if always("outside", 0.05, 1):
        found["outside"] = OUTSIDE.format(**last)
    if always("contrast", 0, 0.1):
        found["contrast"] = UNIFORM.format(**last)
    return found
