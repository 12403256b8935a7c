"""espeak-ng's phoneme mnemonics as ARPAbet: pronunciations with stress, and phone times."""

SILENCE = "SIL"
VOWELS = frozenset(("AA", "AE", "AH", "AO", "AW", "AY", "EH", "ER", "EY", "IH", "IY", "OW", "OY", "UH", "UW"))

# ARPAbet sequence: espeak-ng's mnemonics (English voices) that stand for it
_TABLE = {
    "AA": "A: A 0 A@ A:r", "AE": "a aa", "AH": "V @ @2 @5 a# I2# 0#", "AO": "O: O O2 0r",
    "AW": "aU", "AY": "aI aI2", "EH": "E e E2", "ER": "3: @r @-r 3 VR", "EY": "eI e:", "IH": "I I2 i2 I#", "IY": "i: i",
    "OW": "oU o", "OY": "OI", "UH": "U", "UW": "u: u",
    "B": "b", "CH": "tS", "D": "d d#", "DH": "D", "F": "f", "G": "g", "HH": "h", "JH": "dZ", "K": "k", "L": "l l#",
    "M": "m m-", "N": "n n-", "NG": "N", "P": "p", "R": "r r-", "S": "s", "SH": "S", "T": "t t2 t# ? *", "TH": "T t[",
    "V": "v", "W": "w w#", "Y": "j", "Z": "z z#", "ZH": "Z",
    "AA R": "A@", "AO R": "O@ o@", "EH R": "e@", "IH R": "i@3", "UH R": "U@", "IY AH": "i@", "AY AH": "aI@",
    "AY ER": "aI3", "AH L": "@L", "AH N": "@n",
}
ARPABET = {mnemonic: phones.split() for phones, mnemonics in _TABLE.items() for mnemonic in mnemonics.split()}
_STRESS = {"'": "1", ",": "2"}
_PAUSES = ("_", "_:", "_|", "_!")
_LENGTHENINGS = ("", ";", ":", "-", "|", "_^_")


def arpabet(mnemonic: str) -> list[str]:
    """ARPAbet of one mnemonic, the stress digit on its first vowel; empty for marks that only lengthen a phone.

    Raises `KeyError` for a mnemonic that no English voice of the mini corpus uses.
    """
    bare = mnemonic.strip("',%=")
    if bare in _PAUSES:
        return [SILENCE]
    if bare in _LENGTHENINGS:
        return []
    stress = _STRESS.get(mnemonic[0], "0")
    phones = []
    for phone in ARPABET[bare]:
        if phone in VOWELS:
            phones.append(phone + stress)
            stress = "0"
        else:
            phones.append(phone)
    return phones


def timed_phones(events: list[tuple[float, str]]) -> list[tuple[float, float, str]]:
    """(start, duration, phone) in seconds from (start, mnemonic); the last event only marks the end."""
    found: list[tuple[float, str]] = []
    for k, (start, mnemonic) in enumerate(events[:-1]):
        phones = arpabet(mnemonic)
        step = (events[k + 1][0] - start) / max(1, len(phones))
        found += [(start + j * step, phone) for j, phone in enumerate(phones)]
    ends = [start for start, _ in found[1:]] + [events[-1][0]]
    return [(start, end - start, phone) for (start, phone), end in zip(found, ends, strict=True) if end > start]


def pronunciation(events: list[tuple[float, str]]) -> list[str]:
    """The phones of an isolated word, with at least one primary stress and without silence."""
    phones = [phone for _, mnemonic in events for phone in arpabet(mnemonic) if phone != SILENCE]
    if not any(phone.endswith("1") for phone in phones):
        first = next(k for k, phone in enumerate(phones) if phone[-1].isdigit())
        phones[first] = phones[first][:-1] + "1"
    return phones
