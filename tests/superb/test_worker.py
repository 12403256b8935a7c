"""What the worker shows of s3prl's training."""

import io
import logging

from m2d.superb import worker


def test_the_steps_of_s3prls_bar_are_logged_now_and_then(monkeypatch, caplog):
    monkeypatch.setattr(worker, "STEPS_SECONDS", 0.0)
    stream = io.StringIO()
    front = worker._Steps(stream)
    text = "\roverall:  40%|████      | 120/300 [00:41<01:02,  2.90it/s]"
    with caplog.at_level(logging.INFO):
        front.write(text)
        front.write("\rtrain:  40%|████      | 12/30 [00:41<01:02,  2.90it/s]")
        front.write("\roverall:  41%|████      | 123/300 [00:41<01:02,  4.00s/it]")
    assert [record.message for record in caplog.records] == [
        "steps: 120/300, 2.9/s, ETA 01:02", "steps: 123/300, 0.25/s, ETA 01:02"]
    assert stream.getvalue().startswith(text + "\rtrain")
