"""EML: an encoded Korean mail from headers, a blank line and the text."""

from __future__ import annotations

from email import message_from_string
from email.message import EmailMessage
from email.policy import SMTP
from pathlib import Path


def write_eml(path: Path, source: Path) -> None:
    """Write the mail in ``source`` as a mail server would: MIME, UTF-8, base64."""
    plain = message_from_string(source.read_text(encoding="utf-8"))
    mail = EmailMessage(policy=SMTP)
    for name, value in plain.items():
        mail[name] = value
    mail.set_content(plain.get_payload(), cte="base64")
    path.write_bytes(mail.as_bytes())
