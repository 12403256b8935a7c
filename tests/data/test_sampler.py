"""One order of samples, whatever the ranks; numbers that depend on (seed, epoch, index) alone."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from m2d.common.errors import UserError
from m2d.data.randomness import _GAMMA, _mix, permutation, uniform
from m2d.data.sampler import GlobalSampler


def batches(sampler):
    return [(epoch, indices.tolist()) for epoch, indices in sampler]


@settings(max_examples=40, deadline=None)
@given(ranks=st.integers(1, 4), accumulate=st.integers(1, 3), local=st.integers(1, 3), size=st.integers(40, 90),
       epochs=st.integers(1, 3), seed=st.integers(0, 5))
def test_ranks_and_accumulation_only_share_out_the_same_order(ranks, accumulate, local, size, epochs, seed):
    whole = batches(GlobalSampler(size, ranks * accumulate * local, epochs, seed=seed))
    shares = [batches(GlobalSampler(size, ranks * accumulate * local, epochs, rank=r, ranks=ranks,
                                    accumulate=accumulate, seed=seed)) for r in range(ranks)]
    for step, (epoch, indices) in enumerate(whole):
        parts = [share[step * accumulate + a] for share in shares for a in range(accumulate)]
        assert all(part[0] == epoch for part in parts)
        assert [i for part in parts for i in part[1]] == indices
    per_epoch = size // (ranks * accumulate * local)
    assert len(whole) == epochs * per_epoch
    for epoch in range(epochs):
        seen = [i for e, indices in whole if e == epoch for i in indices]
        assert len(set(seen)) == len(seen) == per_epoch * ranks * accumulate * local
        assert set(seen) <= set(range(size))


@pytest.mark.parametrize("step", [0, 1, 4, 5, 9, 10])
def test_resume_at_any_step_on_another_number_of_ranks(step):
    whole = batches(GlobalSampler(43, 8, 2, seed=3))
    first = GlobalSampler(43, 8, 2, rank=1, ranks=4, seed=3)
    state = first.state_dict(step)
    resumed = [GlobalSampler(43, 8, 2, rank=r, ranks=2, seed=3) for r in range(2)]
    for sampler in resumed:
        sampler.load_state_dict(state)
        assert len(sampler) == len(whole) - step
    joined = [(epoch, a + b) for (epoch, a), (_, b) in zip(*map(batches, resumed), strict=True)]
    assert joined == whole[step:]


def test_another_order_is_refused():
    state = GlobalSampler(43, 8, 2, seed=3).state_dict(4)
    for other in (GlobalSampler(44, 8, 2, seed=3), GlobalSampler(43, 4, 2, seed=3), GlobalSampler(43, 8, 2, seed=4)):
        with pytest.raises(UserError, match="order of samples would change"):
            other.load_state_dict(state)


@pytest.mark.parametrize("batch, options, words", [
    (9, {"ranks": 2}, "can't be divided among 2 ranks x 1"), (0, {}, "can't be divided"), (64, {}, "more than the 43")])
def test_batches_that_can_not_be(batch, options, words):
    with pytest.raises(UserError, match=words):
        GlobalSampler(43, batch, 1, **options)


def test_epochs_and_seeds_differ():
    orders = {tuple(permutation(seed, epoch, 50)) for seed in range(3) for epoch in range(20)}
    assert len(orders) == 60
    draws = np.concatenate([uniform(seed, epoch, np.arange(50), 3).ravel() for seed in range(3) for epoch in range(20)])
    assert len(np.unique(draws)) == len(draws)


def test_the_mixer_is_splitmix64():
    """The first outputs for the seed 1234567, as published with the generator."""
    counters = np.array([1234567], np.uint64) + _GAMMA * np.arange(1, 3, dtype=np.uint64)
    assert _mix(counters).tolist() == [6457827717110365317, 3203168211198807973]


def test_numbers_are_pinned():
    """A change of these would make runs that go on from a checkpoint see other data."""
    assert permutation(0, 0, 8).tolist() == [0, 7, 4, 5, 6, 2, 1, 3]
    assert uniform(1, 2, np.array([3]), 2).tolist() == [[0.6663738906670456, 0.7857177631021766]]


def test_uniform_in_every_respect():
    draws = uniform(0, 0, np.arange(20000), 2)
    counts = np.histogram(draws, bins=20, range=(0, 1))[0]
    assert draws.min() >= 0 and draws.max() < 1
    assert abs(counts / draws.size - 0.05).max() < 0.004
    assert abs(np.corrcoef(draws.T)[0, 1]) < 0.03 and abs(np.corrcoef(draws[1:, 0], draws[:-1, 0])[0, 1]) < 0.03
    first = np.array([permutation(0, epoch, 10)[0] for epoch in range(5000)])
    assert abs(np.bincount(first, minlength=10) / 5000 - 0.1).max() < 0.025


def test_a_draw_depends_on_its_own_index_alone():
    together = uniform(7, 3, np.array([5, 900, 2_000_000]), 4)
    assert np.array_equal(together[1], uniform(7, 3, np.array([900]), 4)[0])
