"""Which pages are at the addresses that somebody has pasted.

The lists that are read anyway know the address of each page, so most are found without asking. What they do not know
(an address from before a page was renamed, a page made a moment ago) is asked of the portal, in batches; what it
answers counts only if the person's own list has that page, for it tells of pages they may not read, too (section 14.4).
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from urllib.parse import unquote, urlsplit

from b24app.bitrix import landing
from b24app.bitrix.rest import Command
from b24app.clock import Clock
from b24app.domain import N_, Actor, Kind, read_id
from b24app.errors import AccessDenied
from b24app.pages.lists import BATCH, Page, PageList, Pages
from b24app.tokens.user_tokens import Tokens

NOT_AN_ADDRESS = N_("This is not the address of a page.")
NO_SITE = N_("No site that you can see has this address.")
NO_PAGE = N_("There is no page at this address, or you have no access to it.")
IN_TEXT = re.compile(r"https?://\S+", re.IGNORECASE)
BULLET = re.compile(r"^\s*(?:[-–—*•·]|\d{1,3}[.)])\s+")  # of a list in a mail
ROUND_IT = "<>()[]{}\"'«»„“”‚‘’.,;| "
EDITOR = re.compile(r"/site/[0-9]{1,18}/view/([0-9]{1,18})/?", re.ASCII)
LONGEST = 2000


@dataclass(frozen=True)
class Finding:
    """What was found at one address: a page, or why there is none."""

    address: str
    page: Page | None = None
    why: str | None = None


@dataclass(frozen=True)
class Address:
    """An address taken apart: `host` with its port, without `www.`; `path` as it was written; `key` is what counts."""

    host: str
    path: str

    @property
    def key(self) -> tuple[str, str]:
        """The same for every way to write it."""
        return self.host, _plain(self.path)


@dataclass(frozen=True)
class Place:
    """Where a site begins."""

    kind: Kind
    site_id: int
    path: str


class PageFinder:
    """Finds pages by their addresses."""

    def __init__(self, pages: Pages, tokens: Tokens, clock: Clock) -> None:
        self._pages = pages
        self._tokens = tokens
        self._clock = clock

    def find(self, actor: Actor, addresses: Sequence[str]) -> list[Finding]:
        """What is at each address, in their order, an address only once. Raises a PortalError.

        addresses  as people paste them: with or without scheme, among other words, or that of the editor
        """
        began = self._clock()
        asked = {sent: read_address(sent) for sent in dict.fromkeys(addresses)}
        known: dict[str, Page] = {}
        lists: list[PageList] = []
        for kind in Kind:
            missing = [sent for sent, address in asked.items() if address and sent not in known]
            if not any(_may_be_in(kind, asked[sent], actor) for sent in missing):
                continue
            if (listed := self._list(actor, kind)) is not None:
                lists.append(listed)
                known |= _in_list(listed, {sent: asked[sent] for sent in missing}, actor)
        rest = {sent: address for sent, address in asked.items() if address and sent not in known}
        places = _places(lists)
        known |= self._asked(actor, rest, places, lists, began)
        return [
            Finding(sent, known.get(sent), None if sent in known else _why(address, places))
            for sent, address in asked.items()
        ]

    def _list(self, actor: Actor, kind: Kind) -> PageList | None:
        """None where the portal refuses the person a whole kind."""
        try:
            return self._pages.all_of(actor, kind)
        except AccessDenied:
            return None

    def _asked(
        self, actor: Actor, rest: Mapping[str, Address], places: Mapping[str, list[Place]], lists: list[PageList],
        began: datetime,
    ) -> dict[str, Page]:  # fmt: skip
        """Pages of which the portal knows under another address, as far as the person's own lists have them."""
        asked = {sent: list(_commands(address, places)) for sent, address in rest.items()}
        commands = {
            f"{at}_{n}": (sent, place.kind, command)
            for at, (sent, each) in enumerate(asked.items())
            for n, (place, command) in enumerate(each)
        }
        lids: dict[str, tuple[Kind, int]] = {}
        left = iter(commands.items())
        while group := dict(islice(left, BATCH)):
            answers = self._tokens.batch(actor.user, {key: command for key, (_, _, command) in group.items()})
            for key, answer in answers.items():
                sent, kind, _ = group[key]
                if (lid := landing.read_page_at(answer)) is not None:
                    lids.setdefault(sent, (kind, lid))
        return self._readable(actor, lids, lists, began)

    def _readable(
        self, actor: Actor, lids: Mapping[str, tuple[Kind, int]], lists: list[PageList], began: datetime
    ) -> dict[str, Page]:
        """The pages as the person's lists have them; a list from before this question is read anew for one it lacks."""
        mine = {page.lid: page for listed in lists for page in listed.pages}
        lacking = {kind for kind, lid in lids.values() if lid not in mine}
        if lacking and any(listed.read_at < began for listed in lists):
            self._pages.forget(actor)
            for kind in lacking:
                mine |= self._pages.all_of(actor, kind).by_lid()
        return {sent: mine[lid] for sent, (_, lid) in lids.items() if lid in mine}


