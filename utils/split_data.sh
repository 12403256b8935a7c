#!/usr/bin/env bash
# Kaldi's script of this name; its options: --help.
exec python3 "$(dirname "${BASH_SOURCE[0]}")/data_dir.py" split "$@"
