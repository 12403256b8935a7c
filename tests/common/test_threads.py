"""Reading ahead and writing behind keep the order, overlap with the caller's work, and hand errors on."""

import threading

import pytest

from m2d.common.threads import AHEAD, read_ahead, write_behind


def test_items_are_read_before_they_are_asked_for():
    read, third = [], threading.Event()

    def reader(item):
        read.append(item)
        if item == AHEAD:
            third.set()
        return 10 * item

    results = read_ahead(reader, range(6))
    assert next(results) == 0
    assert third.wait(10) and len(read) <= AHEAD + 1  # without anybody asking for it, and no further
    assert list(results) == [10, 20, 30, 40, 50] and read == list(range(6))


def test_an_error_of_reading_comes_in_its_place():
    results = read_ahead(lambda item: 1 // (2 - item), range(4))
    assert [next(results), next(results)] == [0, 1]
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_writing_goes_on_while_the_next_is_made():
    begun, made, written = threading.Event(), threading.Event(), []

    def write(item):
        begun.set()
        assert made.wait(10)
        written.append(item)

    with write_behind() as hand_over:
        hand_over(write, 0)
        assert begun.wait(10) and not written  # the caller is here while the first is being written
        made.set()
        hand_over(write, 1)
        assert written[0] == 0  # one at a time
    assert written == [0, 1]


@pytest.mark.parametrize("calls", [1, 2])
def test_an_error_of_writing_is_raised(calls):
    with pytest.raises(OSError, match="full"), write_behind() as hand_over:
        for _ in range(calls):
            hand_over(_full)


def _full():
    raise OSError("full")
