"""`make translations`: bring the catalogs up to date with what the code and the templates say.

Words are taken from N_ and _ in Python and from templates, as `[tool.babel]` in pyproject.toml says, where also
`pybabel extract -F pyproject.toml -o words.pot .` finds it. What is new comes into each catalog empty, what is gone
leaves it. Another language begins as an empty folder `b24app/translations/<locale>/LC_MESSAGES`.
"""

import tomllib
from pathlib import Path

from babel.messages.catalog import Catalog, Message
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po, write_po

ROOT = Path(__file__).resolve().parent.parent
CATALOGS = ROOT / "b24app" / "translations"
KEYWORDS = {"N_": None, "_": None, "gettext": None, "ngettext": (1, 2)}
WIDTH = 120


def extracted() -> Catalog:
    """Everything the app can say, in the order of its files."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["babel"]
    methods = [(mapping["pattern"], mapping["method"]) for mapping in settings["mappings"]]
    found = extract_from_dir(ROOT, method_map=methods, keywords=KEYWORDS, directory_filter=_is_ours)
    words = Catalog(project="Sundown")
    for file, _line, text, comments, context in sorted(found, key=lambda each: (each[0], each[1])):
        words.add(text, locations=[(file, 0)], auto_comments=comments, context=context)
    return words


def _is_ours(folder: str | Path) -> bool:
    parts = Path(folder).absolute().relative_to(ROOT).parts  # node_modules may be a link to another place
    return not parts or parts[0] in ("b24app", "templates")


def catalog(file: Path) -> Catalog:
    """One language as it is kept."""
    locale = file.parts[-3]
    if not file.is_file():
        return Catalog(locale=locale, project="Sundown", fuzzy=False)
    with file.open("rb") as source:
        return read_po(source, locale=locale)


def missing(kept: Catalog) -> list[Message]:
    """What a catalog does not say yet."""
    texts = [(message, message.string) for message in kept if message.id]
    return [message for message, said in texts if not all(said if isinstance(said, tuple | list) else (said,))]


def main() -> None:
    """Bring each catalog up to date and tell what is missing in it."""
    words = extracted()
    for folder in sorted(CATALOGS.glob("*/LC_MESSAGES")):
        file = folder / "messages.po"
        kept = catalog(file)
        kept.update(words, no_fuzzy_matching=True, update_creation_date=False)
        kept.obsolete.clear()
        with file.open("wb") as target:
            write_po(target, kept, width=WIDTH, sort_by_file=True, include_lineno=False, ignore_obsolete=True)
        print(f"{folder.parent.name}: {len(kept)} texts, {len(missing(kept))} to be translated")


if __name__ == "__main__":
    main()
