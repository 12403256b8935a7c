"""ESC-50 (`audio/1-10000-A-0.wav`, `meta/esc50.csv`) and UrbanSound8K (`audio/foldN/`, `metadata/UrbanSound8K.csv`)."""

from mini_corpus.dsp import choose, generator
from mini_corpus.items import Scene, Source
from mini_corpus.music import GENRES
from mini_corpus.plan import SetPlan, csv_text, scaled
from mini_corpus.sounds import SOUNDS

ESC_50 = "ESC-50"
URBANSOUND8K = "UrbanSound8K"
_ESC_CLASSES = (
    "dog_bark", "cat", "frog", "rain", "sea_waves", "wind", "crackling_fire", "crickets", "chirping_birds",
    "water_drops", "clapping", "footsteps", "door_knock", "keyboard_typing", "clock_tick", "vacuum_cleaner", "siren",
    "church_bells", "helicopter", "glass_breaking",
)
_URBAN_CLASSES = (
    "air_conditioner", "car_horn", "children_playing", "dog_bark", "drilling", "engine_idling", "gun_shot",
    "jackhammer", "siren", "street_music",
)


def plan_esc50(scale: float) -> SetPlan:
    """Twenty classes of 5-second clips in five folds, each clip with a second sound in the background."""
    result = SetPlan()
    rows = []
    for target, category in enumerate(_ESC_CLASSES):
        for i in range(scaled(15, scale, least=5)):
            fold, source = i % 5 + 1, 10000 + 100 * target + i
            name = f"{fold}-{source}-A-{target}.wav"
            rows.append((name, fold, target, category, False, source, "A"))
            sources = (Source("sound", category), _other_sound("esc50", name))
            result.items.append(Scene(f"{ESC_50}/audio/{name}", sources, 5.0, background=(-2, 18)))
    header = ("filename", "fold", "target", "category", "esc10", "src_file", "take")
    result.tables[f"{ESC_50}/meta/esc50.csv"] = csv_text(header, rows)
    return result


def plan_urbansound8k(scale: float) -> SetPlan:
    """Ten classes of clips of 1 to 4 seconds in ten folds."""
    result = SetPlan()
    rows = []
    for target, category in enumerate(_URBAN_CLASSES):
        for i in range(scaled(20, scale, least=10)):
            fold, source = i % 10 + 1, 20000 + 1000 * target + i
            name = f"{source}-{target}-0-0.wav"
            rng = generator("urbansound8k", name)
            seconds = round(rng.uniform(1, 4), 3)
            rows.append((name, source, 0.0, seconds, 1, fold, target, category))
            music = category == "street_music"
            first = Source("music", choose(rng, list(GENRES))) if music else Source("sound", category)
            sources = (first, _other_sound("urbansound8k", name))
            path = f"{URBANSOUND8K}/audio/fold{fold}/{name}"
            result.items.append(Scene(path, sources, seconds, background=(-6, 12)))
    header = ("slice_file_name", "fsID", "start", "end", "salience", "fold", "classID", "class")
    result.tables[f"{URBANSOUND8K}/metadata/UrbanSound8K.csv"] = csv_text(header, rows)
    return result


def _other_sound(*key: str) -> Source:
    return Source("sound", choose(generator("background", *key), list(SOUNDS)))
