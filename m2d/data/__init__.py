"""Files to batches: Kaldi data directories, packed frames, crops and their order."""
