"""Speech for the teacher alone: `teacher_speech/READER/READER-0000.flac`, of speakers that no other set has."""

from mini_corpus.acoustics import Recording
from mini_corpus.dsp import choose, generator
from mini_corpus.items import Utterance
from mini_corpus.plan import SetPlan, scaled
from mini_corpus.speakers import speaker
from mini_corpus.text import sentence

ROOT = "teacher_speech"
SPEAKERS = 600
UTTERANCES = 14
LENGTHS = (1, 1, 1, 1, 1, 1, 2, 2, 2, 3)  # sentences in an utterance


def plan(scale: float) -> SetPlan:
    """A folder of recordings without transcripts: 9 hours at scale 1."""
    result = SetPlan()
    for k in range(scaled(SPEAKERS, scale, least=2)):
        how = Recording(session=f"teacher/{k}", snr=(15, 35))
        for u in range(UTTERANCES):
            rng = generator("teacher_speech", k, u)
            text = ". ".join(sentence(rng) for _ in range(choose(rng, LENGTHS)))
            result.items.append(Utterance(f"{ROOT}/{k:04d}/{k:04d}-{u:04d}.flac", speaker("teacher", k), text, how))
    return result
