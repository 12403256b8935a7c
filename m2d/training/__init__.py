"""Pre-training: options, schedules, the loop, checkpoints, ranks, monitoring."""
