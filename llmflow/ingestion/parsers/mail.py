"""Mail messages (EML)."""

from __future__ import annotations

from collections.abc import Iterator
from email import message_from_bytes, policy
from email.message import EmailMessage

from llmflow.ingestion.parsers.base import Content, Source
from llmflow.ingestion.parsers.decoding import decode
from llmflow.ingestion.parsers.html import parse_html
from llmflow.ingestion.parsers.text import paragraphs
from llmflow.schema import Element, ElementType, FailureReason

_HEADERS = ("From", "To", "Cc", "Date")


def parse(source: Source) -> Content:
    """Subject, header line and body of a message, and its attachments.

    Raises:
        DocumentError: malformed.
    """
    message = message_from_bytes(source.data, policy=policy.default)
    subject = _header(message, "Subject")
    headers = [f"{name}: {value}" for name in _HEADERS if (value := _header(message, name))]
    if not subject and not headers:
        raise source.error(FailureReason.MALFORMED, "has no mail headers; save the message again as EML")
    content = Content(title=subject)
    if subject:
        content.elements.append(Element(ElementType.TITLE, subject, level=1))
    if headers:
        content.elements.append(Element(ElementType.NARRATIVE_TEXT, "\n".join(headers)))
    body = message.get_body(("plain", "html"))
    if isinstance(body, EmailMessage):
        content.elements += _body(body)
    content.attachments += _attachments(message)
    return content


def _attachments(part: EmailMessage) -> Iterator[tuple[str, bytes]]:
    for inner in part.iter_parts() if part.get_content_maintype() == "multipart" else ():
        if not isinstance(inner, EmailMessage):
            continue
        name = " ".join((inner.get_filename() or "").split())
        if inner.get_content_type() == "message/rfc822":
            message = inner.get_payload(0)
            if isinstance(message, EmailMessage):
                yield name or "message.eml", message.as_bytes()
        elif name:
            yield name, _payload(inner)
        else:
            yield from _attachments(inner)


def _header(message: EmailMessage, name: str) -> str | None:
    # Broken headers raise all sorts of errors while they are read (email.headerregistry).
    try:
        value = message[name]
    except Exception:
        value = dict(message.raw_items()).get(name)
    return " ".join(str(value).split()) if value else None


def _payload(part: EmailMessage) -> bytes:
    payload = part.get_payload(decode=True)
    return payload if isinstance(payload, bytes) else b""


def _body(part: EmailMessage) -> list[Element]:
    text, _ = decode(_payload(part), part.get_content_charset())
    return parse_html(text).elements if part.get_content_subtype() == "html" else paragraphs(text)
