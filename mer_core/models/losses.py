"""Cross entropy and focal loss (equations 6 to 10), computed from logits.

Both factors come from the logarithms of p and of 1 - p, and (1 - p)^gamma = exp(gamma log(1 - p)):
values and gradients stay finite where p rounds to 0 or 1, for every gamma >= 0.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn.functional import log_softmax, logsigmoid, one_hot

from mer_core.errors import UserError

if TYPE_CHECKING:
    from mer_core.config.models import Loss

Alpha = float | Sequence[float] | Tensor | None

# bfloat16 logits reach 3e38; below this floor sums over classes and samples would overflow float32.
_FLOOR = -1e30


def focal_loss(
    logits: Tensor, target: Tensor, gamma: float = 2.0, alpha: Alpha = None, reduction: str = "mean"
) -> Tensor:
    """Focal loss in the softmax form: -alpha_y (1 - p_y)^gamma log p_y.

    With gamma 0 and no alpha it is the cross entropy.

    Args:
        logits: (N, K), any floating type; half precision is computed in float32.
        target: (N,) class indices.
        gamma: at least 0; larger values make easy samples count less.
        alpha: weight of a sample: one number for all, one per class (K,), or None for 1.
        reduction: `mean` or `sum` over samples. The mean divides by N, whatever alpha is.

    Returns:
        The loss, a scalar.
    """
    log_p = log_softmax(_at_least_float32(logits), dim=1).clamp(min=_FLOOR)
    is_target = one_hot(target, logits.shape[1]).bool()
    log_p_true = log_p.where(is_target, 0).sum(dim=1)
    log_p_rest = log_p.masked_fill(is_target, -torch.inf).logsumexp(dim=1)  # log(1 - p_y)
    loss = -(gamma * log_p_rest).exp() * log_p_true
    if alpha is not None:
        loss = loss * _per_class(alpha, log_p)[target]
    return _reduce(loss, reduction)


def sigmoid_focal_loss(
    logits: Tensor, target: Tensor, gamma: float = 2.0, alpha: Alpha = 0.25, reduction: str = "mean"
) -> Tensor:
    """Focal loss in the one-versus-all form, equation 10, with p = sigmoid(logits).

    -sum_i [alpha_i (1 - p_i)^gamma y_i log p_i + (1 - alpha_i) p_i^gamma (1 - y_i) log(1 - p_i)],
    y the one-hot target; always summed over the classes.

    Args:
        logits: (N, K), any floating type; half precision is computed in float32.
        target: (N,) class indices.
        gamma: at least 0; larger values make easy samples count less.
        alpha: share of the positive term in [0, 1]: one number, one per class (K,), or None, which
            gives both terms the weight 1.
        reduction: `mean` or `sum` over samples; equation 10 prints the sum.

    Returns:
        The loss, a scalar.
    """
    logits = _at_least_float32(logits)
    log_p, log_not_p = logsigmoid(logits).clamp(min=_FLOOR), logsigmoid(-logits).clamp(min=_FLOOR)
    positive = (gamma * log_not_p).exp() * log_p
    negative = (gamma * log_p).exp() * log_not_p
    if alpha is not None:
        share = _per_class(alpha, logits)
        positive, negative = share * positive, (1 - share) * negative
    is_target = one_hot(target, logits.shape[1]).bool()
    return _reduce(-torch.where(is_target, positive, negative).sum(dim=1), reduction)


class ClassificationLoss(nn.Module):
    """A loss with its settings: called with logits (N, K) and class indices (N,), gives a scalar.

    Args:
        form, gamma, alpha, reduction, smoothing: as in the configuration.
        occurring: indices of the classes that smoothing spreads labels over.
    """

    def __init__(
        self,
        form: str,
        gamma: float,
        alpha: Tensor | None,
        reduction: str,
        smoothing: float,
        occurring: Sequence[int],
    ) -> None:
        super().__init__()
        self.function = {"softmax": focal_loss, "sigmoid": sigmoid_focal_loss}[form]
        self.gamma, self.reduction, self.smoothing = gamma, reduction, smoothing
        self.occurring = occurring
        self.register_buffer("alpha", alpha)

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """See focal_loss and sigmoid_focal_loss.

        With label smoothing a share of the loss is the mean of those against every class that occurs (for the
        cross entropy that is the loss against smoothed labels, Szegedy et al. 2016).
        """
        loss = self._against(logits, target)
        if self.smoothing:
            every = [self._against(logits, torch.full_like(target, k)) for k in self.occurring]
            loss = (1 - self.smoothing) * loss + self.smoothing * torch.stack(every).mean()
        return loss

    def _against(self, logits: Tensor, target: Tensor) -> Tensor:
        return self.function(logits, target, self.gamma, self.alpha, self.reduction)


def build_loss(
    settings: Loss, class_counts: Sequence[int], classes: Sequence[str] | None = None
) -> ClassificationLoss:
    """The loss that the configuration names. Cross entropy is the focal loss with gamma 0.

    Args:
        settings: one entry of `losses`.
        class_counts: training samples per class, in class order; `balanced` is computed from it, and
            smoothing leaves out what does not occur, so give the counts of the training fold alone.
        classes: their names, needed where alpha goes by name.

    Returns:
        A module; move it to the device of the logits.

    Raises:
        UserError: when alpha is a list whose length is not the number of classes, has no weight for one
            of them, or is `balanced` and there are no training samples.
    """
    gamma = 0.0 if settings.kind == "cross_entropy" else settings.gamma
    alpha = settings.alpha
    if alpha == "balanced":
        alpha = balanced_alpha(class_counts, settings.form)
    elif isinstance(alpha, list) and len(alpha) != len(class_counts):
        raise UserError(
            f"losses: alpha lists {len(alpha)} numbers for {len(class_counts)} classes; "
            "give one number, one per class, or balanced"
        )
    elif isinstance(alpha, dict):
        missing = [name for name in classes if name not in alpha]
        if missing:
            raise UserError(f"losses: alpha has no weight for {', '.join(missing)}; give each class one")
        alpha = [alpha[name] for name in classes]
    if alpha is not None:
        alpha = torch.as_tensor(alpha, dtype=torch.float32)
    occurring = [k for k, count in enumerate(class_counts) if count]
    return ClassificationLoss(settings.form, gamma, alpha, settings.reduction, settings.smoothing, occurring)


def start_at_prior(classifier: nn.Linear, settings: Loss) -> None:
    """Let every output begin at the probability `prior`: b = -log((1 - prior) / prior).

    From Lin et al. 2017, section 4.1: under many negatives the loss is not their sum in the first steps.
    """
    if settings.prior is not None:
        nn.init.constant_(classifier.bias, -math.log((1 - settings.prior) / settings.prior))


def balanced_alpha(class_counts: Sequence[int], form: str) -> Tensor:
    """Class weights that make rare classes count as much as common ones.

    Softmax form: inverse frequency, scaled to mean 1 over the classes that occur, hence never above
    their number; 0 for one that does not. Sigmoid form: alpha_i = 1 - n_i / N, with which the positive and
    the negative samples of output i weigh the same in sum. A class that does not occur counts there as if
    it had one sample, so that its output is still trained as a negative.

    Args:
        class_counts: training samples per class, in class order.
        form: `softmax` or `sigmoid`.

    Returns:
        (K,) float32; in the sigmoid form within [0, 1].

    Raises:
        UserError: when no class has a sample.
    """
    counts = torch.as_tensor(class_counts, dtype=torch.float32)
    if counts.sum() == 0:
        raise UserError(
            "losses: alpha 'balanced' needs training samples and there are none; look at the manifest"
        )
    if form == "sigmoid":
        counts = counts.clamp(min=1)
        return 1 - counts / counts.sum()
    occurs = counts > 0
    return counts.reciprocal().where(occurs, 0) / counts.reciprocal()[occurs].mean()


def _at_least_float32(logits: Tensor) -> Tensor:
    return logits.to(torch.promote_types(logits.dtype, torch.float32))


def _per_class(alpha: Alpha, like: Tensor) -> Tensor:
    return torch.as_tensor(alpha, dtype=like.dtype, device=like.device).expand(like.shape[1])


def _reduce(loss: Tensor, reduction: str) -> Tensor:
    if reduction == "mean":
        return loss.mean()
    if reduction == "sum":
        return loss.sum()
    raise ValueError(f"reduction: '{reduction}' is unknown; use mean or sum")
