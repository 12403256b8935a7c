"""What every room of the package shares: options, errors, files that are whole or absent, progress."""
