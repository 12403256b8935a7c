"""VoxCeleb1: `{dev,test}/wav/id10001/VIDEO/00001.wav` and the identification split `iden_split.txt`."""

from mini_corpus.acoustics import Recording
from mini_corpus.dsp import generator
from mini_corpus.items import Utterance
from mini_corpus.layouts.names import youtube_id
from mini_corpus.plan import SetPlan, lines_text, scaled
from mini_corpus.speakers import speaker
from mini_corpus.text import sentence

ROOT = "VoxCeleb1"
_TRAIN, _VALID, _TEST = 1, 2, 3
_VIDEOS = (_TRAIN,) * 4 + (_VALID,) + (_TEST,) * 3  # the part of each of a speaker's videos
_UTTERANCES = {_TRAIN: 4, _VALID: 3, _TEST: 12}


def plan(scale: float) -> SetPlan:
    """Parts share speakers but no video, and each video has its own room, microphone and noise.

    The microphones are poor: the mean spectrum depends on the video as much as on the speaker.
    """
    result = SetPlan()
    split = []
    for k in range(scaled(32, scale, least=4)):
        folder = "test" if k % 8 == 7 else "dev"  # the verification split by speaker, unused in identification
        for v, part in enumerate(_VIDEOS):
            video = youtube_id("voxceleb", k, v)
            how = Recording(session=f"voxceleb/{k}/{v}", snr=(2, 18), tilt=(-8, 8), colour=6.0)
            for u in range(1, _UTTERANCES[part] + 1):
                path = f"id{10001 + k}/{video}/{u:05d}.wav"
                split.append(f"{part} {path}")
                text = sentence(generator("voxceleb", path))
                result.items.append(Utterance(f"{ROOT}/{folder}/wav/{path}", speaker("voxceleb", k), text, how))
    result.tables[f"{ROOT}/iden_split.txt"] = lines_text(split)
    return result
