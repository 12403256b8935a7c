"""Two corpora of acted emotion: IEMOCAP (five sessions of a woman and a man) and CREMA-D.

Levels and spectral tilts are drawn per file independently of the emotion, and there is room noise before and after the
speech, so that the emotion is in the prosody and not in the mean spectrum.
"""

from mini_corpus.acoustics import Recording
from mini_corpus.dsp import choose, generator
from mini_corpus.items import Utterance
from mini_corpus.plan import SetPlan, lines_text, scaled
from mini_corpus.speakers import speaker
from mini_corpus.text import statement

IEMOCAP = "IEMOCAP_full_release"
CREMA_D = "CREMA-D"
# label in EmoEvaluation, and manner of speaking; the four-class task takes `exc` for `hap`, and drops `fru`, `xxx`
_LABELS = {"neu": "neutral", "hap": "happy", "exc": "happy", "ang": "angry", "sad": "sad", "fru": "frustrated",
           "xxx": "neutral"}
_VALENCE = {"neu": (3, 3, 3), "hap": (4, 3, 3), "exc": (4, 4, 3), "ang": (2, 4, 4), "sad": (2, 2, 2), "fru": (2, 3, 3),
            "xxx": (3, 3, 3)}
_CREMA_EMOTIONS = {"ANG": "angry", "DIS": "disgusted", "FEA": "fearful", "HAP": "happy", "NEU": "neutral", "SAD": "sad"}
_CREMA_SENTENCES = ("IEO", "TIE", "IOM", "IWW", "TAI", "MTI", "IWL", "ITH", "DFA", "ITS", "TSI", "WSI")
_ROUNDS = 3  # of the four emotions, for each actor in each dialogue


def plan_iemocap(scale: float) -> SetPlan:
    """Ten dialogues a session; in each both actors speak every emotion equally often, plus a few of other labels."""
    result = SetPlan()
    for session in range(1, 6):
        for k in range(scaled(10, scale, least=2)):
            _plan_dialog(result, session, f"Ses{session:02d}{'FM'[k % 2]}_impro{k // 2 + 1:02d}")
    return result


def _plan_dialog(result: SetPlan, session: int, name: str) -> None:
    lines = ["% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]", ""]
    clock = 5.0
    for gender, actor in (("F", 0), ("M", 1)):
        rng = generator("iemocap", name, gender)
        labels = [choose(rng, ("hap", "exc")) if label == "hap" else label
                  for _ in range(_ROUNDS) for label in rng.permutation(("neu", "hap", "ang", "sad"))]
        labels.insert(len(labels) // 2, choose(rng, ("fru", "xxx")))
        for turn, label in enumerate(labels):
            utterance = f"{name}_{gender}{turn:03d}"
            text = statement(rng)
            result.items.append(Utterance(
                f"{IEMOCAP}/Session{session}/sentences/wav/{name}/{utterance}.wav",
                speaker("iemocap", 2 * session + actor), text, _expressive(f"iemocap/{session}"), _LABELS[label]))
            end = clock + 0.5 * len(text.split())
            ratings = ", ".join(f"{value:.4f}" for value in _VALENCE[label])
            lines += [f"[{clock:.4f} - {end:.4f}]\t{utterance}\t{label}\t[{ratings}]", ""]
            clock = end + 1.0
    result.tables[f"{IEMOCAP}/Session{session}/dialog/EmoEvaluation/{name}.txt"] = lines_text(lines)


def plan_crema_d(scale: float) -> SetPlan:
    """Actors 1001 and up say five of the twelve sentences in each of the six emotions."""
    result = SetPlan()
    texts = {code: statement(generator("crema_d", code)) for code in _CREMA_SENTENCES}
    for k in range(scaled(20, scale, least=6)):
        rng = generator("crema_d", k)
        for code in rng.choice(_CREMA_SENTENCES, 5, replace=False):
            for label, emotion in _CREMA_EMOTIONS.items():
                result.items.append(Utterance(
                    f"{CREMA_D}/AudioWAV/{1001 + k}_{code}_{label}_XX.wav", speaker("crema_d", k), texts[str(code)],
                    _expressive(f"crema_d/{k}"), emotion))
    return result


def _expressive(session: str) -> Recording:
    return Recording(session, snr=(12, 30), tilt=(-10, 10), margin=(0.05, 0.5), gain=(0.25, 2.0))
