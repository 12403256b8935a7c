"""LibriSpeech: `PART/READER/CHAPTER/READER-CHAPTER-0000.flac`, transcripts, SPEAKERS.TXT; lexicon and phone times."""

from mini_corpus.acoustics import Recording
from mini_corpus.dsp import choose, generator
from mini_corpus.items import Lexicon, Utterance
from mini_corpus.plan import SetPlan, lines_text, scaled
from mini_corpus.speakers import speaker
from mini_corpus.text import VOCABULARY, sentence

ROOT = "LibriSpeech"
# part, band of speakers, speakers at scale 1, chapters per speaker, utterances per chapter, sentences in an utterance
_PARTS = (
    ("train-clean-100", "librispeech_train", 80, 2, 7, (1, 1, 1, 1, 1, 1, 2, 2, 2, 3)),
    ("dev-clean", "librispeech_dev", 6, 1, 12, (1,)),
    ("test-clean", "librispeech_test", 12, 1, 16, (1,)),
)


def plan(scale: float) -> SetPlan:
    """Three parts without a common speaker; 90 minutes of training speech at scale 1."""
    result = SetPlan([Lexicon(f"{ROOT}/lexicon.txt", tuple(VOCABULARY))])
    transcripts: dict[str, list[str]] = {}
    readers = [";ID  |SEX| SUBSET           |MINUTES| NAME"]
    reader = 1000
    for part, band, speakers, chapters, utterances, lengths in _PARTS:
        for k in range(scaled(speakers, scale, least=2)):
            reader += 1
            readers.append(f"{reader:<4} | M | {part:<16} |  1.00 | synthetic voice {speaker(band, k)}")
            for chapter in range(100 * reader, 100 * reader + chapters):
                stem = f"{ROOT}/{part}/{reader}/{chapter}/{reader}-{chapter}"
                how = Recording(session=f"librispeech/{chapter}", snr=(15, 35))
                for u in range(utterances):
                    rng = generator("librispeech", chapter, u)
                    sentences = [sentence(rng) for _ in range(choose(rng, lengths))]
                    result.items.append(Utterance(
                        f"{stem}-{u:04d}.flac", speaker(band, k), ". ".join(sentences), how,
                        alignment=f"{ROOT}/alignments/{part}.ctm"))
                    words = " ".join(sentences).upper()
                    transcripts.setdefault(f"{stem}.trans.txt", []).append(f"{reader}-{chapter}-{u:04d} {words}")
    result.tables = {path: lines_text(lines) for path, lines in transcripts.items()}
    result.tables[f"{ROOT}/SPEAKERS.TXT"] = lines_text(readers)
    return result
