"""The everyday sounds by name. Each is a function `(rng, n) -> [n]` that draws its own parameters."""

from collections.abc import Callable

import numpy as np

from mini_corpus import sounds_machines, sounds_nature, sounds_objects

Sound = Callable[[np.random.Generator, int], np.ndarray]

SOUNDS: dict[str, Sound] = {
    function.__name__: function
    for module in (sounds_nature, sounds_objects, sounds_machines)
    for function in module.ALL
}
