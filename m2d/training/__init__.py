"""Pre-training: options, schedules, the loop, checkpoints, ranks, what is shown of a run."""
