import pytest
import torch
from torch import nn
from torch.nn import functional as F

from roadscene.deeplab_v2 import ASPP, DeepLabV2ResNet101, DeepLabV2VGG16

BODY_R101 = 42_500_160
HEAD_R101 = 4 * (2048 * 9 + 1)  # per class
AUXILIARY = 4 * (1024 * 9 + 1)
BODY_VGG16 = 14_714_688 + 512 * 1024 * 9 + 1024 + 1024 * 1024 * 9 + 1024


def parameters(network):
    return sum(parameter.numel() for parameter in network.parameters())


def on_meta(build):
    with torch.device("meta"):
        return build()


@pytest.mark.parametrize("classes", [19, 16, 13])
def test_parameter_counts_are_the_published_ones(classes):
    single = on_meta(lambda: DeepLabV2ResNet101(classes))
    multi = on_meta(lambda: DeepLabV2ResNet101(classes, auxiliary=True))
    vgg = on_meta(lambda: DeepLabV2VGG16(classes))
    assert parameters(single) == BODY_R101 + HEAD_R101 * classes
    assert parameters(multi) == BODY_R101 + (HEAD_R101 + AUXILIARY) * classes
    assert parameters(vgg) == BODY_VGG16 + AUXILIARY * classes
    if classes == 19:
        counts = [parameters(network) for network in (single, multi, vgg)]
        assert counts == [43_901_068, 44_601_560, 29_573_004]


def bottleneck_keys(stage, block):
    name = f"layer{stage}.{block}"
    convs = [f"{name}.conv{i}.weight" for i in (1, 2, 3)]
    norms = [f"{name}.bn{i}" for i in (1, 2, 3)]
    if block == 0:
        convs.append(f"{name}.downsample.0.weight")
        norms.append(f"{name}.downsample.1")
    return convs, norms


def published_r101_keys(heads):
    convs, norms = ["conv1.weight"], ["bn1"]
    for stage, blocks in ((1, 3), (2, 4), (3, 23), (4, 3)):
        for block in range(blocks):
            more_convs, more_norms = bottleneck_keys(stage, block)
            convs += more_convs
            norms += more_norms
    statistics = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    keys = convs + [f"{norm}.{name}" for norm in norms for name in statistics]
    return set(keys) | {
        f"{head}.conv2d_list.{i}.{name}"
        for head in heads
        for i in range(4)
        for name in ("weight", "bias")
    }


def test_state_dict_keys_are_the_published_ones():
    single = on_meta(lambda: DeepLabV2ResNet101(19)).state_dict()
    multi = on_meta(lambda: DeepLabV2ResNet101(19, auxiliary=True)).state_dict()
    assert single.keys() == published_r101_keys(["layer5"])
    assert len(single) == 632
    assert multi.keys() == published_r101_keys(["layer5", "layer6"])
    assert multi["layer5.conv2d_list.0.weight"].shape == (19, 1024, 3, 3)
    assert multi["layer6.conv2d_list.3.weight"].shape == (19, 2048, 3, 3)

    vgg = on_meta(lambda: DeepLabV2VGG16(19)).state_dict()
    indices = [0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 23, 25, 27, 29, 31]
    expected = {f"features.{i}" for i in indices} | {
        f"classifier.conv2d_list.{i}" for i in range(4)
    }
    assert vgg.keys() == {f"{k}.{name}" for k in expected for name in ("weight", "bias")}
    assert vgg["features.29.weight"].shape == (1024, 512, 3, 3)


def test_strides_and_dilations_of_resnet():
    network = on_meta(lambda: DeepLabV2ResNet101(19))
    for layer, dilation in ((network.layer1, 1), (network.layer2, 1), (network.layer3, 2),
                            (network.layer4, 4)):  # fmt: skip
        assert {block.conv2.dilation for block in layer} == {(dilation, dilation)}
        assert {block.conv2.stride for block in layer} == {(1, 1)}
    firsts = [layer[0].conv1.stride for layer in
              (network.layer1, network.layer2, network.layer3, network.layer4)]  # fmt: skip
    assert firsts == [(1, 1), (2, 2), (1, 1), (1, 1)]
    assert network.maxpool.ceil_mode


