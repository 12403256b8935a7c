"""Building: the same files twice, whole sets or none, going on after an interruption, clear refusals."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import soundfile
from mini_corpus import build
from mini_corpus.acoustics import Recording
from mini_corpus.corpus import make_corpus
from mini_corpus.items import Lexicon, Utterance
from mini_corpus.layouts import plan_set
from mini_corpus.ogg import fix_serial
from mini_corpus.plan import SetPlan

from m2d.common.errors import UserError
from m2d.common.files import sha256

TINY = 0.02


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    out = tmp_path_factory.mktemp("mini") / "corpus"
    make_corpus(out, ["librispeech"], scale=TINY, jobs=2)
    return out


def audio(root):
    return {str(path.relative_to(root)): path for path in sorted(root.rglob("*.flac"))}


def test_every_planned_file_is_there_and_recorded(corpus):
    plan = plan_set("librispeech", TINY)
    assert sorted(audio(corpus)) == sorted(item.path for item in plan.items if item.path.endswith(".flac"))
    meta = json.loads((corpus / "meta.json").read_text())
    entry = meta["sets"]["librispeech"]
    assert (meta["scale"], entry["folders"], entry["files"]) == (TINY, ["LibriSpeech"], len(plan.items))
    assert entry["minutes"] == pytest.approx(
        sum(soundfile.info(path).duration for path in audio(corpus).values()) / 60, abs=0.01)
    assert meta["versions"]["espeakng-loader"]
    assert sorted(path.name for path in corpus.iterdir()) == [".lock", "LibriSpeech", "meta.json"]


def test_another_run_with_other_jobs_gives_the_same_files(corpus, tmp_path):
    again = tmp_path / "again"
    make_corpus(again, ["librispeech"], scale=TINY, jobs=1)
    digest = json.loads((corpus / "meta.json").read_text())["sets"]["librispeech"]["sha256"]
    assert {name: sha256(path) for name, path in audio(again).items()} == {
        name: sha256(path) for name, path in audio(corpus).items()}
    assert digest == build.content_digest(again, ["LibriSpeech"])
    (again / "LibriSpeech/lexicon.txt").write_text("changed")
    assert digest != build.content_digest(again, ["LibriSpeech"])


def test_pico_says_the_same_in_every_process(tmp_path):
    """Without zeroed memory about one in ten of these differs."""
    code = ("import hashlib; from mini_corpus.nanotts import Pico\n"
            "said = {hashlib.sha256(Pico().say('bring me the newspaper now', 'en-GB', 1, 1).tobytes()).hexdigest()"
            " for _ in range(20)}\nprint(*said)")
    runs = [subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
            for _ in range(2)]
    assert len(runs[0].split()) == 1 and runs[0] == runs[1]


def test_ogg_files_are_the_same_every_time_and_sound(tmp_path):
    wave = 0.3 * np.sin(np.arange(16000) / 10)
    for name in ("a.ogg", "b.ogg"):
        soundfile.write(tmp_path / name, wave, 16000, subtype="VORBIS")
        before, _ = soundfile.read(tmp_path / name)
        fix_serial(tmp_path / name)
        np.testing.assert_array_equal(soundfile.read(tmp_path / name)[0], before)
    assert (tmp_path / "a.ogg").read_bytes() == (tmp_path / "b.ogg").read_bytes()


def test_the_lexicon_is_in_the_71_phones_and_like_the_dictionary(corpus):
    vowels = "AA AE AH AO AW AY EH ER EY IH IY OW OY UH UW"
    consonants = "B CH D DH F G HH JH K L M N NG P R S SH T TH V W Y Z ZH"
    phones = {"SIL", "SPN", *consonants.split(), *(f"{v}{s}" for v in vowels.split() for s in "012")}
    assert len(phones) == 71
    lexicon = dict(line.split(maxsplit=1) for line in (corpus / "LibriSpeech/lexicon.txt").read_text().splitlines())
    used = {phone for entry in lexicon.values() for phone in entry.split()}
    assert used <= phones and len({phone.rstrip("012") for phone in used}) == 39
    assert lexicon["TEACHER"] == "T IY1 CH ER0" and lexicon["KITCHEN"] == "K IH1 CH AH0 N"
    assert lexicon["MEASURE"] == "M EH1 ZH ER0" and lexicon["YOUTH"] == "Y UW1 TH"


def test_alignments_follow_the_audio(corpus):
    by_name = {path.stem: path for path in audio(corpus).values()}
    energies = {True: [], False: []}
    for table in (corpus / "LibriSpeech/alignments").glob("*.ctm"):
        times = {}
        for line in table.read_text().splitlines():
            name, _, start, length, phone = line.split()
            times.setdefault(name, []).append((float(start), float(length), phone))
        for name, phones in times.items():
            wave, rate = soundfile.read(by_name[name])
            starts = [start for start, *_ in phones]
            assert starts == sorted(starts) and starts[-1] + phones[-1][1] <= len(wave) / rate + 0.01
            for start, length, phone in phones:
                if length > 0.04:
                    middle = wave[int((start + length / 3) * rate) : int((start + 2 * length / 3) * rate)]
                    if phone in ("IY", "AA", "EY", "S", "T", "SIL"):
                        energies[phone not in ("T", "SIL", "S")].append(np.mean(middle**2))
    # vowels are louder than stops and sibilants only if the times are right
    assert len(energies[True]) > 100 and np.median(energies[True]) > 3 * np.median(energies[False])


def test_a_whole_corpus_is_not_made_again(corpus, monkeypatch):
    monkeypatch.setattr(build, "make_sets", lambda *args: pytest.fail("made again"))
    assert make_corpus(corpus, ["librispeech"], scale=TINY) == corpus / "meta.json"


def test_another_scale_or_a_foreign_folder_is_refused(corpus, tmp_path):
    with pytest.raises(UserError, match=r"scale 0.02.*scale 0.5.*is wanted"):
        make_corpus(corpus, ["librispeech"], scale=0.5)
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(UserError, match="not a mini corpus"):
        make_corpus(tmp_path, ["librispeech"])
    (tmp_path / "meta.json").write_text("[]")
    with pytest.raises(UserError, match="not the record of a mini corpus"):
        make_corpus(tmp_path, ["librispeech"])
    with pytest.raises(UserError, match="must be positive"):
        make_corpus(tmp_path / "new", ["librispeech"], scale=0)


class Bomb:
    """An item whose process dies when it is handed over."""

    path = "Second/lexicon.txt"
    speakers = ()

    def __reduce__(self):
        return os._exit, (7,)


def test_after_a_failure_the_next_call_goes_on_and_nothing_half_made_is_seen(tmp_path, monkeypatch):
    out = tmp_path / "corpus"
    good = Lexicon("Second/lexicon.txt", ("tree",))
    bad = Utterance("Second/a.wav", 0, "tree", Recording("room", snr=(20, 20)), language="xx")
    plans = {"esc50": SetPlan([Lexicon("First/lexicon.txt", ("tree",))])}
    monkeypatch.setattr(build, "plan_set", lambda name, scale: plans[name])
    for items, words in (([good, Bomb()], r"gtzan: .* died \(exit code 7\)"), ([good, bad], r"no voice 'xx\+")):
        plans["gtzan"] = SetPlan(items)
        with pytest.raises(UserError, match=words):
            make_corpus(out, ["esc50", "gtzan"], jobs=1)
        assert not (out / "Second").exists()
    stamp = (out / "First/lexicon.txt").stat().st_mtime_ns
    plans["gtzan"] = SetPlan([good], {"Second/b.txt": "b"})
    make_corpus(out, ["esc50", "gtzan"], jobs=1)
    assert sorted(json.loads((out / "meta.json").read_text())["sets"]) == ["esc50", "gtzan"]
    assert (out / "First/lexicon.txt").stat().st_mtime_ns == stamp
    assert sorted(path.name for path in (out / "Second").iterdir()) == ["b.txt", "lexicon.txt"]
    assert not (out / ".building").exists()
