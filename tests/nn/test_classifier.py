"""Fine-tuning's network: against timm's ViT with the same weights; stochastic depth; what learns at which rate."""

import pytest
import timm
import torch

from m2d.common.schedules import set_lr
from m2d.nn import ModelConfig
from m2d.nn.classifier import Classifier
from m2d.nn.encoder import Encoder
from m2d.nn.transformer import DropPath
from m2d.pretrained.layouts import to_published
from m2d.training.config import OptimOptions
from m2d.training.optim import build_optimizer

VIT_BASE = {"input_size": [224, 224], "in_channels": 3}
TINY = {"input_size": [16, 16], "patch_size": [4, 4], "in_channels": 3, "size": "custom", "width": 16, "depth": 3,
        "heads": 2}


def published(encoder):
    """The encoder's weights under the names that timm and MAE use, with the positions."""
    state = {to_published(f"encoder.{name}"): value for name, value in encoder.state_dict().items()}
    return {**state, "pos_embed": torch.nn.functional.pad(encoder.positions, (0, 0, 1, 0))[None]}


@pytest.mark.parametrize("pool", ["token", "avg"])
def test_vit_base_agrees_with_timm(pool):
    """The encoder to its last LayerNorm, and the classifier with global average pooling, at 224 / 16 to 1e-5."""
    torch.manual_seed(0)
    peer = timm.create_model("vit_base_patch16_224", pretrained=False, global_pool=pool, num_classes=10).eval()
    config = ModelConfig(**VIT_BASE)
    x = torch.randn(2, 3, 224, 224)
    with torch.no_grad():
        if pool == "token":
            encoder = Encoder(config.encoder).eval()
            peer.load_state_dict({**peer.state_dict(), **published(encoder)})
            ours = encoder.transformer(encoder.whole(x))
            torch.testing.assert_close(ours, peer.forward_features(x), rtol=1e-5, atol=1e-5)
            torch.testing.assert_close(encoder.layers(x)[-1].flatten(1, 2), ours[:, 1:], rtol=1e-5, atol=1e-5)
            return
        model = Classifier(config, 10).eval()
        model.head.weight.normal_(std=0.1)
        state = {name: value for name, value in published(model.encoder).items() if not name.startswith("norm.")}
        for name in ("weight", "bias"):
            state |= {f"fc_norm.{name}": getattr(model.norm, name), f"head.{name}": getattr(model.head, name)}
        peer.load_state_dict(state)
        torch.testing.assert_close(model.logits(x), peer(x), rtol=1e-5, atol=1e-5)


def test_drop_path_keeps_the_mean_and_does_nothing_outside_training():
    torch.manual_seed(0)
    layer, x = DropPath(0.25), torch.ones(4000, 2, 3)
    dropped = layer(x)
    kept = dropped[:, 0, 0] > 0
    assert (dropped == dropped[:, :1, :1]).all() and dropped[kept].unique().tolist() == pytest.approx([4 / 3])
    assert kept.float().mean() == pytest.approx(0.75, abs=0.03)
    assert layer.eval()(x) is x and DropPath(0.0)(x) is x


def test_drop_path_rises_to_the_last_block():
    rates = [block.drop_path.rate for block in Encoder(ModelConfig(**TINY).encoder, drop_path=0.2).transformer.blocks]
    assert rates == pytest.approx([0.0, 0.1, 0.2])


def test_all_that_is_trained_gets_a_gradient_and_the_encoders_norm_is_left_out():
    torch.manual_seed(0)
    model = Classifier(ModelConfig(**TINY), 5)
    output = model(torch.randn(6, 3, 16, 16), torch.eye(5)[[0, 1, 2, 3, 4, 4]])
    assert output.loss.item() == pytest.approx(torch.tensor(5.0).log().item(), abs=1e-3)  # a head of nearly nothing
    output.loss.backward()
    for name, parameter in model.named_parameters():
        if name.startswith("encoder.transformer.norm."):
            assert not parameter.requires_grad
        elif name != "encoder.cls_token":
            assert parameter.grad is not None, name


def test_layer_decay():
    """Rates fall by 0.5 a block from the head (1) over three blocks to the patch embedding (0.5 ** 4)."""
    model = Classifier(ModelConfig(**TINY), 5)
    optimizer = build_optimizer(model, OptimOptions(layer_decay=0.5))
    set_lr(optimizer, 8.0)
    rates = {parameter: group["lr"] for group in optimizer.param_groups for parameter in group["params"]}
    names = {name: rates[parameter] for name, parameter in model.named_parameters() if parameter.requires_grad}
    expected = {"head.weight": 8.0, "norm.bias": 8.0, "encoder.transformer.blocks.2.mlp.fc1.weight": 4.0,
                "encoder.transformer.blocks.0.norm1.weight": 1.0, "encoder.cls_token": 0.5,
                "encoder.patch_embed.proj.weight": 0.5}
    assert {name: names[name] for name in expected} == expected
