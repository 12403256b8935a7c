"""Features that are kept: by the content of weights and audio, and never of a model that trains."""

import shutil

import pytest
import torch

from m2d import load_pretrained, save_pretrained
from m2d.superb import cache
from m2d.superb.cache import FeatureCache
from m2d.superb.disk import RECORD, DiskFeatures
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


@torch.no_grad()
def test_features_on_the_disk_serve_the_next_process(model, caches, tmp_path, monkeypatch):
    """What was computed in one is read in the other, bit for bit; other weights have a folder of their own."""
    settings = Settings(disk=str(tmp_path), disk_gib=0.01)
    wavs = clips(16000, 9000)
    computed = M2DUpstream(model, settings).eval()(wavs)["hidden_states"]
    caches.clear()
    again = M2DUpstream(model, settings).eval()
    monkeypatch.setattr(again, "encode", lambda wavs: pytest.fail("encoded again"))
    assert all(map(torch.equal, again(wavs)["hidden_states"], computed))
    RandomUpstream(model, settings).eval()(wavs)
    assert len(list(tmp_path.iterdir())) == 2 and all(found.bytes == 0 for found in caches.values())


def features(seed: int) -> torch.Tensor:
    return torch.randn(2, 3 + seed, 4, generator=torch.Generator().manual_seed(seed))


def key(seed: int) -> bytes:
    return bytes([seed]) * 16


def test_what_a_crash_cut_short_or_damaged_is_not_taken(tmp_path):
    writer = DiskFeatures(tmp_path, 10**6)
    for seed in range(3):
        writer.put(key(seed), features(seed))
    data, index = next(tmp_path.glob("*.data")), next(tmp_path.glob("*.index"))
    data.write_bytes(b"\1" + data.read_bytes()[1:-8])  # a bad sector in the first, the end of the last is missing
    with open(index, "ab") as stream:
        stream.write(b"half a record")
    reader = DiskFeatures(tmp_path, 10**6)
    assert reader.get(key(0)) is None and torch.equal(reader.get(key(1)), features(1)) and reader.get(key(2)) is None
    reader.put(key(0), features(0))
    assert torch.equal(DiskFeatures(tmp_path, 10**6).get(key(0)), features(0))


def test_a_damaged_index_is_no_disaster(tmp_path):
    (tmp_path / "x.index").write_bytes(RECORD.pack(key(0), 0, 2, 3, 4, 0))  # its data are gone
    assert DiskFeatures(tmp_path, 10**6).get(key(0)) is None


def test_the_bound_on_disk_holds_for_all_writers_together(tmp_path):
    size = features(0).nbytes
    one, other = (DiskFeatures(tmp_path, 2 * size + size // 2) for _ in range(2))
    one.put(key(0), features(0))
    other.put(key(1), features(0))
    one.put(key(2), features(0))
    assert len(list(tmp_path.glob("*.data"))) == 2 and one.get(key(2)) is None


def test_audio_that_is_cut_at_random_does_not_fill_the_disk(tmp_path):
    kept = DiskFeatures(tmp_path, 10**6, hearings=2)
    for seed in (0, 1, 2, 1):
        kept.put(key(seed), features(seed))
    assert [kept.get(key(seed)) is not None for seed in range(3)] == [False, True, False]


def test_what_memory_serves_reaches_the_disk_at_its_second_hearing(tmp_path):
    cache = FeatureCache(10**6, DiskFeatures(tmp_path, 10**6, hearings=2))
    cache.put(b"a" * 16, torch.ones(1, 2, 3))
    assert DiskFeatures(tmp_path, 10**6).get(b"a" * 16) is None
    assert cache.get(b"a" * 16) is not None
    assert torch.equal(DiskFeatures(tmp_path, 10**6).get(b"a" * 16), torch.ones(1, 2, 3))


def test_a_disk_that_takes_no_more_ends_the_keeping_alone(tmp_path, caplog):
    kept = DiskFeatures(tmp_path / "kept", 10**6)
    kept.folder.rmdir()
    kept.put(key(0), features(0))
    assert kept.get(key(0)) is None and "no more features are kept there" in caplog.text
    kept.put(key(1), features(1))
