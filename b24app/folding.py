"""Words as people look for them and put them in order: without regard to case, accents, width or composition.

`é` is found by `e`, decomposed or not, `İ` and `ı` by `i`, `ё` by `е`, full-width letters by plain ones. Marks that
make another letter in its own alphabet stay: `й` is no `и`. Source: the Unicode Standard, annex 15, and case folding.
"""

import re
import unicodedata

NUMBERS = re.compile(r"([0-9]{1,18})")
MARKS = range(0x300, 0x370)  # the combining marks of Latin, Greek and Cyrillic; other scripts spell with theirs
BREVE = "\u0306"
CYRILLIC = range(0x400, 0x530)
DOTLESS = str.maketrans({"ı": "i"})
INVISIBLE = frozenset({"Cf", "Cc", "Zs", "Zl", "Zp", "Cn"})


def fold(text: str) -> str:
    """What is compared instead of the text."""
    if text.isascii():
        return text.lower()
    kept: list[str] = []
    for sign in unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", text).casefold()):
        if ord(sign) in MARKS:
            if sign == BREVE and kept and ord(kept[-1]) in CYRILLIC:
                kept.append(sign)
        elif unicodedata.category(sign) != "Cf":  # soft hyphens, joiners: nobody types them
            kept.append(sign)
    return unicodedata.normalize("NFC", "".join(kept)).translate(DOTLESS)


def in_order(text: str) -> tuple[str | int, ...]:
    """A key to sort by: as `fold`, and numbers by their size, so that "Page 2" comes before "Page 10"."""
    return tuple(int(part) if part.isascii() and part.isdigit() else part for part in NUMBERS.split(fold(text.strip())))


def is_blank(text: str) -> bool:
    """Whether there is nothing to see in it."""
    return all(unicodedata.category(sign) in INVISIBLE for sign in text)
