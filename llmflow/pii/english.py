"""Names and postal addresses in English text, where the text itself says what they are.

There is no list of given names here: a name counts behind a title, a label or a greeting,
before a verb of people, or in a signature.
"""

from __future__ import annotations

from llmflow.pii.identifiers import Identifier

_WORD = r"\p{Lu}[\p{L}'’-]*\p{Ll}[\p{L}'’-]*"
_MORE = rf"[ ](?:\p{{Lu}}\.|(?:(?:de|da|del|van|von|der|den|bin|al|la|le)[ ])?{_WORD})"
_NAME = rf"{_WORD}(?:{_MORE}){{0,3}}(?!\p{{L}})"
_FULL_NAME = rf"{_WORD}(?:{_MORE}){{1,3}}(?!\p{{L}})"
_NOBODY = (
    r"(?!(?:The|This|That|All|Sir|Madam|Team|Customer|Colleagues?|Friends?|Everyone|Staff|Human|Dear|Hiring|Valued|Section"
    r"|Article|Part|Please|Korean?|American|Chinese|Japanese|English|Not|None|Unknown)\b)"
)
_TITLE = r"(?:Mr|Mrs|Ms|Miss|Mx|Dr|Prof|Professor|Doctor|Sir|Dame|Judge|Justice|Senator|Captain|Rev|Hon)"
_LABEL = (
    r"(?:[Nn]ame|NAME|Contact|Employee|Applicant|Patient|Customer|Claimant|Attn|Attention|Signed|Signature|Author|Manager"
    r"|Supervisor|Beneficiary|Cardholder|Account holder|Tenant|Landlord|Borrower|Insured|Guardian|Emergency contact"
    r"|(?:Prepared|Approved|Reviewed|Requested|Submitted|Written) by)"
)
_VERB = (
    r"(?:lives?|lived|said|says|wrote|writes|works|worked|joined|resigned|retired|told|asked|explained|shouted|replied"
    r"|moved to|was born|was hired|has been employed|reported|called|signed|and (?:his|her) (?:wife|husband))\b"
)
_POST = r"(?:C[ETFO]O|Ph\.?D|M\.?D|Esq|Jr|Sr|[Mm]anager|[Dd]irector|[Ee]ngineer|[Pp]resident|[Aa]nalyst|[Cc]hair)\b"
_CLOSING = r"(?:[Ss]incerely|[Rr]egards|[Bb]est|Thanks|Thank you|Cheers|[Yy]ours truly)(?: yours)?"
_KOREAN_SURNAME = (
    r"(?:Kim|Lee|Yi|Park|Pak|Choi|Choe|Jung|Jeong|Chung|Kang|Cho|Jo|Yoon|Yun|Jang|Chang|Lim|Im|Han|Oh|Seo|Suh|Shin|Sin|Kwon"
    r"|Hwang|Ahn|An|Song|Ryu|Yoo|Yu|Hong|Jeon|Ko|Go|Moon|Mun|Yang|Son|Bae|Baek|Paik|Heo|Huh|Nam|Shim|Noh|Roh|Ha|Kwak|Sung|Cha"
    r"|Joo|Ju|Woo|Koo|Ku|Min|Na|Jin|Ji|Um|Chae|Won|Bang|Gong|Hyun|Ham|Yeo|Choo|Do|So|Seok|Sun|Ma|Gil|Pyo|Myung|Ki|Wang|Ok)"
)
_KOREAN_GIVEN = r"[A-Z][a-z]{1,5}-[A-Za-z][a-z]{1,5}"

