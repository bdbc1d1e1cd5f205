"""The network against torchvision's ResNet18."""

import pytest
import torch
import torchvision
from torch import nn

from mer_core.errors import UserError
from mer_core.models import ATTENTION, attention_maps, build_model
from mer_core.models.resnet import residual_units

KINDS = list(ATTENTION)
CHANNELS = [64, 64, 128, 128, 256, 256, 512, 512]
# Edge of the features of each unit for images of 64 pixels.
EDGES = [16, 16, 8, 8, 4, 4, 2, 2]


def model_and_images(kind, num_classes=5, seed=0):
    torch.manual_seed(seed)
    return build_model(kind, num_classes), torch.randn(2, 3, 64, 64)


def close_units(model):
    """Make every gate zero, so that F * (1 + S * C) = F."""
    for unit in residual_units(model):
        if hasattr(unit.attention, "channel"):
            nn.init.constant_(unit.attention.channel.mlp[-1].bias, -1e4)
        else:
            unit.attention.spatial.register_forward_hook(lambda module, inputs, gate: torch.zeros_like(gate))


@pytest.mark.parametrize("size", [65, 96])
def test_none_is_torchvision_resnet18(size):
    torch.manual_seed(3)
    theirs = torchvision.models.resnet18(weights=None, num_classes=5)
    torch.manual_seed(3)
    ours = build_model("none", 5)
    assert ours.state_dict().keys() == theirs.state_dict().keys()
    images = torch.randn(4, 3, size, size)
    for mode in (True, False):
        found, expected = ours.train(mode)(images), theirs.train(mode)(images)
        assert torch.equal(found, expected)
    found.square().sum().backward()
    expected.square().sum().backward()
    for (name, a), b in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        assert torch.equal(a.grad, b.grad), name
    for (name, a), b in zip(ours.named_buffers(), theirs.buffers(), strict=True):
        assert torch.equal(a, b), name


@pytest.mark.parametrize("size", [16, 32, 48, 64])
@pytest.mark.parametrize("bias", [False, True], ids=["plain", "bias"])
def test_small_maps_are_convolved_as_torchvision_does(size, bias):
    """By a product of matrices: the same numbers but for their rounding."""
    ours = build_model("none", 5).double()
    theirs = torchvision.models.resnet18(weights=None, num_classes=5).double()
    if bias:  # as where a batch norm was taken into the convolution
        for layer in (*ours.modules(), *theirs.modules()):
            if isinstance(layer, nn.Conv2d):
                layer.bias = nn.Parameter(torch.randn(layer.out_channels, dtype=torch.float64))
    theirs.load_state_dict(ours.state_dict())
    images = torch.randn(4, 3, size, size, dtype=torch.float64)
    found, expected = (model(images) for model in (ours, theirs))
    torch.testing.assert_close(found, expected)
    found.square().sum().backward()
    expected.square().sum().backward()
    for (name, a), b in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad, msg=name)


@pytest.mark.parametrize("kind", KINDS)
def test_one_seed_gives_one_backbone_and_one_model(kind):
    plain, _ = model_and_images("none")
    first, second = model_and_images(kind)[0].state_dict(), model_and_images(kind)[0].state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert all(torch.equal(first[name], tensor) for name, tensor in plain.state_dict().items())
    assert all(".attention." in name for name in first.keys() - plain.state_dict().keys())


@pytest.mark.parametrize("kind", KINDS)
def test_parameter_count(kind):
    units = {"none": 0, "spatial": 784, "channel": 89_080, "dual": 89_864, "cbam": 89_880}
    model = build_model(kind, 5)
    assert sum(parameter.numel() for parameter in model.parameters()) == 11_179_077 + units[kind]


@pytest.mark.parametrize("kind", ["spatial", "channel", "dual"])
def test_units_with_closed_gates_are_plain(kind):
    model, images = model_and_images(kind)
    plain, _ = model_and_images("none")
    close_units(model)
    torch.testing.assert_close(model.eval()(images), plain.eval()(images))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("position", [0, 2])
def test_attention_stands_between_second_norm_and_addition(kind, position):
    """Unit 0 has no downsampling of its identity, unit 2 has."""
    model, _ = model_and_images(kind)
    unit = residual_units(model.eval())[position]
    x = torch.randn(2, unit.conv1.in_channels, 8, 8)
    features = unit.bn2(unit.conv2(torch.relu(unit.bn1(unit.conv1(x)))))
    identity = unit.downsample(x) if unit.downsample else x
    torch.testing.assert_close(unit(x), torch.relu(unit.attention(features) + identity))


@pytest.mark.parametrize("kind", KINDS)
def test_attention_maps(kind):
    model, images = model_and_images(kind)
    model.eval()
    logits, maps = attention_maps(model, images)
    assert torch.equal(logits, model(images))
    assert len(maps) == 8
    for (spatial, channel), channels, edge in zip(maps, CHANNELS, EDGES, strict=True):
        assert (spatial is None) == (kind in ("none", "channel"))
        assert (channel is None) == (kind in ("none", "spatial"))
        assert spatial is None or spatial.shape == (2, 1, edge, edge)
        assert channel is None or channel.shape == (2, channels, 1, 1)


def test_attention_maps_are_what_the_unit_applied_and_leave_no_hook():
    model, images = model_and_images("dual")
    model.eval()
    seen = []
    handle = residual_units(model)[4].attention.register_forward_hook(
        lambda module, inputs, output: seen.append((inputs[0], output.clone()))
    )
    _, maps = attention_maps(model, images)
    handle.remove()
    (features, output), (spatial, channel) = seen[0], maps[4]
    torch.testing.assert_close(output, features * (1 + spatial * channel))
    assert not any(module._forward_hooks for module in model.modules())
    with pytest.raises(RuntimeError):
        attention_maps(model, images[:, :1])
    assert not any(module._forward_hooks for module in model.modules())


@pytest.mark.parametrize("kind", KINDS)
def test_every_parameter_learns(kind):
    model, images = model_and_images(kind)
    model(images).square().sum().backward()
    # A batch norm over one channel before a sigmoid still passes gradients to its convolution.
    assert [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()] == []


def test_training_repeats_bit_for_bit():
    def train():
        model, images = model_and_images("dual")
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
        for _ in range(3):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(images), torch.tensor([0, 3])).backward()
            optimizer.step()
        return model.state_dict()

    first, second = train(), train()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_dropout_names_no_weights_and_acts_in_training_alone():
    torch.manual_seed(0)
    plain = build_model("dual", 5).eval()
    torch.manual_seed(0)
    model = build_model("dual", 5, dropout=0.5).eval()
    assert model.state_dict().keys() == plain.state_dict().keys()
    images = torch.rand(2, 3, 32, 32)
    torch.testing.assert_close(model(images), plain(images))
    seen = []
    model.fc.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    model(images)
    model.avgpool.train()
    model(images)
    whole, thinned = seen
    kept = (thinned != 0)[whole != 0]
    assert 0.4 < kept.float().mean() < 0.6
    torch.testing.assert_close(thinned[thinned != 0], 2 * whole[thinned != 0])


def test_global_state_is_left_alone():
    before = (torch.get_default_dtype(), torch.is_grad_enabled(), torch.get_num_threads())
    build_model("dual", 5)
    assert before == (torch.get_default_dtype(), torch.is_grad_enabled(), torch.get_num_threads())
    assert not hasattr(torchvision.models.resnet.BasicBlock, "attention")


def test_unknown_kind_is_refused():
    with pytest.raises(UserError, match="'se' is unknown; use one of none, spatial"):
        build_model("se", 5)
