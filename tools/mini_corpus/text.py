"""English sentences from a small grammar, whose vocabulary holds all 39 phones of American English."""

import numpy as np

from mini_corpus.dsp import choose


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


DETERMINERS = _words("the a this that every another our their her his my")
ADJECTIVES = _words("""
old young small large quiet green yellow broken gentle heavy frozen bright lucky strange careful famous hungry empty
golden wooden simple future busy royal purple dusty narrow modern foolish pleasant
""")
NOUNS = _words("""
teacher doctor farmer sailor child visitor captain painter singer judge engine garden river mountain window kitchen
machine letter picture basket bottle jacket village market bridge forest island journey thunder pocket feather hammer
ladder mirror orange pepper pigeon rabbit shadow station ticket tower treasure valley whistle winter zebra church
measure garage noise voyage leather beach youth
""")
TRANSITIVE_VERBS = _words("""
watched followed carried painted opened measured finished borrowed discovered ignored repaired collected described
examined remembered visited pushed changed enjoyed answered chose brought caught sold lost built shook judged
""")
INTRANSITIVE_VERBS = _words("""
laughed waited arrived smiled vanished stumbled shouted whistled slept worked listened hurried
""")
PREPOSITIONS = _words("near behind under above across beyond inside without against toward beside through")
ADVERBS = _words("slowly quickly never always today yesterday usually quietly finally together again nearly twice")
PHRASES = (
    "in the morning", "before the storm", "after the long journey", "for three hours", "at the edge of town",
    "during the cold season", "because nobody asked", "while the others were sleeping", "when the music stopped",
    "without a reason", "until the clock struck seven", "with pure joy",
)
_LISTS = (DETERMINERS, ADJECTIVES, NOUNS, TRANSITIVE_VERBS, INTRANSITIVE_VERBS, PREPOSITIONS, ADVERBS, PHRASES)
VOCABULARY = sorted({word for items in _LISTS for item in items for word in item.split()} | {"an"})


def statement(rng: np.random.Generator) -> str:
    """A short sentence of 5 to 7 words: subject, verb, object."""
    return " ".join((_noun_phrase(rng), choose(rng, TRANSITIVE_VERBS), _noun_phrase(rng)))


def sentence(rng: np.random.Generator) -> str:
    """One sentence of 5 to 14 words in lower case, without punctuation."""
    form = rng.integers(4)
    if form == 0:
        return statement(rng)
    if form == 1:
        parts = [_noun_phrase(rng), choose(rng, ADVERBS), choose(rng, TRANSITIVE_VERBS), _noun_phrase(rng),
                 choose(rng, PREPOSITIONS), _noun_phrase(rng)]
    elif form == 2:
        parts = [_noun_phrase(rng), choose(rng, INTRANSITIVE_VERBS), choose(rng, PREPOSITIONS), _noun_phrase(rng),
                 choose(rng, PHRASES)]
    else:
        parts = [choose(rng, PHRASES), _noun_phrase(rng), choose(rng, TRANSITIVE_VERBS), _noun_phrase(rng)]
    return " ".join(parts)


def _noun_phrase(rng: np.random.Generator) -> str:
    determiner = choose(rng, DETERMINERS)
    adjective = choose(rng, ADJECTIVES) if rng.random() < 0.6 else ""
    noun = choose(rng, NOUNS)
    if determiner == "a" and (adjective or noun)[0] in "aeio":
        determiner = "an"
    return " ".join(filter(None, (determiner, adjective, noun)))