_STREET = (
    r"(?:Street|St|Avenue|Ave|Road|Rd|Boulevard|Blvd|Lane|Ln|Drive|Dr|Court|Ct|Way|Place|Pl|Square|Sq|Terrace|Ter|Highway|Hwy"
    r"|Parkway|Pkwy|Circle|Cir|Trail|Close|Crescent|Mews|Alley|Plaza)\b\.?"
)
_ROOM = r"(?:(?:Apt|Apartment|Suite|Ste|Unit|Floor|Room|Rm)\b\.?\s?#?\s?\w{1,6}|#\s?\d{1,5}\w?)"
_POSTCODE = r"(?:[A-Z]{2}\s\d{5}(?:-\d{4})?|[A-Z]{1,2}\d{1,2}[A-Z]?\s\d[A-Z]{2})(?!\w)"
_CITY = rf"[,\s]\s?\p{{Lu}}[\p{{L}}.'’-]+(?:\s\p{{Lu}}[\p{{L}}.'’-]+){{0,2}},?\s{_POSTCODE}"
_WORDS = r"(?:[\p{Lu}\d][\p{L}\d'’.-]*[ ]){1,4}"


def _behind(before: str, name: str, after: str = "") -> str:
    return rf"(?=\p{{Lu}})(?<={before}){_NOBODY}{name}{after}"


ENGLISH = (
    Identifier(
        "PERSON",
        r"[A-Z]",
        (
            (_behind(rf"\b{_TITLE}\.?[ ]", _NAME), 0.85),
            (_behind(r"\b(?:[Nn]ame is|[Nn]ame's|I am called|calls? me)[ ]", _NAME), 0.7),
            (_behind(r"\b(?:I am|I'm|I’m|[Tt]his is|signed by|[Rr]egards to)[ ]", _FULL_NAME), 0.5),
            (_behind(rf"\b{_LABEL}[ ]?:[ \t]?", _NAME, r"(?=\s*(?:[,;(\n/|<]|$|\.\s|\.$))"), 0.6),
            (_behind(r"\b(?:Dear|Hi|Hello)[ ]", _NAME, r"(?=\s?[,:!\n])"), 0.6),
            (
                _behind(
                    rf"{_CLOSING},?[ \t]*\n\s{{0,4}}",
                    _NAME,
                    r"(?=[ \t]*(?:\n|,|$))",
                ),
                0.6,
            ),
            (rf"(?<![\p{{L}}.]){_NOBODY}{_FULL_NAME}(?=\s{_VERB})", 0.5),
            (rf"(?<![\p{{L}}.]){_NOBODY}{_FULL_NAME}(?=,\s{_POST})", 0.5),
            (rf"(?<![\p{{L}}-]){_KOREAN_SURNAME}[ ]{_KOREAN_GIVEN}(?![\p{{L}}-])", 0.7),
            (rf"(?<![\p{{L}}-]){_KOREAN_GIVEN}[ ]{_KOREAN_SURNAME}(?![\p{{L}}-])", 0.7),
        ),
        ignore_case=False,
    ),
    Identifier(
        "ADDRESS",
        r"[A-Za-z]",
        (
            (rf"(?<![\w.-])\d{{1,6}}[A-Za-z]?[ ]{_WORDS}{_STREET}(?:,?\s{_ROOM})?(?:{_CITY})?", 0.7),
            (rf"(?<![\w.-])\d{{1,6}}[A-Za-z]?[ ]{_WORDS}(?:Suite|Apt|Apartment)\b\.?\s?\d{{1,5}}(?:{_CITY})?", 0.7),
            (
                r"\bP\.?\s?O\.?\s?Box\s\d{1,6}(?!\d)|\b(?:PSC|Unit)\s\d{3,5},?\s+Box\s\d{2,5}|\b[AFD]PO\sA[AEP]\s\d{5}(?!\d)",
                0.6,
            ),
            (
                r"(?<![\w-])\d{1,4}(?:-\d{1,4})?,?\s[A-Z][a-z]+(?:[a-z-]*)-(?:ro|gil|daero)(?:\s?\d{1,3}(?:beon)?-gil)?"
                r"(?:,\s[A-Z][a-z]+-(?:gu|si|gun|dong|do|eup|myeon))*(?:,\s(?:Seoul|Busan|Daegu|Incheon|Gwangju|Daejeon|Ulsan|Sejong|Jeju))?",
                0.7,
            ),
        ),
        ignore_case=False,
    ),
)
"""What is looked for in Latin letters beside :data:`llmflow.pii.identifiers.GENERAL`."""
