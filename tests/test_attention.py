"""Attention against slow loops written from the equations, in float64."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mer_core.errors import UserError
from mer_core.models.attention import (
    ATTENTION,
    CBAM,
    ChannelAttention,
    DualAttention,
    SpatialAttention,
    build_attention,
)

GATED = [kind for kind in ATTENTION if kind != "none"]


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def spatial_by_loops(features, kernel):
    """Equation 3 for one sample: features[c][y][x] and kernel[2][7][7] to gate[y][x]."""
    height, width = len(features[0]), len(features[0][0])
    largest = [[max(plane[y][x] for plane in features) for x in range(width)] for y in range(height)]
    mean = [
        [sum(plane[y][x] for plane in features) / len(features) for x in range(width)] for y in range(height)
    ]
    gate = [[0.0] * width for _ in range(height)]
    for y in range(height):
        for x in range(width):
            total = 0.0
            for pooled, weights in zip((largest, mean), kernel, strict=True):
                for dy in range(7):
                    for dx in range(7):
                        row, column = y + dy - 3, x + dx - 3
                        if 0 <= row < height and 0 <= column < width:
                            total += weights[dy][dx] * pooled[row][column]
            gate[y][x] = sigmoid(total)
    return gate


def channel_by_loops(features, first, first_bias, second, second_bias):
    """Equation 4 for one sample: features[c][y][x] to gate[c]."""
    values = [[value for row in plane for value in row] for plane in features]

    def mlp(pooled):
        hidden = [
            max(0.0, bias + sum(w * p for w, p in zip(weights, pooled, strict=True)))
            for weights, bias in zip(first, first_bias, strict=True)
        ]
        return [
            bias + sum(w * h for w, h in zip(weights, hidden, strict=True))
            for weights, bias in zip(second, second_bias, strict=True)
        ]

    from_max = mlp([max(plane) for plane in values])
    from_mean = mlp([sum(plane) / len(plane) for plane in values])
    return [sigmoid(a + b) for a, b in zip(from_max, from_mean, strict=True)]


def gates_by_loops(unit, sample):
    """S(F) and C(F) of a unit for one sample; 1 where the unit has no such gate."""
    features = sample.tolist()
    channels, height, width = sample.shape
    spatial = [[1.0] * width for _ in range(height)]
    channel = [1.0] * channels
    if hasattr(unit, "spatial"):
        spatial = spatial_by_loops(features, unit.spatial.conv.weight[0].tolist())
    if hasattr(unit, "channel"):
        first, _, second = unit.channel.mlp
        layers = [t.tolist() for t in (first.weight, first.bias, second.weight, second.bias)]
        channel = channel_by_loops(features, *layers)
    return spatial, channel


def make(kind, channels=8, reduction=4, seed=0):
    torch.manual_seed(seed)
    return build_attention(kind, channels, reduction).double()


def close(actual, expected):
    expected = torch.tensor(expected, dtype=torch.float64)
    torch.testing.assert_close(actual.detach(), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("shape", [(2, 8, 5, 4), (1, 8, 1, 1), (1, 8, 9, 2)])
def test_spatial_gate_is_equation_3(shape):
    unit, features = make("spatial"), torch.randn(shape, dtype=torch.float64)
    gate = unit.spatial(features)
    assert gate.shape == (shape[0], 1, *shape[2:])
    for sample, found in zip(features, gate, strict=True):
        close(found[0], gates_by_loops(unit, sample)[0])


@pytest.mark.parametrize("shape", [(2, 8, 5, 4), (1, 8, 1, 1)])
def test_channel_gate_is_equation_4(shape):
    unit, features = make("channel"), torch.randn(shape, dtype=torch.float64)
    gate = unit.channel(features)
    assert gate.shape == (shape[0], 8, 1, 1)
    for sample, found in zip(features, gate, strict=True):
        close(found[:, 0, 0], gates_by_loops(unit, sample)[1])


@pytest.mark.parametrize("kind", ["spatial", "channel", "dual"])
def test_unit_is_equation_5(kind):
    unit, features = make(kind), torch.randn(2, 8, 4, 3, dtype=torch.float64)
    output = unit(features)
    for sample, found in zip(features, output, strict=True):
        spatial, channel = gates_by_loops(unit, sample)
        expected = [
            [
                [value * (1 + spatial[y][x] * channel[c]) for x, value in enumerate(row)]
                for y, row in enumerate(plane)
            ]
            for c, plane in enumerate(sample.tolist())
        ]
        close(found, expected)


def test_cbam_gates_channels_first_then_positions_of_the_result():
    unit, features = make("cbam"), torch.randn(2, 8, 4, 3, dtype=torch.float64)
    unit.spatial.norm.weight.data.fill_(1.7)
    unit.spatial.norm.bias.data.fill_(-0.3)
    unit.spatial.norm.running_mean.fill_(0.2)
    unit.spatial.norm.running_var.fill_(0.5)
    unit.eval()
    output = unit(features)
    for sample, found in zip(features, output, strict=True):
        _, channel = gates_by_loops(unit, sample)
        gated = sample * torch.tensor(channel, dtype=torch.float64)[:, None, None]
        before = torch.tensor(gates_by_loops(unit, gated)[0], dtype=torch.float64).logit()
        spatial = ((before - 0.2) / math.sqrt(0.5 + unit.spatial.norm.eps) * 1.7 - 0.3).sigmoid()
        torch.testing.assert_close(found.detach(), gated * spatial, rtol=1e-10, atol=1e-12)


def test_gates_start_at_one_half_when_weights_are_zero():
    features = torch.randn(2, 8, 4, 4)
    for kind, factor in {"spatial": 1.5, "channel": 1.5, "dual": 1.25, "cbam": 0.25}.items():
        unit = build_attention(kind, 8, 4)
        for name, parameter in unit.named_parameters():
            if "norm" not in name:
                torch.nn.init.zeros_(parameter)
        torch.testing.assert_close(unit(features), factor * features)


@pytest.mark.parametrize("kind", GATED)
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_gradients(kind, layout):
    unit = make(kind, channels=4, reduction=2)
    features = torch.randn(2, 4, 3, 3, dtype=torch.float64).to(memory_format=layout).requires_grad_()
    names, parameters = zip(*unit.named_parameters(), strict=True)

    def call(features, *parameters):
        return torch.func.functional_call(unit, dict(zip(names, parameters, strict=True)), features)

    assert torch.autograd.gradcheck(call, (features, *parameters))


def plainly(unit, features):
    """The unit as its equations, for autograd; maxima with the first of equals, as `pool` has them."""

    def largest_and_mean(features, dim):
        return [features.max(dim).values, features.mean(dim)]

    def spatial(features):
        pooled = torch.stack(largest_and_mean(features, 1), 1).to(unit.spatial.conv.weight.dtype)
        return unit.spatial.norm(unit.spatial.conv(pooled)).sigmoid().to(features.dtype)

    def channel(features):
        pooled = torch.stack(largest_and_mean(features.flatten(2), 2)).to(unit.channel.mlp[0].weight.dtype)
        return unit.channel.mlp(pooled).sum(0).sigmoid()[..., None, None].to(features.dtype)

    if isinstance(unit, CBAM):
        features = features * channel(features)
        return features * spatial(features)
    gates = [
        gate(features) for name, gate in (("spatial", spatial), ("channel", channel)) if hasattr(unit, name)
    ]
    return features + features * math.prod(gates)


SHAPES = [(1, 8, 1, 1), (2, 8, 1, 5), (3, 8, 7, 7), (2, 16, 6, 4), (1, 64, 9, 9)]
TOLERANCES = {torch.float64: 1e-12, torch.float32: 2e-5, torch.bfloat16: 3e-2}


@pytest.mark.parametrize("kind", GATED)
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last, "strided"])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", TOLERANCES)
def test_values_and_gradients_are_those_of_the_plain_expression(kind, layout, shape, dtype):
    torch.manual_seed(0)
    unit = build_attention(kind, shape[1], 4).eval()
    unit = unit.double() if dtype == torch.float64 else unit
    features, gradient = torch.randn(2, *shape).to(dtype)
    if layout == "strided":
        features = features.repeat_interleave(2, 3)[..., ::2]
    else:
        features, gradient = (t.contiguous(memory_format=layout) for t in (features, gradient))
    found = []
    for expression in (unit, lambda x: plainly(unit, x)):
        unit.zero_grad()
        leaf = features.detach().requires_grad_()
        output = expression(leaf)
        output.backward(gradient)
        assert output.dtype == leaf.grad.dtype == dtype
        found.append([output.detach(), leaf.grad, *(p.grad.clone() for p in unit.parameters())])
    for ours, plain in zip(*found, strict=True):
        scale = plain.abs().max().item() or 1.0
        torch.testing.assert_close(ours, plain, rtol=0, atol=TOLERANCES[dtype] * scale)


@pytest.mark.parametrize("kind", list(ATTENTION))
@pytest.mark.parametrize(("channels", "reduction"), [(64, 16), (128, 16), (512, 16), (64, 4), (32, 32)])
def test_parameter_count_follows_the_formula(kind, channels, reduction):
    spatial = 2 * 7 * 7
    channel = 2 * channels**2 // reduction + channels // reduction + channels
    expected = {
        "none": 0,
        "spatial": spatial,
        "channel": channel,
        "dual": spatial + channel,
        "cbam": spatial + channel + 2,
    }
    unit = build_attention(kind, channels, reduction)
    assert sum(parameter.numel() for parameter in unit.parameters()) == expected[kind]


@settings(max_examples=40, deadline=None)
@given(
    kind=st.sampled_from(["spatial", "channel", "dual"]),
    seed=st.integers(0, 2**31),
    scale=st.sampled_from([1e-3, 1.0, 1e3]),
    size=st.tuples(st.integers(1, 3), st.integers(1, 9), st.integers(1, 9)),
)
def test_paper_attention_only_amplifies_and_cbam_only_attenuates(kind, seed, scale, size):
    samples, height, width = size
    torch.manual_seed(seed)
    features = scale * torch.randn(samples, 8, height, width, dtype=torch.float64)
    gain = make(kind, seed=seed)(features) / features
    assert (gain >= 1).all()
    assert (gain <= 2 + 1e-12).all()
    gain = make("cbam", seed=seed).eval()(features) / features
    assert (gain >= 0).all()
    assert (gain <= 1).all()


def test_order_of_the_gates_matters_in_cbam_only():
    unit, features = make("dual"), torch.randn(2, 8, 4, 4, dtype=torch.float64)
    channel_first = features + unit.spatial(features) * (unit.channel(features) * features)
    torch.testing.assert_close(unit(features), channel_first)
    cbam = make("cbam").eval()
    swapped = features * cbam.spatial(features)
    swapped = swapped * cbam.channel(swapped)
    assert not torch.allclose(cbam(features), swapped)


@pytest.mark.parametrize("kind", GATED)
def test_memory_layout_is_kept(kind):
    features = torch.randn(2, 8, 4, 4).to(memory_format=torch.channels_last)
    assert build_attention(kind, 8, 4)(features).is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("kind", GATED)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_stays_close(kind, dtype):
    torch.manual_seed(0)
    unit, features = build_attention(kind, 16, 4).eval(), torch.randn(2, 16, 6, 6)
    exact = unit(features)
    half = unit.to(dtype)(features.to(dtype))
    assert half.dtype == dtype
    torch.testing.assert_close(half.float(), exact, rtol=0.03, atol=0.03)


def test_unknown_kind_names_the_known_ones():
    with pytest.raises(UserError, match=r"'duall'.*none, spatial, channel, dual, cbam"):
        build_attention("duall", 64)


@pytest.mark.parametrize("reduction", [0, 3, 128])
def test_reduction_must_divide_the_channels(reduction):
    with pytest.raises(UserError, match=f"{reduction} does not divide the 64 channels"):
        ChannelAttention(64, reduction)


def test_stable_names():
    assert (ATTENTION["dual"], ATTENTION["cbam"]) == (DualAttention, CBAM)
    assert SpatialAttention()(torch.zeros(1, 3, 2, 2)).unique().tolist() == [0.5]
