"""Monitoring of a training: the numbers of a step for the log, and warnings."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from minisrgan import ops
from minisrgan.autograd import Tensor
from minisrgan.backend import fetched
from minisrgan.nn import Module
from minisrgan.optim.clip import squared_norm

Tensors = Mapping[str, Tensor]
WINDOW = 50  # number of consecutive bad steps before a warning

TERM = (
    "the gradient of {term} is 0: it teaches the generator nothing, however good it looks in the log. Is what "
    "counts in it detached on its way, or its weight 0?"
)
# Numbers of the log, with bounds; and the meaning if all of them stay within the bounds for `WINDOW` steps.
RULES: dict[str, tuple[dict[str, tuple[float, float]], str]] = {
    "discriminator": ({"d_real": (0.95, 1), "d_fake": (0, 0.05)}, "the discriminator has won: it tells originals "
     "({d_real:.2f}) from generated pictures ({d_fake:.3f}) every time, and the generator learns little from it. Try a "
     "lower d_lr, real_label = 0.9, or fewer d_channels; and begin with a trained SRResNet (--init)"),
    "outside": ({"outside": (0.05, 1)}, "{outside:.0%} of the output lies outside of [-1, 1], where black and white "
     "end: saved pictures lose it. Try a lower learning rate, or more weight on the content"),
    "contrast": ({"contrast": (0, 0.1)}, "the output is nearly uniform: it varies {contrast:.2f} times as much as the "
     "originals. Try a lower learning rate, or less adversarial weight"),
}  # fmt: skip


def measured(
    learned: Mapping[str, Module], generated: Tensor, high: Tensor, terms: Tensors, gradients: Tensors, judged: Tensors
) -> dict[str, float]:
    """Return the numbers of a step that has just been taken.

    learned    the networks that were updated
    terms      the terms of the generator's loss, weighted
    gradients  the gradients of the terms at the generator's output
    judged     d_loss, and D's logits for originals and generated images as d_real and d_fake
    Returns    loss and its terms; grad_NAME, the norm of each term's gradient; grad and d_grad, the norms over all
               parameters of each network; d_loss; d_real and d_fake, the mean probabilities; outside, the fraction of
               output values outside [-1.05, 1.05]; contrast, the output's standard deviation divided by the originals'
    """
    y = generated.data
    values = {"loss": sum(term.data for term in terms.values())} if terms else {}
    values |= {name: tensor.data for name, tensor in (*terms.items(), *judged.items())}
    values |= {name: ops.sigmoid(judged[name].detach()).mean().data for name in ("d_real", "d_fake") if name in judged}
    values |= {"outside": (abs(y) > 1.05).mean(), "contrast": y.std() / (high.data.std() + 1e-6)}
    squares = {f"grad_{name}": (gradient.data * gradient.data).sum() for name, gradient in gradients.items()}
    keys = {"generator": "grad", "discriminator": "d_grad"}
    squares |= {keys[name]: squared_norm(network) for name, network in learned.items()}
    values |= squares

    def named(floats: list[float]) -> dict[str, float]:
        numbers = dict(zip(values, floats, strict=True))
        return numbers | {name: math.sqrt(numbers[name]) for name in squares}

    return fetched([*values.values()], named)  # one transfer: Python waits once


def pooled(each: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Return the numbers of a whole batch from those of its equal parts, one for each rank.

    Formula  losses, probabilities and contrast are means over the parts
             grad_NAME = sqrt(mean of the squares / n) for n ranks, since the mean loss has 1/n of each part's gradient
             grad and d_grad are equal on all ranks

    >>> pooled([{"loss": 1.0, "grad_content": 3.0}, {"loss": 2.0, "grad_content": 4.0}])    # sqrt(3^2 + 4^2) / 2
    {'loss': 1.5, 'grad_content': 2.5}
    """
    if len(each) == 1:
        return dict(each[0])
    columns = {name: [numbers[name] for numbers in each] for name in each[0]}
    return {name: math.hypot(*column) / len(each) if name.startswith("grad_") else sum(column) / len(each)
            for name, column in columns.items()}  # fmt: skip


def plain_words(records: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Return what was wrong in all of the last steps: a short name -> its meaning, and what to try.

    records  of the log, for the last `WINDOW` steps; with fewer records there are no warnings
    Checks    grad_NAME       the gradient of a loss term is 0
              d_real, d_fake  D's probability for originals is above 0.95, and for generated images below 0.05
              outside         more than 5 % of the output's values are outside of [-1.05, 1.05]
              contrast        the standard deviation of the output is below a tenth of the originals'

    >>> list(plain_words([{"grad_content": 0.0, "outside": 0.0, "contrast": 1.0}] * WINDOW))
    ['grad_content']
    """
    if len(records) < WINDOW:
        return {}
    last = records[-1]
    terms = {name: ({name: (0.0, 0.0)}, TERM.format(term=name.removeprefix("grad_")))
             for name in last if name.startswith("grad_")}  # fmt: skip

    def always(name: str, low: float, high: float) -> bool:
        return all(low <= record.get(name, -1.0) <= high for record in records)

    return {name: text.format(**last) for name, (bounds, text) in (terms | RULES).items()
            if all(always(number, *bound) for number, bound in bounds.items())}  # fmt: skip
