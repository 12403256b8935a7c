"""The plans, without sound: speakers kept apart, whole tables, official names, at several scales."""

import csv
import hashlib
import json
import re

import pytest
from mini_corpus.commands import INTENTS, phrase
from mini_corpus.dsp import generator
from mini_corpus.layouts import GROUPS, SETS, choose_sets, plan_set
from mini_corpus.layouts.audioset import CLASSES
from mini_corpus.speakers import BAND_SIZE, BANDS, speaker

from m2d.common.errors import UserError

SCALES = (0.1, 1.0, 2.0)


@pytest.fixture(scope="module", params=SCALES)
def plans(request):
    return {name: plan_set(name, request.param) for name in SETS}


def role(set_name, path):
    """The use of a file that must share no speaker with any other use."""
    if set_name == "librispeech":
        return "pre-training" if "/train-" in path else path.split("/")[1]
    if set_name == "audioset":
        return "audioset eval" if "/eval_" in path else "pre-training"
    return set_name


def test_no_two_uses_share_a_speaker(plans):
    users = {}
    for name, plan in plans.items():
        for item in plan.items:
            for index in item.speakers:
                users.setdefault(index, set()).add(role(name, item.path))
    shared = {index: uses for index, uses in users.items() if len(uses) > 1}
    assert not shared
    assert {use for uses in users.values() for use in uses} >= {
        "pre-training", "dev-clean", "test-clean", "speech_commands_v1", "fluent", "voxceleb", "iemocap"}


def test_parts_of_speaker_disjoint_sets_share_no_speaker(plans):
    def speakers(name, keep):
        return {index for item in plans[name].items if keep(item.path) for index in item.speakers}

    tables = plans["speech_commands_v1"].tables
    listed = {part: {re.sub("^.*/|_nohash.*", "", line) for line in
                     tables[f"speech_commands_v0.01/{part}_list.txt"].split()} for part in ("validation", "testing")}
    by_part = {part: speakers("speech_commands_v1", lambda p, n=names: p.split("/")[-1][:8] in n)
               for part, names in listed.items()}
    rest = speakers("speech_commands_v1", lambda p: p.split("/")[-1][:8] not in set.union(*listed.values()))
    assert by_part["validation"] and by_part["testing"] and rest
    assert not by_part["validation"] & by_part["testing"] and not rest & set.union(*by_part.values())
    assert speakers("speech_commands_v1", lambda p: "test_set" in p) == by_part["testing"]

    fluent = {}
    for part in ("train", "valid", "test"):
        table = plans["fluent"].tables[f"fluent_speech_commands_dataset/data/{part}_data.csv"]
        fluent[part] = {row["speakerId"] for row in csv.DictReader(table.splitlines())}
    assert not fluent["train"] & fluent["test"] and not fluent["valid"] & (fluent["train"] | fluent["test"])


def test_paths_and_folders_are_unique_and_tables_name_files_that_are_made(plans):
    folders = [folder for plan in plans.values() for folder in plan.folders]
    assert len(folders) == len(set(folders))
    paths = [item.path for plan in plans.values() for item in plan.items]
    assert len(paths) == len(set(paths))
    made = set(paths)
    for part in ("train", "valid", "test"):
        table = plans["fluent"].tables[f"fluent_speech_commands_dataset/data/{part}_data.csv"]
        assert {f"fluent_speech_commands_dataset/{row['path']}" for row in csv.DictReader(table.splitlines())} <= made
        notes = json.loads(plans["nsynth"].tables[f"nsynth/nsynth-{part}/examples.json"])
        assert notes and all(f"nsynth/nsynth-{part}/audio/{name}.wav" in made for name in notes)
        genres = plans["gtzan"].tables[f"GTZAN/{part}_filtered.txt"].split()
        assert genres and all(f"GTZAN/genres/{name}" in made for name in genres)
    for part in ("balanced_train", "unbalanced_train", "eval"):
        rows = plans["audioset"].tables[f"AudioSet/{part}_segments.csv"].splitlines()
        assert all(row.startswith("#") for row in rows[:3])
        ids = [row.split(", ")[0] for row in rows[3:]]
        assert all(len(name) == 11 and f"AudioSet/{part}_segments/{name}.flac" in made for name in ids)
    for name, table, root in (("voxforge", "VoxForge/voxforge.csv", "VoxForge"), ("surge", "surge/surge.csv", "surge")):
        rows = list(csv.DictReader(plans[name].tables[table].splitlines()))
        assert {f"{root}/{row['file_name']}" for row in rows} <= made
        assert {row["split"] for row in rows} == {"train", "valid", "test"}
    split = [line.split() for line in plans["voxceleb"].tables["VoxCeleb1/iden_split.txt"].splitlines()]
    assert all(f"VoxCeleb1/dev/wav/{p}" in made or f"VoxCeleb1/test/wav/{p}" in made for _, p in split)
    speakers = [{path.split("/")[0] for part, path in split if part == want} for want in "123"]
    assert speakers[0] == speakers[1] == speakers[2]


