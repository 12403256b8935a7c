"""Features of a pre-trained model for a data directory: one .npy file per utterance, or a packed store."""

from m2d.common import cli
from m2d.data.datadir import DataDir
from m2d.pretrained.extraction import FeatureOptions, extract_features
from m2d.pretrained.files import load_audio


def main(options: FeatureOptions) -> None:
    extract_features(DataDir.read(options.data), load_audio(options.model), options)


if __name__ == "__main__":
    cli.run(FeatureOptions, main, __doc__)
