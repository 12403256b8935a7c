"""The mini corpus: small synthetic stand-ins for the corpora of the recipes, in the layouts of the real ones.

What it is. Speech by two free synthesisers (espeak-ng, SVOX Pico), everyday sounds computed from formulas, and music
and single notes played from one sound font; rooms, microphones, background noise and levels are drawn per session
and per file. Every set lies in the tree, with the lists and tables, of the corpus whose name it bears, so the code
that prepares the real one reads it unchanged.

What it is not. It is a check of the pipeline and of learning, never of transfer to real recordings: pre-training and
test data share the synthesisers, the sound formulas and the sound font. No score on it says anything about a score on
the corpus whose layout it has.

How large it is. At scale 1 the test parts of KS, IC, SID and ER have 1,140 to 1,200 clips each: one standard error of
an accuracy is under 1.5 points.

How hard it is. The tasks leave room between log-mel and what a network can learn: emotions differ in contour, rate and
pauses, not in level or tilt; intents share their words; every video of a speaker has a microphone of its own. The
tables of `egs/librispeech_m2ds/RESULTS.md` have log-mel, random weights and the teacher side by side.

Speakers. Speaker `i` is a function of `i` (voice variant, accent, pitch, rate, vocal-tract length). Each use has a
band of indices of its own (`mini_corpus.speakers.BANDS`): pre-training speech and noise, LibriSpeech dev and test,
and each evaluation set share no speaker at any scale. The synthesisers' few dozen voice variants do recur between
bands, with other accents, pitches and tract lengths.

Determinism. Every file is a pure function of the scale, `SEED` and the package versions in `meta.json`, whatever the
number of jobs. The synthesisers keep state from one utterance to the next, so each fixed shard of a set is made in a
fresh process. espeak-ng's random generator is seeded at its start (by default it takes the clock). Pico reads memory
that it never wrote: glibc hands it zeroed memory. The serial number of Ogg files is fixed. `meta.json` holds a SHA-256
of each set, which is logged when the set is made.

Alignments. The LibriSpeech set has `lexicon.txt` (`WORD PH PH ...`, ARPAbet with stress, what espeak-ng's American
English says) and `alignments/PART.ctm` (`utterance 1 start duration PHONE`, seconds, ARPAbet without stress, silence
`SIL`). Only utterances by espeak-ng have alignments, as Pico tells no times: about four fifths of them.
"""

SEED = 1
FORMAT = 4  # raised when the content of the sets changes, so that an older corpus is made anew
