"""Losses against the equations, torch and torchvision."""

import math

import pytest
import torch
import torchvision
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, one_hot

from mer_core.config.models import Loss
from mer_core.errors import UserError
from mer_core.models.losses import balanced_alpha, build_loss, focal_loss, sigmoid_focal_loss, start_at_prior

FORMS = {"softmax": focal_loss, "sigmoid": sigmoid_focal_loss}
COUNTS = [32, 25, 63, 27, 99]  # CASME II


def batch(samples=6, classes=5, scale=2.0, seed=0):
    generator = torch.Generator().manual_seed(seed)
    logits = scale * torch.randn(samples, classes, dtype=torch.float64, generator=generator)
    return logits, torch.randint(classes, (samples,), generator=generator)


def focal_by_loops(logits, target, gamma, alpha):
    """Per-sample softmax focal loss, with alpha a list of numbers."""
    losses = []
    for row, true in zip(logits.tolist(), target.tolist(), strict=True):
        p = math.exp(row[true]) / sum(math.exp(z) for z in row)
        losses.append(-alpha[true] * (1 - p) ** gamma * math.log(p))
    return losses


def sigmoid_focal_by_loops(logits, target, gamma, alpha):
    """Equation 10 per sample, with alpha a list of numbers."""
    losses = []
    for row, true in zip(logits.tolist(), target.tolist(), strict=True):
        total = 0.0
        for i, z in enumerate(row):
            p, y = 1 / (1 + math.exp(-z)), float(i == true)
            total -= alpha[i] * (1 - p) ** gamma * y * math.log(p)
            total -= (1 - alpha[i]) * p**gamma * (1 - y) * math.log(1 - p)
        losses.append(total)
    return losses


BY_LOOPS = {"softmax": focal_by_loops, "sigmoid": sigmoid_focal_by_loops}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.0, 5.0])
@pytest.mark.parametrize("alpha", [0.25, [0.1, 0.9, 0.5, 0.0, 1.0]])
def test_loss_is_the_equation(form, gamma, alpha):
    logits, target = batch()
    per_class = alpha if isinstance(alpha, list) else [alpha] * 5
    expected = BY_LOOPS[form](logits, target, gamma, per_class)
    total = FORMS[form](logits, target, gamma, alpha, "sum").item()
    mean = FORMS[form](logits, target, gamma, alpha, "mean").item()
    assert total == pytest.approx(sum(expected), rel=1e-12)
    assert mean == pytest.approx(sum(expected) / 6, rel=1e-12)


def test_equation_9_by_hand():
    """p = 0.8 for the true of two classes, gamma 2: (1 - 0.8)^2 * -ln 0.8 = 0.04 * 0.2231435513."""
    logits = torch.tensor([[math.log(4.0), 0.0]], dtype=torch.float64)
    assert focal_loss(logits, torch.tensor([0]), 2.0).item() == pytest.approx(0.008925742052568391)
    # As one-versus-all with the same p for the true class, and p = 0.5 for the other one:
    # 0.25 * 0.04 * 0.22314 + 0.75 * 0.25 * 0.69315
    found = sigmoid_focal_loss(logits, torch.tensor([0]), 2.0, 0.25).item()
    assert found == pytest.approx(0.25 * 0.008925742052568391 + 0.75 * 0.25 * math.log(2))


def test_gamma_0_is_cross_entropy():
    logits, target = batch()
    torch.testing.assert_close(focal_loss(logits, target, 0.0), cross_entropy(logits, target))
    binary = binary_cross_entropy_with_logits(logits, one_hot(target, 5).double(), reduction="sum")
    torch.testing.assert_close(sigmoid_focal_loss(logits, target, 0.0, None, "sum"), binary)
    for form in FORMS:
        built = build_loss(Loss(kind="cross_entropy", form=form, gamma=2.0), COUNTS)
        torch.testing.assert_close(built(logits, target), FORMS[form](logits, target, 0.0, None))


