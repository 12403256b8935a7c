"""From files to batches: Kaldi data directories, packed frames, crops, samplers, loaders."""
