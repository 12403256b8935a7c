"""Evaluation of a representation on general audio: tasks, clip vectors, linear evaluation, fine-tuning, reports."""
