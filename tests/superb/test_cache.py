"""Features that are kept: by the content of weights and audio, and never of a model that trains."""

import shutil

import pytest
import torch

from m2d import load_pretrained, save_pretrained
from m2d.superb import cache
from m2d.superb.cache import FeatureCache
from m2d.superb.upstream import M2DUpstream, RandomUpstream, Settings

KEEP = Settings(cache_gib=0.01)


@pytest.fixture(autouse=True)
def caches(monkeypatch) -> dict:
    monkeypatch.setattr(cache, "_CACHES", {})
    return cache._CACHES


def clips(*samples: int) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [0.1 * torch.randn(n, generator=generator) for n in samples]


@torch.no_grad()
def test_kept_features_are_the_computed_ones(model, caches):
    plain, caching = M2DUpstream(model, Settings()).eval(), M2DUpstream(model, KEEP).eval()
    wavs = clips(16000, 9000, 30001)
    for batch in ([0, 1], [1, 2], [0, 2, 1]):
        chosen = [wavs[index] for index in batch]
        for kept, computed in zip(caching(chosen)["hidden_states"], plain(chosen)["hidden_states"], strict=True):
            assert torch.equal(kept, computed)
    assert [len(found.kept) for found in caches.values()] == [3]


@torch.no_grad()
def test_a_known_clip_of_the_same_weights_is_not_encoded_again(model, tmp_path, monkeypatch):
    """Where the weights lie does not matter."""
    M2DUpstream(model, KEEP).eval()(clips(16000, 9000))
    shutil.copytree(model, tmp_path / "copy")
    same = M2DUpstream(str(tmp_path / "copy"), KEEP).eval()
    monkeypatch.setattr(same, "encode", lambda wavs: pytest.fail("encoded again"))
    same(clips(16000))


@torch.no_grad()
def test_other_weights_at_the_same_path_are_another_model(model, tmp_path):
    path = str(shutil.copytree(model, tmp_path / "model"))
    wavs = clips(16000)
    M2DUpstream(path, KEEP).eval()(wavs)
    trained_on = load_pretrained(path)
    trained_on.encoder.cls_token += 1
    save_pretrained(trained_on, path)
    after, fresh = (M2DUpstream(path, settings).eval()(wavs) for settings in (KEEP, Settings()))
    assert torch.equal(after["last_hidden_state"], fresh["last_hidden_state"])


@torch.no_grad()
def test_other_statistics_and_random_weights_share_nothing(model, caches):
    for upstream in (M2DUpstream(model, KEEP), M2DUpstream(model, Settings(mean=-7.0, std=4.0, cache_gib=0.01)),
                     *(RandomUpstream(model, Settings(cache_gib=0.01, seed=seed)) for seed in (0, 1))):
        upstream.eval()(clips(16000))
    assert [len(found.kept) for found in caches.values()] == [1, 1, 1, 1]


def test_a_model_that_trains_is_never_served_from_it(model, caches):
    """As s3prl's `-f` does: steps with gradients, evaluation without."""
    upstream = M2DUpstream(model, KEEP).train()
    wavs = clips(16000)
    optimiser = torch.optim.SGD(upstream.parameters(), lr=0.1)
    seen = []
    for _ in range(2):
        upstream.train()(wavs)["last_hidden_state"].square().mean().backward()
        optimiser.step()
        with torch.no_grad():
            seen.append(upstream.eval()(wavs)["last_hidden_state"])
    assert not torch.equal(*seen) and not caches


@torch.no_grad()
def test_weights_that_are_loaded_into_a_model_are_noticed(model):
    """s3prl loads the upstream of a fine-tuned checkpoint so."""
    upstream, other = M2DUpstream(model, KEEP).eval(), RandomUpstream(model, Settings()).eval()
    upstream(clips(16000))
    upstream.load_state_dict(other.state_dict())
    assert torch.equal(upstream(clips(16000))["last_hidden_state"], other(clips(16000))["last_hidden_state"])


def test_the_bound_on_memory_holds():
    kept = FeatureCache(limit=1000)
    for key, size in ((b"a", 200), (b"b", 200), (b"c", 50)):
        kept.put(key, torch.zeros(size))
    assert set(kept.kept) == {b"a", b"c"} and kept.bytes == 1000