def test_strides_and_dilations_of_vgg():
    features = on_meta(lambda: DeepLabV2VGG16(19)).features
    assert [i for i, m in enumerate(features) if isinstance(m, nn.MaxPool2d)] == [4, 9, 16]
    dilations = [features[i].dilation[0] for i in (21, 23, 25, 27, 29, 31)]
    assert dilations == [1, 2, 2, 2, 4, 4]


def test_shapes_of_resnet_in_training_and_evaluation():
    torch.manual_seed(0)
    network = DeepLabV2ResNet101(5, auxiliary=True)
    image = torch.randn(1, 3, 33, 49)
    main, auxiliary = network(image)
    assert main.shape == auxiliary.shape == (1, 5, 33, 49)
    assert not torch.equal(main, auxiliary)
    network.eval()
    with torch.no_grad():
        assert network(image).shape == (1, 5, 33, 49)
        assert network(image, (10, 20)).shape == (1, 5, 10, 20)
        (low,) = network.low_resolution(image)
        assert low.shape == (1, 5, 5, 7)  # ceil(33 / 8), ceil(49 / 8): the pooling rounds up
        aligned = F.interpolate(low, (33, 49), mode="bilinear", align_corners=True)
        assert torch.equal(network(image), aligned)


def test_shapes_of_vgg():
    torch.manual_seed(0)
    network = DeepLabV2VGG16(13)
    with torch.no_grad():
        assert network(torch.randn(2, 3, 32, 40)).shape == (2, 13, 32, 40)
        assert network.low_resolution(torch.randn(1, 3, 32, 40))[0].shape == (1, 13, 4, 5)


def test_aspp_is_the_sum_of_its_branches():
    torch.manual_seed(0)
    aspp = ASPP(3, 2, branches=4)
    assert [conv.dilation for conv in aspp.conv2d_list] == [(6, 6), (12, 12), (18, 18), (24, 24)]
    features = torch.randn(1, 3, 9, 9)
    each = [
        F.conv2d(features, conv.weight, conv.bias, padding=rate, dilation=rate)
        for conv, rate in zip(aspp.conv2d_list, (6, 12, 18, 24), strict=True)
    ]
    torch.testing.assert_close(aspp(features), sum(each))
    aspp.branches = 2
    torch.testing.assert_close(aspp(features), each[0] + each[1])


def test_unused_branches_get_no_gradient():
    aspp = ASPP(3, 2, branches=2)
    aspp(torch.randn(1, 3, 9, 9)).sum().backward()
    assert [conv.weight.grad is None for conv in aspp.conv2d_list] == [False, False, True, True]


def test_every_trained_parameter_is_in_one_group():
    network = on_meta(lambda: DeepLabV2ResNet101(19, auxiliary=True))
    once = network.parameter_groups(10.0, "once")
    assert [(len(g.parameters), g.lr_factor) for g in once] == [(104, 1), (16, 10)]
    repeated = network.parameter_groups(10.0, "repeated")
    sizes = [(len(g.parameters), g.lr_factor) for g in repeated]
    assert sizes == [(1, 1), (99, 3), (4, 4), (16, 10)]
    assert sum(n * f for n, f in sizes[:3]) == 314  # as many as the released code yields
    listed = [id(p) for group in repeated for p in group.parameters]
    trained = {id(p) for p in network.parameters() if p.requires_grad}
    assert len(listed) == len(set(listed))
    assert set(listed) == trained
    frozen = {name for name, p in network.named_parameters() if not p.requires_grad}
    assert len(frozen) == 208
    assert all("bn" in name or "downsample.1" in name for name in frozen)

    vgg = on_meta(lambda: DeepLabV2VGG16(19)).parameter_groups(1.0, "repeated")
    assert [(len(g.parameters), g.lr_factor) for g in vgg] == [(30, 1), (8, 1)]
