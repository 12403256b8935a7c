"""Benchmarks: one module and one command each; see README.md beside this file."""
