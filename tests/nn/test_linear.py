"""The product by oneDNN is `F.linear`: values, gradients, and where it stands back."""

import pytest
import torch
import torch.nn.functional as F

from m2d.nn.linear import Linear, linear


def product(name, x, weight, bias, grad):
    leaves = [t.detach().clone().requires_grad_() for t in (x, weight, bias)]
    out = {"ours": linear, "torch": F.linear}[name](*leaves)
    return [out, *torch.autograd.grad(out, leaves, grad)]


@pytest.mark.parametrize("shape", [(7, 24), (3, 5, 24), (2, 1, 24)])
def test_values_and_gradients(shape):
    x, weight, bias = torch.randn(shape), torch.randn(36, 24), torch.randn(36)
    grad = torch.randn(36).expand(*shape[:-1], 36)  # as of a sum: not contiguous
    for ours, torchs in zip(product("ours", x, weight, bias, grad), product("torch", x, weight, bias, grad),
                            strict=True):
        torch.testing.assert_close(ours, torchs, rtol=1e-5, atol=1e-5)


def test_rows_of_a_larger_tensor():
    x, weight, bias = torch.randn(2, 9, 24)[:, 4:], torch.randn(36, 24), torch.randn(36)
    torch.testing.assert_close(linear(x, weight, bias), F.linear(x, weight, bias), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("x", [torch.randn(1, 24).expand(4, 24), torch.randn(24, 4).T, torch.empty(0, 24)],
                         ids=["one row for all", "transposed", "no rows"])
def test_gradients_in_any_layout(x):
    weight, bias, grad = torch.randn(36, 24, requires_grad=True), torch.randn(36, requires_grad=True), torch.randn(36)
    ours, torchs = (torch.autograd.grad(function(x, weight, bias), (weight, bias), grad.expand(len(x), 36))
                    for function in (linear, F.linear))
    torch.testing.assert_close(ours, torchs, rtol=1e-5, atol=1e-5)


def test_without_onednn_it_is_torchs(monkeypatch):
    x, weight, bias = torch.randn(64, 768), torch.randn(768, 768), torch.randn(768)
    monkeypatch.delattr("m2d.nn.linear._product")
    with monkeypatch.context() as patch:
        patch.setattr(torch.backends.mkldnn, "enabled", False)
        assert torch.equal(linear(x, weight, bias), F.linear(x, weight, bias))
    monkeypatch.setattr("m2d.nn.linear.HAS_ONEDNN", False)
    assert torch.equal(linear(x, weight, bias), F.linear(x, weight, bias))


def test_frozen_weights_get_no_gradient():
    layer = Linear(24, 36).requires_grad_(False)
    x = torch.randn(4, 24, requires_grad=True)
    layer(x).sum().backward()
    assert layer.weight.grad is None and layer.bias.grad is None
    torch.testing.assert_close(x.grad, layer.weight.sum(0).expand(4, -1))


def test_autocast_double_and_meta_are_torchs():
    layer, x = Linear(24, 36), torch.randn(4, 24)
    with torch.autocast("cpu", torch.bfloat16):
        assert layer(x).dtype == torch.bfloat16
    assert layer.double()(x.double()).dtype == torch.float64
    assert layer.to("meta")(x.double().to("meta")).device.type == "meta"
