"""Vectors and frames of sound files: one matrix with names, or one file of frames a clip, or both in one pass."""

import logging

from m2d.common import cli
from m2d.pretrained.embedding import EmbedOptions, embed, find_clips
from m2d.pretrained.files import load_audio


def main(options: EmbedOptions) -> int:
    data = find_clips(options.files)
    failed = embed(data, load_audio(options.model, options.heads, options.sample_rate), options)
    logging.info("%d clips to %s", len(data) - len(failed), " and ".join(filter(None, [options.out, options.frames])))
    return failed.status(len(data))


if __name__ == "__main__":
    cli.run(EmbedOptions, main, __doc__, positional=("model", "files"))
