"""File names that come from outside."""

from __future__ import annotations

import mimetypes
import re
import unicodedata
from email.message import Message
from email.utils import collapse_rfc2231_value
from urllib.parse import unquote

_LONGEST = 200
_INVISIBLE = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Control characters, marks of writing direction, half characters, line breaks."""


def clean_name(name: str) -> str:
    """The last component of ``name`` without what cannot be seen, composed (NFC); empty where nothing is left.

    A name longer than 200 characters loses its beginning, so that its extension stays.
    """
    last = re.split(r"[/\\]", name)[-1]
    visible = "".join(each for each in last if unicodedata.category(each) not in _INVISIBLE)
    composed = unicodedata.normalize("NFC", visible).strip()
    return "" if composed.strip(".") == "" else composed[-_LONGEST:].strip()


def name_of(path: str, disposition: bytes, mime_type: str) -> str:
    """The name of a download: its Content-Disposition's, else the last component of its URL's path.

    A name without an extension that is known gets its type's.
    """
    name = clean_name(_filename(disposition)) or clean_name(unquote(path)) or "index"
    if mimetypes.guess_type(name)[0] is None and mime_type != "application/octet-stream":
        name += mimetypes.guess_extension(mime_type) or ""
    return name


def _filename(disposition: bytes) -> str:
    """``filename*``, else ``filename`` (RFC 6266), which servers also send as raw bytes or percent-encoded."""
    message = Message()
    message["Content-Disposition"] = _text(disposition)
    parameters = message.get_params([], "content-disposition")
    found = [value for key, value in parameters if key.lower() == "filename"]
    if not found:
        return ""
    encoded = next((value for value in found if isinstance(value, tuple)), None)
    if encoded is not None:
        return collapse_rfc2231_value(encoded)
    try:
        return unquote(found[0], errors="strict")
    except UnicodeDecodeError:
        return str(found[0])


def _text(header: bytes) -> str:
    for encoding in ("utf-8", "cp949"):
        try:
            return header.decode(encoding)
        except UnicodeDecodeError:
            continue
    return header.decode("latin-1")
