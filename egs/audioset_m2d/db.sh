# Where the corpora are. Fill in here, or set the variable in the environment, which wins. What both recipes use (VoxCeleb1,
# ESC-50, UrbanSound8K, GTZAN, NSynth, Surge, the SUPERB corpora, the mini corpus) is named in ../librispeech_m2ds/db.sh.
#
# Without AUDIOSET and AUDIO everything left empty is replaced by the mini corpus, which stage 0 makes; every exp/ name then
# carries the tag _mini. With one of them, a task whose data is not named is left out, and the recipe says so.
# shellcheck shell=bash disable=SC2034
. ../librispeech_m2ds/db.sh

# --- pre-training ---------------------------------------------------------------------------------------------------
# AudioSet: a folder with clips named by YouTube id, any depth, and the three segment CSVs and class_labels_indices.csv
# (these elsewhere: AUDIOSET_SPLIT). Also the data of task as20k.
AUDIOSET=${AUDIOSET:-}
AUDIOSET_SPLIT=${AUDIOSET_SPLIT:-}
# Your own audio instead of AudioSet: a folder of any depth, or a text file that lists the files.
AUDIO=${AUDIO:-}

# --- linear evaluation and fine-tuning --------------------------------------------------------------------------------
# ..._TABLE names a split table 'file_name,label,split' (or fold) of your own or of a paper, for any task.
# Speech Commands v2: speech_commands_v0.02/ with validation_list.txt and testing_list.txt
SPEECH_COMMANDS_V2=${SPEECH_COMMANDS_V2:-}
# VoxForge: a folder with de/ en/ es/ fr/ it/ ru/
VOXFORGE=${VOXFORGE:-}
VOXFORGE_TABLE=${VOXFORGE_TABLE:-}
# CREMA-D: the folder with AudioWAV/
CREMAD=${CREMAD:-}
CREMAD_TABLE=${CREMAD_TABLE:-}
# GTZAN's fault-filtered lists, where they are not in its folder: train_filtered.txt valid_filtered.txt test_filtered.txt
GTZAN_SPLIT=${GTZAN_SPLIT:-}
SURGE_TABLE=${SURGE_TABLE:-}
