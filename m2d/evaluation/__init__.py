"""Measuring a representation on general audio: task tables, clip vectors, linear evaluation, fine-tuning, reports."""
