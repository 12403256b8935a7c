"""Corpora as they are downloaded, read into Kaldi data directories: one reader per layout, found by name.

A reader takes `root` and those options of `m2d.data.corpora.prepare.PrepareConfig` that concern it, by their names.
"""

from collections.abc import Callable

from m2d.common.registry import Registry
from m2d.data.datadir import DataDir

CORPORA: Registry[Callable[..., DataDir]] = Registry("corpus", __name__)
