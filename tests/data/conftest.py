"""A packed store whose frames tell where they are from."""

import numpy as np
import pytest

from m2d.data.merge import merge_index
from m2d.data.store import PackedStore
from m2d.data.writer import PackedWriter


@pytest.fixture(scope="session")
def make_store():
    """Maker of a store of utterances `NAME000 ...`: a frame holds its own number, then its utterance's."""
    def make(directory, lengths, width, dtype="float16", skip=(), info=None, name="u"):
        with PackedWriter(directory, "x.1", width, dtype, info=info) as writer:
            for i, length in enumerate(lengths):
                if i not in skip:
                    frames = np.full((length, width), i, np.float32)
                    frames[:, 0] = np.arange(length)
                    writer.append(f"{name}{i:03d}", frames)
        merge_index(directory)
        return PackedStore(directory)
    return make
