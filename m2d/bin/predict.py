"""What a fine-tuned model says of sound files: a table of labels and probabilities, by clip or by frame."""

import logging
from collections import Counter

from m2d.common import cli
from m2d.pretrained.embedding import find_clips
from m2d.pretrained.files import load_audio
from m2d.pretrained.tagging import PredictOptions, label_of, predict


def main(options: PredictOptions) -> int:
    data = find_clips(options.files)
    model = load_audio(options.model, options.heads, options.sample_rate)
    rows, failed = predict(data, model, options)
    counts = Counter(label_of(row.probabilities, model.classifier) or "none" for row in rows)
    logging.info("%s: %s", options.out, ", ".join(f"{name} {count}" for name, count in counts.most_common(10)))
    return failed.status(len(data))


if __name__ == "__main__":
    cli.run(PredictOptions, main, __doc__, positional=("model", "files"))
