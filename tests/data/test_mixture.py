"""Several corpora with shares of an epoch."""

from collections import Counter

import numpy as np
import pytest
import torch

from m2d.common.errors import UserError
from m2d.data.dataset import PretrainDataset
from m2d.data.loader import PretrainLoader
from m2d.data.mixture import Mixture, apportion
from m2d.data.sampler import GlobalSampler


@pytest.fixture(scope="module")
def parts(tmp_path_factory, make_store):
    base = tmp_path_factory.mktemp("stores")
    def store(name, count):
        return make_store(base / name, [30 + 10 * i for i in range(count)], 80, name=name)

    noise = store("noise", 3)
    return [PretrainDataset(store(name, count), 32, noise=noise, seed=5, n_patches=8)
            for name, count in (("speech", 7), ("music", 13))]


def epochs(mixture, count):
    """Counts of utterances in each epoch."""
    return [Counter(mixture[epoch, np.arange(len(mixture))]["ids"]) for epoch in range(count)]


@pytest.mark.parametrize("shares, speech", [([3, 1], 15), ([1, 1], 10), ([7, 13], 7), ([1, 19], 1)])
def test_each_has_its_share_and_no_utterance_comes_again_before_all_have_come(parts, shares, speech):
    mixture = Mixture(parts, shares, seed=5)
    assert len(mixture) == 20
    total = Counter()
    for epoch in epochs(mixture, 13):
        assert sum(n for name, n in epoch.items() if name.startswith("speech")) == speech
        total += epoch
        for name in ("speech", "music"):
            seen = [total[f"{name}{i:03d}"] for i in range(7 if name == "speech" else 13)]
            assert max(seen) - min(seen) <= 1, (name, seen)


def test_a_sample_depends_on_seed_epoch_and_index_alone(parts):
    mixture = Mixture(parts, [3, 1], seed=5)
    whole = mixture[4, np.arange(20)]
    for indices in ([17, 2, 9], [3], [19, 18]):
        again = Mixture(parts, [3, 1], seed=5)[4, np.array(indices)]
        for name, value in again.items():
            expected = [whole["ids"][i] for i in sorted(indices)] if name == "ids" else whole[name][sorted(indices)]
            assert value == expected if name == "ids" else torch.equal(value, expected), name
    assert Mixture(parts, [3, 1], seed=6)[4, np.arange(20)]["ids"] != whole["ids"]


def test_an_utterance_that_comes_twice_is_cropped_and_mixed_anew(parts):
    batch = Mixture(parts, [19, 1], seed=5)[0, np.arange(20)]
    again = [i for i, name in enumerate(batch["ids"]) if name == "speech006"]
    assert len(again) >= 2
    assert len({int(batch["start"][i]) for i in again}) > 1
    assert not torch.equal(batch["noise"][again[0]], batch["noise"][again[1]])
    assert not torch.equal(batch["mask_noise"][again[0]], batch["mask_noise"][again[1]])


@pytest.mark.parametrize("workers", [0, 2])
def test_loaders_resume_in_the_middle(parts, workers):
    def batches(step):
        sampler = GlobalSampler(20, 4, 3, seed=5)
        sampler.step = step
        return [batch["ids"] for batch in PretrainLoader(Mixture(parts, [3, 1], seed=5), sampler, workers)]

    assert batches(7) == batches(0)[7:]


def test_shares_add_up():
    assert apportion(2_005_132 + 281_241, [3, 1]) == [1714780, 571593]
    assert apportion(10, [1, 1, 1]) == [4, 3, 3]
    with pytest.raises(UserError, match=r"shares 1, 1000: .* no sample to an epoch of 20"):
        apportion(20, [1, 1000])


def test_stores_that_do_not_go_together(parts, tmp_path, make_store):
    other = PretrainDataset(make_store(tmp_path / "wide", [30, 40], 64), 32)
    with pytest.raises(UserError, match=r"wide and .*speech can't be mixed"):
        Mixture([parts[0], other], [1, 1])
