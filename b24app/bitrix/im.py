"""Notices under a person's bell: what is sent, and what foreign text may not do in it. Pure functions.

Page titles and people's names are foreign text: whoever writes one must not put links, quotes or pictures into a notice
of ours. Source: notification docs; message formatting (formats of moments); the im module's source (HTML tags become
codes, addresses become links); docs/bitrix24.md, sections 12.1 to 12.5.
"""

import re
from datetime import datetime
from urllib.parse import quote, urlsplit
from uuid import UUID

ADD, DELETE = "im.notify.system.add", "im.notify.delete"
SUB_TAG, SUMMARY = "sundown", "summary"
LONGEST = 120  # of a foreign text; a title may have 255 characters
LOOK_ALIKE = str.maketrans({"[": "(", "]": ")", "<": "‹", ">": "›", "&": "＆"})  # codes, tags, entities, `>>` quotes
UNSEEN = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\u200b]+")  # lines and directions, too
ADDRESS = re.compile(r"(?<=\w)(://|\.(?=\w))")  # what a messenger makes a link of


def harmless(text: str) -> str:
    """Foreign text as plain letters on one line, cut where it is long."""
    plain = " ".join(UNSEEN.sub(" ", text).translate(LOOK_ALIKE).split())
    plain = plain if len(plain) <= LONGEST else f"{plain[: LONGEST - 1]}…"
    return ADDRESS.sub(lambda found: f"{found[0]}\u2060" if found[0] == "." else ": //", plain)


def moment(at: datetime) -> str:
    """A moment as each reader's own zone and language write it: day and time."""
    seconds = int(at.timestamp())
    return f"[timestamp={seconds} format=DAY_MONTH_FORMAT], [timestamp={seconds} format=SHORT_TIME_FORMAT]"


def path(client_id: str, run: UUID | None) -> str:
    """Where in the portal the app opens, on this run or as usual."""
    return f"/marketplace/app/{quote(client_id, safe='')}/{f'?run={run}' if run else ''}"


def link(client_id: str, run: UUID | None, words: str) -> str:
    """The words as a link that opens the app in the portal."""
    return f"[url={path(client_id, run)}]{words}[/url]"


def address(client_endpoint: str, client_id: str, run: UUID | None) -> str:
    """The same for a mail: with the portal's own address in front."""
    portal = urlsplit(client_endpoint)
    return f"{portal.scheme}://{portal.netloc}{path(client_id, run)}"


def tag(run: UUID | None) -> str:
    """What a later notice replaces an earlier one by: one a run and person, and one summary."""
    return f"run-{run}" if run else SUMMARY


def add(user_id: int, message: str, mail: str, run: UUID | None) -> dict[str, object]:
    """Parameters of ADD."""
    return {"USER_ID": user_id, "MESSAGE": message, "MESSAGE_OUT": mail, "TAG": tag(run), "SUB_TAG": SUB_TAG}


def was_taken(result: object) -> bool:
    """An id, or a time where the person keeps no notices; `false` for somebody who is not there."""
    return isinstance(result, int | str) and not isinstance(result, bool) and str(result).isdigit() and int(result) > 0
