# Where the corpora are. Fill in here, or set the variable in the environment, which wins.
# Speech or noise left empty is replaced by the mini corpus, which stage 0 makes; every exp/ name then carries the tag
# _mini. Each SUPERB task whose corpora are not named runs on the mini corpus, in superb_mini. (Stage 6 on a model of real
# speech and noise leaves out the tasks that are not named here, and says so.)
# shellcheck shell=bash disable=SC2034

# Where the mini corpus is made, once for both recipes (seen from the recipe).
MINI_CORPUS=${MINI_CORPUS:-../mini_corpus}

# A catalogue of your own for downloads (local/download.sh and --corpus), as for a mirror; see m2d/data/downloads/catalogue.yaml.
CATALOGUE=${CATALOGUE:-}

# --- pre-training ---------------------------------------------------------------------------------------------------
# LibriSpeech: the folder with SPEAKERS.TXT and train-clean-100/ train-clean-360/ train-other-500/ dev-clean/
LIBRISPEECH=${LIBRISPEECH:-}
# Your own speech instead of LibriSpeech: a folder of audio files of any depth, or a text file that lists them.
SPEECH=${SPEECH:-}
# Background noise: AudioSet clips in the first place; any folder of audio files, or a text file that lists them.
NOISE=${NOISE:-}

# --- SUPERB ---------------------------------------------------------------------------------------------------------
# PR: LibriSpeech with train-clean-100/ dev-clean/ test-clean/ (LIBRISPEECH above where empty) and a lexicon of
# 'WORD PH PH ...' lines with ARPAbet phones with stress (s3prl's LibriSpeech g2p lists or CMUdict); several files: a space between.
SUPERB_LIBRISPEECH=${SUPERB_LIBRISPEECH:-$LIBRISPEECH}
LEXICON=${LEXICON:-}
# KS: Speech Commands v1 and its separate test set
SPEECH_COMMANDS=${SPEECH_COMMANDS:-}
SPEECH_COMMANDS_TEST=${SPEECH_COMMANDS_TEST:-}
# IC: fluent_speech_commands_dataset/ with data/*.csv and wavs/
FLUENT_SPEECH_COMMANDS=${FLUENT_SPEECH_COMMANDS:-}
# SID: VoxCeleb1 with dev/wav/ and test/wav/, and the identification split list (empty: iden_split.txt in that folder)
VOXCELEB1=${VOXCELEB1:-}
VOXCELEB1_SPLIT=${VOXCELEB1_SPLIT:-}
# ER: IEMOCAP_full_release/ with Session1/ ... Session5/
IEMOCAP=${IEMOCAP:-}
# s3prl's own fold tables of it, where you have them: a folder with Session1/ ... (without, they are made)
IEMOCAP_TABLES=${IEMOCAP_TABLES:-}

# ASV: VOXCELEB1 and its list of pairs (empty: veri_test.txt in that folder); it needs libsox, see the README
VOXCELEB1_PAIRS=${VOXCELEB1_PAIRS:-}
# SF: SNIPS, the preprocessed Audio SNIPS; SD: folder of Kaldi data directories train, dev and test of Libri2Mix; QbE:
# quesst14Database. ASR reads SUPERB_LIBRISPEECH. These have no stand-in in the mini corpus.
SNIPS=${SNIPS:-}
LIBRI2MIX=${LIBRI2MIX:-}
QUESST14=${QUESST14:-}

# --- linear evaluation of ENV and MUS (stage 6) ----------------------------------------------------------------------
ESC50=${ESC50:-}
URBANSOUND8K=${URBANSOUND8K:-}
GTZAN=${GTZAN:-}
NSYNTH=${NSYNTH:-}
SURGE=${SURGE:-}
