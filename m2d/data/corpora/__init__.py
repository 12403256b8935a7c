"""Corpora as they are downloaded, read into Kaldi data directories."""
