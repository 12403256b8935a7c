"""Spoken languages after VoxForge: `VoxForge/LANGUAGE/SPEAKER/wav/00.wav`, and a split table of our own."""

from mini_corpus.acoustics import Recording
from mini_corpus.dsp import choose, generator
from mini_corpus.items import Utterance
from mini_corpus.plan import SetPlan, csv_text, scaled
from mini_corpus.speakers import speaker

ROOT = "VoxForge"
# subjects, predicates and endings, freely combined
_GRAMMARS = {
    "de": (("der alte Lehrer", "meine Schwester", "das kleine Kind", "unser Nachbar", "die junge Frau"),
           ("kauft frisches Brot", "liest ein Buch", "sucht den Schlüssel", "hört leise Musik", "öffnet das Fenster"),
           ("am frühen Morgen", "in der Küche", "auf dem Markt", "nach der Arbeit", "vor dem großen Haus")),
    "en": (("the old teacher", "my sister", "the little child", "our neighbour", "the young woman"),
           ("buys fresh bread", "reads a book", "looks for the key", "hears quiet music", "opens the window"),
           ("early in the morning", "in the kitchen", "at the market", "after work", "before the large house")),
    "es": (("el viejo maestro", "mi hermana", "el niño pequeño", "nuestro vecino", "la mujer joven"),
           ("compra pan fresco", "lee un libro", "busca la llave", "escucha música suave", "abre la ventana"),
           ("por la mañana", "en la cocina", "en el mercado", "después del trabajo", "delante de la casa grande")),
    "fr": (("le vieux professeur", "ma soeur", "le petit enfant", "notre voisin", "la jeune femme"),
           ("achète du pain frais", "lit un livre", "cherche la clé", "écoute de la musique", "ouvre la fenêtre"),
           ("tôt le matin", "dans la cuisine", "au marché", "après le travail", "devant la grande maison")),
    "it": (("il vecchio maestro", "mia sorella", "il piccolo bambino", "il nostro vicino", "la giovane donna"),
           ("compra il pane fresco", "legge un libro", "cerca la chiave", "ascolta la musica", "apre la finestra"),
           ("la mattina presto", "nella cucina", "al mercato", "dopo il lavoro", "davanti alla grande casa")),
    "ru": (("старый учитель", "моя сестра", "маленький ребёнок", "наш сосед", "молодая женщина"),
           ("покупает свежий хлеб", "читает книгу", "ищет ключ", "слушает тихую музыку", "открывает окно"),
           ("рано утром", "на кухне", "на рынке", "после работы", "перед большим домом")),
}
_PARTS = (("train", 8), ("valid", 2), ("test", 4))  # speakers of each language at scale 1


def plan(scale: float) -> SetPlan:
    """Six languages, parts without a common speaker; a speaker says seven sentences in one language."""
    result = SetPlan()
    rows = []
    k = 0
    for language, grammar in _GRAMMARS.items():
        for part, speakers in _PARTS:
            for _ in range(scaled(speakers, scale)):
                how = Recording(session=f"voxforge/{k}", snr=(8, 30), tilt=(-6, 6))
                for u in range(7):
                    rng = generator("voxforge", k, u)
                    text = " ".join(choose(rng, phrases) for phrases in grammar)
                    path = f"{language}/speaker{k:04d}/wav/{u:02d}.wav"
                    rows.append((path, language, part))
                    result.items.append(
                        Utterance(f"{ROOT}/{path}", speaker("voxforge", k), text, how, language=language))
                k += 1
    result.tables[f"{ROOT}/voxforge.csv"] = csv_text(("file_name", "label", "split"), rows)
    return result
