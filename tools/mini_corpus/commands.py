"""Spoken commands: thirty intents, many paraphrases each, after Fluent Speech Commands.

Many intents share their words, and about a quarter of the phrases name two states, devices or rooms of which only one
is meant, so that the order of the words matters and a bag of words is not enough.
"""

from dataclasses import dataclass

import numpy as np

from mini_corpus.dsp import choose

NONE = "none"
ROOMS = ("kitchen", "bedroom", "washroom")
_OPENINGS = ("", "", "", "please ", "could you ", "now ", "i want you to ")
_CLOSINGS = ("", "", "", " please", " now", " for me")


@dataclass(frozen=True)
class Intent:
    """The three slots of the corpus."""

    action: str
    object: str
    location: str


INTENTS = (
    *(Intent(action, "lights", room) for action in ("activate", "deactivate") for room in (NONE, *ROOMS)),
    *(Intent(action, "heat", room) for action in ("increase", "decrease") for room in (NONE, *ROOMS)),
    *(Intent(action, device, NONE) for action in ("activate", "deactivate") for device in ("lamp", "music")),
    *(Intent(action, "volume", NONE) for action in ("increase", "decrease")),
    *(Intent("bring", thing, NONE) for thing in ("newspaper", "juice", "socks", "shoes")),
    *(Intent("change language", name, NONE) for name in ("Chinese", "English", "German", "Korean")),
)
_OPPOSITE = {"activate": "deactivate", "deactivate": "activate", "increase": "decrease", "decrease": "increase"}
_PARTICLE = {"activate": "on", "deactivate": "off", "increase": "up", "decrease": "down"}
_ADJECTIVE = {
    ("increase", "heat"): "warmer", ("decrease", "heat"): "cooler",
    ("increase", "volume"): "louder", ("decrease", "volume"): "quieter",
}


def phrase(intent: Intent, rng: np.random.Generator) -> str:
    """A paraphrase of the intent, in lower case without punctuation."""
    if intent.action == "bring":
        return _bring(intent.object, rng)
    if intent.action == "change language":
        return _language(intent.object, rng)
    if rng.random() < 0.3:
        return _contrast(intent, rng)
    return _switch(intent, rng)


def _others(intent: Intent, slot: str) -> list[str]:
    """Values of a slot in the intents that share the action."""
    values = {getattr(other, slot) for other in INTENTS if other.action == intent.action}
    return sorted(values - {getattr(intent, slot), NONE})


def _device(name: str, location: str) -> str:
    return name if location == NONE else f"{location} {name}"


def _switch(intent: Intent, rng: np.random.Generator) -> str:
    name, particle = intent.object, _PARTICLE[intent.action]
    room = "" if intent.location == NONE else f" in the {intent.location}"
    device = _device(name, intent.location)
    forms = [
        f"turn {particle} the {name}{room}",
        f"turn the {name} {particle}{room}",
        f"turn the {device} {particle}",
        f"turn {particle} the {device}",
        f"put the {device} {particle}",
    ]
    if (intent.action, name) in _ADJECTIVE:
        adjective = _ADJECTIVE[intent.action, name]
        forms += [f"make it {adjective}{room}", f"it should be {adjective}{room}"]
    else:
        forms += [f"switch {particle} the {device}", f"switch the {name} {particle}{room}"]
    command = choose(rng, forms)
    if command.startswith("it "):
        return command + choose(rng, _CLOSINGS)
    return choose(rng, _OPENINGS) + command + choose(rng, _CLOSINGS)


def _contrast(intent: Intent, rng: np.random.Generator) -> str:
    """A phrase that also names another value of one slot, which is not meant."""
    particle, opposite = _PARTICLE[intent.action], _PARTICLE[_OPPOSITE[intent.action]]
    device = _device(intent.object, intent.location)
    if intent.location != NONE:
        other = f"{choose(rng, _others(intent, 'location'))} {intent.object}"
    else:
        other = choose(rng, _others(intent, "object"))
    forms = [
        f"turn {particle} the {device} not the {other}",
        f"not the {other} turn {particle} the {device}",
        f"the {device} should go {particle} not {opposite}",
        f"not {opposite} i want the {device} {particle}",
        f"leave the {other} and turn {particle} the {device}",
        f"turn {particle} the {device} and leave the {other}",
    ]
    return choose(rng, forms)


def _bring(thing: str, rng: np.random.Generator) -> str:
    other = choose(rng, _others(Intent("bring", thing, NONE), "object"))
    forms = [
        f"bring me the {thing}", f"bring me my {thing}", f"get the {thing}", f"get me the {thing}", f"fetch my {thing}",
        f"i need the {thing}", f"go and get the {thing}",
        f"bring me the {thing} not the {other}", f"not the {other} get the {thing}",
    ]
    return choose(rng, forms) + choose(rng, _CLOSINGS)


def _language(name: str, rng: np.random.Generator) -> str:
    other = choose(rng, _others(Intent("change language", name, NONE), "object")).lower()
    name = name.lower()
    forms = [
        f"change the language to {name}", f"set the language to {name}", f"switch to {name}", f"i want to speak {name}",
        f"use {name}", f"{name} as the language",
        f"change the language from {other} to {name}", f"speak {name} not {other}", f"not {other} switch to {name}",
    ]
    return choose(rng, forms) + choose(rng, _CLOSINGS)
