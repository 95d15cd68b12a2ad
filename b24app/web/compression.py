"""Fewer bytes on the wire: built files come in the form the build made beside them, answers are packed as they leave.

An answer that carries a session token is sent as it is. How well a body packs tells an eavesdropper how alike its parts
are (BREACH), so a secret must not be packed together with what somebody else chose, such as a portal's name. Nobody
can make a browser ask in a person's name here (there is no cookie), which that attack needs; the four answers with a
token are left out all the same, since they are small. A renewed token travels in a header, which is never packed.

The standard library's gzip is all it takes. Source: breachattack.com; RFC 9110, sections on content codings.
"""

import zlib
from collections.abc import Iterable, Iterator
from contextlib import suppress
from mimetypes import guess_type

from flask import Flask, Response, g, request, send_from_directory
from werkzeug.exceptions import NotFound

PACKED_TYPES = frozenset(
    {"text/html", "text/csv", "text/calendar", "text/plain", "application/json", "application/problem+json"}
)
SMALL = 1024  # bytes; below it a packet is a packet
LEVEL = 9
GZIP = 16 + zlib.MAX_WBITS
FLUSH_BYTES = 64 * 1024  # of a stream: who waits for rows gets some
BUILT_FORMS = (("br", ".br"), ("gzip", ".gz"))  # the build's, best first


class CompressingFlask(Flask):
    """Flask, whose static files are served in the best form that the build made and the browser takes."""

    def send_static_file(self, filename: str) -> Response:
        """A built file; werkzeug's NotFound when there is none."""
        folder, kind = str(self.static_folder), guess_type(filename)[0]
        answer = None
        for coding, ending in BUILT_FORMS:
            if answer is None and request.accept_encodings.quality(coding) > 0:
                with suppress(NotFound):
                    answer = send_from_directory(folder, filename + ending, mimetype=kind)
                    answer.headers["Content-Encoding"] = coding
        answer = answer or send_from_directory(folder, filename)
        answer.vary.add("Accept-Encoding")
        return answer


def leave_as_it_is() -> None:
    """The answer to this request holds a secret: do not pack it."""
    g.holds_secret = True


def pack(answer: Response) -> Response:
    """The answer in gzip where the client takes it and it is worth it."""
    if answer.mimetype not in PACKED_TYPES or g.get("holds_secret"):
        return answer
    answer.vary.add("Accept-Encoding")
    if request.accept_encodings.quality("gzip") <= 0 or "Content-Encoding" in answer.headers:
        return answer
    if answer.is_streamed:
        answer.response = _packed(answer.response)
        answer.headers.pop("Content-Length", None)
    elif answer.content_length is None or answer.content_length >= SMALL:
        whole = answer.get_data()
        if len(whole) < SMALL:
            return answer
        packer = zlib.compressobj(LEVEL, wbits=GZIP)
        answer.set_data(packer.compress(whole) + packer.flush())
    else:
        return answer
    answer.headers["Content-Encoding"] = "gzip"
    return answer


def _packed(pieces: Iterable[str | bytes]) -> Iterator[bytes]:
    """A stream in gzip; it ends the one below when it is ended."""
    packer, held = zlib.compressobj(LEVEL, wbits=GZIP), 0
    try:
        for piece in pieces:
            part = piece.encode() if isinstance(piece, str) else piece
            held += len(part)
            small = packer.compress(part)
            if held >= FLUSH_BYTES:
                small, held = small + packer.flush(zlib.Z_SYNC_FLUSH), 0
            if small:
                yield small
        yield packer.flush()
    finally:
        if (close := getattr(pieces, "close", None)) is not None:
            close()
