"""Batches of waveforms."""

from m2d.data.datadir import DataDir
from m2d.data.extract import length_batches


def test_batches_hold_like_lengths_and_no_more_than_asked():
    lengths = {f"u{k}": 0.5 + k % 7 for k in range(40)} | {"long": 99.0}
    data = DataDir({u: f"{u}.wav" for u in lengths}, utt2dur=lengths)
    batches = list(length_batches(data, data.utterances, 20.0))
    assert batches[0] == ["long"]
    assert sorted(u for batch in batches for u in batch) == data.utterances
    assert all(len(batch) * max(lengths[u] for u in batch) <= 20 for batch in batches[1:])
    padded = sum(len(batch) * max(lengths[u] for u in batch) for batch in batches)
    assert padded < 1.1 * sum(lengths.values())