@settings(max_examples=50, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    samples=st.integers(1, 8),
    classes=st.integers(2, 8),
    scale=st.floats(0, 20),
    gamma=st.floats(0, 5),
    alpha=st.floats(0, 1),
)
def test_sigmoid_form_is_torchvisions(seed, samples, classes, scale, gamma, alpha):
    logits, target = batch(samples, classes, scale, seed)
    theirs = torchvision.ops.sigmoid_focal_loss(
        logits, one_hot(target, classes).double(), alpha=alpha, gamma=gamma, reduction="sum"
    )
    found = sigmoid_focal_loss(logits, target, gamma, alpha, "sum")
    torch.testing.assert_close(found, theirs, rtol=1e-6, atol=1e-9)  # theirs takes 1 - p by subtraction
    off = torchvision.ops.sigmoid_focal_loss(
        logits, one_hot(target, classes).double(), alpha=-1, gamma=gamma, reduction="sum"
    )
    torch.testing.assert_close(
        sigmoid_focal_loss(logits, target, gamma, None, "sum"), off, rtol=1e-6, atol=1e-9
    )


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 2**31), gamma=st.floats(0, 4), more=st.floats(0.1, 3), shift=st.floats(-50, 50))
def test_properties(seed, gamma, more, shift):
    logits, target = batch(seed=seed)
    for loss in FORMS.values():
        assert 0 <= loss(logits, target, gamma + more, 0.25) <= loss(logits, target, gamma, 0.25)
    torch.testing.assert_close(focal_loss(logits + shift, target, gamma), focal_loss(logits, target, gamma))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.0])
@pytest.mark.parametrize("alpha", [None, 0.25, [0.1, 0.9, 0.5, 0.3]])
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_gradients(form, gamma, alpha, reduction):
    logits, target = batch(4, 4)
    logits.requires_grad_()
    assert torch.autograd.gradcheck(lambda z: FORMS[form](z, target, gamma, alpha, reduction), logits)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0, 5.0])
@pytest.mark.parametrize("extreme", [1e4, "largest"])
def test_extreme_logits_give_finite_values_and_gradients(form, dtype, gamma, extreme):
    size = torch.finfo(dtype).max if extreme == "largest" else extreme
    rows = [
        [size, -size, 0.0],
        [-size, size, 0.0],
        [size, size, size],
        [-size, -size, -size],
        [0.0, size, 1.0],
    ]
    for true in range(3):
        logits = torch.tensor(rows, dtype=dtype, requires_grad=True)
        target = torch.full((len(rows),), true)
        for alpha in (None, 0.25, [0.2, 1.0, 0.0]):
            for reduction in ("mean", "sum"):
                logits.grad = None
                loss = FORMS[form](logits, target, gamma, alpha, reduction)
                loss.backward()
                assert loss.dtype == torch.float32
                assert loss.isfinite()
                assert logits.grad.isfinite().all()


def test_certain_and_right_costs_nothing_certain_and_wrong_costs_its_logit():
    logits = torch.tensor([[1e4, -1e4, -1e4]], dtype=torch.float16)
    for loss in FORMS.values():
        assert loss(logits, torch.tensor([0]), 2.0, None) == 0
    assert focal_loss(logits, torch.tensor([1]), 2.0, None) == 2e4
    assert sigmoid_focal_loss(logits, torch.tensor([1]), 2.0, None) == 2e4  # 1e4 as negative, 1e4 as positive


@pytest.mark.parametrize("form", FORMS)
def test_half_precision_agrees_with_double(form):
    logits, target = batch(64)
    half = logits.half()
    torch.testing.assert_close(
        FORMS[form](half, target, 2.0, 0.25), FORMS[form](half.double(), target, 2.0, 0.25).float()
    )


def test_balanced_alpha_of_casme2():
    softmax = balanced_alpha(COUNTS, "softmax")
    assert softmax.mean().item() == pytest.approx(1)
    # The same total weight for every class: inverse frequency.
    torch.testing.assert_close(softmax * torch.tensor(COUNTS), torch.full((5,), (softmax[0] * 32).item()))
    expected = torch.tensor([1 - n / 246 for n in COUNTS])
    torch.testing.assert_close(balanced_alpha(COUNTS, "sigmoid"), expected)


@given(
    counts=st.lists(st.integers(0, 300), min_size=2, max_size=9).filter(any),
    form=st.sampled_from(list(FORMS)),
)
def test_balanced_alpha_is_finite_and_bounded(counts, form):
    alpha = balanced_alpha(counts, form)
    present = torch.tensor(counts) > 0
    assert alpha.isfinite().all()
    if form == "softmax":
        assert alpha[present].mean().item() == pytest.approx(1, rel=1e-5)
        assert alpha.max() <= present.sum() * (1 + 1e-5) and not alpha[~present].any()
    else:
        assert (alpha >= 0).all()
        assert (alpha <= 1).all()
        total = sum(max(count, 1) for count in counts)
        for count, share in zip(counts, alpha.tolist(), strict=True):
            n = max(count, 1)
            assert n * share == pytest.approx((total - n) * (1 - share), abs=1e-3)


