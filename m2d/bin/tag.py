"""The likeliest classes of sound files, printed as a table with times; all probabilities go to out=."""

from m2d.common import cli
from m2d.pretrained.embedding import find_clips
from m2d.pretrained.files import load_audio
from m2d.pretrained.tagging import TagOptions, read_labels, table, tag


def main(options: TagOptions) -> int:
    data = find_clips(options.files)
    labels = read_labels(options.labels) if options.labels else None
    model = load_audio(options.model, options.heads, options.sample_rate, labels)
    rows, failed = tag(data, model, options)
    print(table(rows, model.classifier.names, options.top))
    return failed.status(len(data))


if __name__ == "__main__":
    cli.run(TagOptions, main, __doc__, positional=("model", "files"))
