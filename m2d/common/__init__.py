"""Shared by the whole package: options, errors, atomic file writes, registries, progress."""