def test_absent_class_is_still_trained_as_a_negative():
    logits, target = batch(8, 3)
    logits = logits.float().requires_grad_()
    loss = build_loss(Loss(kind="focal", form="sigmoid", alpha="balanced"), [5, 0, 3])
    loss(logits, torch.where(target == 1, 0, target)).backward()
    assert (logits.grad[:, 1] > 0).all()


def test_build_loss_follows_the_settings():
    logits, target = batch()
    alpha = [0.1, 0.9, 0.5, 0.3, 0.2]
    for form, function in FORMS.items():
        for reduction in ("mean", "sum"):
            chosen = Loss(kind="focal", form=form, gamma=1.5, alpha=alpha, reduction=reduction)
            found = build_loss(chosen, COUNTS)(logits, target)
            torch.testing.assert_close(found, function(logits, target, 1.5, torch.tensor(alpha), reduction))
        balanced = build_loss(Loss(kind="focal", form=form, alpha="balanced"), COUNTS)
        expected = function(logits, target, 2.0, balanced_alpha(COUNTS, form))
        torch.testing.assert_close(balanced(logits, target), expected)


def test_smoothing_is_torchs_for_cross_entropy():
    logits, target = torch.randn(7, 4), torch.tensor([0, 1, 2, 3, 3, 1, 0])
    smooth = build_loss(Loss(kind="cross_entropy", smoothing=0.2), [1] * 4)
    torch.testing.assert_close(smooth(logits, target), cross_entropy(logits, target, label_smoothing=0.2))


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("form", ["softmax", "sigmoid"])
def test_smoothed_labels_without_any_truth_leave_only_the_mean_over_classes(form, reduction):
    logits, target = torch.randn(7, 4), torch.tensor([0, 1, 2, 3, 3, 1, 0])
    settings = Loss(kind="focal", form=form, alpha=0.25, reduction=reduction)
    hard = build_loss(settings, [1] * 4)
    smooth = build_loss(settings.model_copy(update={"smoothing": 0.5}), [1] * 4)
    every = torch.stack([hard(logits, torch.full((7,), k)) for k in range(4)]).mean()
    torch.testing.assert_close(smooth(logits, target), (hard(logits, target) + every) / 2)


@pytest.mark.parametrize("alpha", [None, 0.25, "balanced"])
@pytest.mark.parametrize("form", FORMS)
def test_smoothing_never_answers_with_a_class_that_does_not_occur(form, alpha):
    target = torch.arange(230) % 4
    loss = build_loss(Loss(kind="cross_entropy", form=form, alpha=alpha, smoothing=0.1), [58, 58, 57, 57, 0])
    for start in (-5.0, 0.0, 5.0):
        logits = torch.full((230, 5), 0.0).index_fill_(1, torch.tensor([4]), start).requires_grad_()
        loss(logits, target).backward()
        assert logits.grad[:, 4].sum() > 0, "only ever downwards"


def test_alpha_moves_with_the_module():
    loss = build_loss(Loss(kind="focal", alpha="balanced"), COUNTS)
    assert loss.to("meta").alpha.device.type == "meta"


def test_wrong_alpha_is_refused():
    with pytest.raises(UserError, match="alpha lists 2 numbers for 5 classes"):
        build_loss(Loss(kind="focal", alpha=[0.5, 0.5]), COUNTS)
    with pytest.raises(UserError, match="needs training samples"):
        build_loss(Loss(kind="focal", alpha="balanced"), [0, 0, 0])
    with pytest.raises(ValueError, match="'none' is unknown"):
        focal_loss(*batch(), reduction="none")


def test_weights_by_name_are_those_in_order():
    logits, target = batch()
    names = ["a", "b", "c", "d", "e"]
    listed = Loss(kind="focal", form="softmax", alpha=[0.5, 7.0, 0.0, 1.0, 2.0])
    weights = {"x": 9.0, "e": 2.0, "d": 1.0, "c": 0.0, "b": 7.0, "a": 0.5}
    named = Loss(kind="focal", form="softmax", alpha=weights)
    assert build_loss(named, COUNTS, names)(logits, target) == build_loss(listed, COUNTS)(logits, target)
    with pytest.raises(UserError, match="no weight for f"):
        build_loss(named, COUNTS, [*names[:4], "f"])


def test_every_output_starts_at_the_prior():
    layer = torch.nn.Linear(4, 3)
    before = layer.bias.clone()
    start_at_prior(layer, Loss(kind="focal", form="sigmoid"))
    assert torch.equal(layer.bias, before)
    start_at_prior(layer, Loss(kind="focal", form="sigmoid", prior=0.01))
    torch.testing.assert_close(layer(torch.zeros(1, 4)).sigmoid(), torch.full((1, 3), 0.01))
