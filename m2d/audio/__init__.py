"""Waveforms and log-mel spectra: reading, the front end of the published models, noise mixing."""