@pytest.mark.parametrize("version", ["v0.01", "v0.02"])
def test_speech_commands_lists_follow_the_data_sets_own_rule(plans, version):
    plan = plans["speech_commands_v1" if version == "v0.01" else "speech_commands_v2"]
    root = f"speech_commands_{version}"
    lists = {part: set(plan.tables[f"{root}/{part}_list.txt"].split()) for part in ("validation", "testing")}
    for item in plan.items:
        folder, word, name = item.path.split("/")
        if folder != root or word == "_background_noise_":
            continue
        digest = hashlib.sha1(re.sub("_nohash_.*$", "", name).encode()).hexdigest()
        percent = (int(digest, 16) % 2**27) * (100.0 / (2**27 - 1))
        part = "validation" if percent < 10 else "testing" if percent < 20 else "training"
        assert {p for p, names in lists.items() if f"{word}/{name}" in names} == ({part} - {"training"})


def test_every_emotion_evaluation_line_names_a_wav(plans):
    plan = plans["iemocap"]
    made = {item.path for item in plan.items}
    labels = {}
    for path, text in plan.tables.items():
        _, session, _, _, name = path.split("/")
        dialog = name.removesuffix(".txt")
        for line in text.splitlines():
            if not line.startswith("["):
                continue
            turn = re.fullmatch(r"\[[\d.]+ - [\d.]+\]\t(\w+)\t(\w{3})\t\[(\d\.\d{4}(, |\])){3}", line)
            assert f"IEMOCAP_full_release/{session}/sentences/wav/{dialog}/{turn[1]}.wav" in made
            labels.setdefault(session, []).append("hap" if turn[2] == "exc" else turn[2])
    assert sorted(labels) == [f"Session{k}" for k in range(1, 6)]
    for found in labels.values():
        assert len({found.count(label) for label in ("neu", "hap", "ang", "sad")}) == 1
        assert 0 < found.count("fru") + found.count("xxx") < 0.2 * len(found)


def test_transcripts_are_covered_by_the_lexicon_and_end_with_a_newline(plans):
    lexicon = next(item for item in plans["librispeech"].items if item.path.endswith("lexicon.txt"))
    words = {word.upper() for word in lexicon.words}
    transcripts = {path: text for path, text in plans["librispeech"].tables.items() if path.endswith(".trans.txt")}
    made = {item.path for item in plans["librispeech"].items}
    for path, text in transcripts.items():
        assert text.endswith("\n")
        for line in text.splitlines():
            name, *said = line.split()
            assert set(said) <= words
            assert f"{path.rpartition('/')[0]}/{name}.flac" in made


def test_a_phrase_means_one_intent():
    meaning = {}
    for intent in INTENTS:
        for k in range(200):
            assert meaning.setdefault(phrase(intent, generator("test", intent, k)), intent) == intent
    assert len(meaning) > 20 * len(INTENTS)


def test_balanced_audioset_labels_are_classes(plans):
    table = plans["audioset"].tables["AudioSet/class_labels_indices.csv"]
    rows = list(csv.DictReader(table.splitlines()))
    assert [int(row["index"]) for row in rows] == list(range(len(CLASSES)))
    mids = {row["mid"] for row in rows}
    for line in plans["audioset"].tables["AudioSet/eval_segments.csv"].splitlines()[3:]:
        assert set(re.search('"(.*)"', line)[1].split(",")) <= mids


def test_parts_choose_sets():
    assert choose_sets(["speech"]) == list(GROUPS["speech"])
    assert choose_sets(["voxceleb", "esc50"]) == ["voxceleb", "esc50"]
    assert set(choose_sets(["speech", "general"])) == set(SETS) - {"teacher_speech"}
    with pytest.raises(UserError, match="unknown part 'esc', did you mean 'esc50'"):
        choose_sets(["esc"])


def test_bands_do_not_overflow_into_each_other():
    assert BANDS[speaker("noise", BAND_SIZE - 1) // BAND_SIZE] == "noise"
    with pytest.raises(UserError, match="scale is too large"):
        speaker("noise", BAND_SIZE)