def read_address(sent: str) -> Address | None:
    """An address among what somebody pasted; None where there is none."""
    found = IN_TEXT.search(sent)
    text = (found[0] if found else BULLET.sub("", sent)).strip(ROUND_IT)
    if not text or len(text) > LONGEST or len(text.split()) > 1:
        return None
    try:
        parts = urlsplit(text if found else f"https://{text.removeprefix('//')}")
        host, port = parts.hostname, parts.port
    except ValueError:
        return None
    if not host or not ("." in host or port):
        return None
    return Address(_host(host, port), parts.path)


def _host(name: str, port: int | None) -> str:
    """The host in plain letters (IDNA), without `www.` and a port that goes without saying."""
    try:
        plain = name.encode("idna").decode("ascii")
    except UnicodeError:
        plain = name
    return plain.removeprefix("www.") + (f":{port}" if port not in (None, 80, 443) else "")


def _plain(path: str) -> str:
    """A path however it was written: decoded, without the last slash and an index file, in small letters."""
    parts = [part for part in unquote(path).lower().split("/") if part]
    if parts and parts[-1] in ("index.php", "index.html"):
        parts.pop()
    return "/" + "/".join(parts)


def _may_be_in(kind: Kind, address: Address | None, actor: Actor) -> bool:
    """Knowledge bases and the main page have no domains of their own, so they are only on the portal's."""
    return address is not None and (kind is Kind.PAGE or address.host == _own_host(actor))


def _own_host(actor: Actor) -> str:
    name, _, port = actor.domain.partition(":")
    return _host(name, int(port) if port.isascii() and port.isdigit() else None)


def _in_list(listed: PageList, asked: Mapping[str, Address | None], actor: Actor) -> dict[str, Page]:
    """Of these addresses those that the list knows, or that name a page of it in the portal's editor."""
    by_key: dict[tuple[str, str], Page] = {}
    for page in listed.pages:
        if page.url and (address := read_address(page.url)):
            by_key.setdefault(address.key, page)
    by_lid = listed.by_lid()
    found = {}
    for sent, address in asked.items():
        if address is None:
            continue
        editor = EDITOR.search(address.path) if address.host == _own_host(actor) else None
        lid = read_id(editor[1]) if editor else None
        if (named := by_key.get(address.key) or by_lid.get(lid or 0)) is not None:
            found[sent] = named
    return found


def _places(lists: Iterable[PageList]) -> dict[str, list[Place]]:
    """Where sites begin, by host, as far as the addresses of their pages tell: at their main page, or above another."""
    begins: dict[tuple[str, Kind, int], str] = {}
    for page in (page for listed in lists for page in listed.pages):
        address = read_address(page.url) if page.url else None
        if address is None or (page.folder_id is not None and not page.main):
            continue
        path = _plain(address.path) if page.main else _plain(address.path.rstrip("/").rpartition("/")[0])
        key = (address.host, page.kind, page.site_id)
        begins[key] = min(begins.get(key, path), path, key=len)
    places: dict[str, list[Place]] = {}
    for (host, kind, site_id), path in begins.items():
        places.setdefault(host, []).append(Place(kind, site_id, path))
    return places


def _commands(address: Address, places: Mapping[str, list[Place]]) -> Iterator[tuple[Place, Command]]:
    """What to ask about one address: of the site whose beginning is nearest to it, of each where several share it."""
    path = _plain(address.path)
    around = [each for each in places.get(address.host, ()) if f"{path}/".startswith(f"{each.path.rstrip('/')}/")]
    nearest = max((len(each.path) for each in around), default=0)
    for place in around:
        if len(place.path) == nearest:
            depth = len([part for part in place.path.split("/") if part])
            rest = [part for part in address.path.split("/") if part][depth:]
            yield place, landing.page_at(place.kind, place.site_id, "/" + "".join(f"{part}/" for part in rest))


def _why(address: Address | None, places: Mapping[str, list[Place]]) -> str:
    if address is None:
        return NOT_AN_ADDRESS
    return NO_PAGE if address.host in places else NO_SITE
