"""Check digits and other arithmetic of identifiers.

Each check takes the text of a match. ``True`` makes the finding certain, ``False`` discards
it, ``None`` leaves it the score of its pattern (where failing says little).
"""

from __future__ import annotations

import ipaddress


def digits_of(text: str) -> list[int]:
    """The digits of ``text``, without its separators."""
    return [int(character) for character in text if character.isdigit()]


def luhn(text: str) -> bool:
    """Whether the digits pass the Luhn check (ISO/IEC 7812-1)."""
    total = 0
    for position, digit in enumerate(reversed(digits_of(text))):
        doubled = digit * (1 + position % 2)
        total += doubled - 9 if doubled > 9 else doubled
    return total % 10 == 0


def card(text: str) -> bool | None:
    """Luhn; a failed check of a number in card grouping may be a typing error."""
    if luhn(text) and len(set(digits_of(text))) > 1:
        return True
    return None if not text.isdigit() else False


def resident_number(text: str) -> bool | None:
    """Weighted sum modulo 11; since October 2020 the last digits are random, so failing says nothing."""
    digits = digits_of(text)
    if len(digits) != 13:
        return None
    weighted = sum(weight * digit for weight, digit in zip((2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5), digits, strict=False))
    return (11 - weighted % 11) % 10 == digits[12] or None


def alien_number(text: str) -> bool | None:
    """As for resident numbers, the check digit being two higher."""
    digits = digits_of(text)
    if len(digits) != 13:
        return None
    weighted = sum(weight * digit for weight, digit in zip((2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5), digits, strict=False))
    return (13 - weighted % 11) % 10 == digits[12] or None


def business_number(text: str) -> bool | None:
    """National Tax Service check digit; without hyphens it must hold."""
    digits = digits_of(text)
    weighted = sum(weight * digit for weight, digit in zip((1, 3, 7, 1, 3, 7, 1, 3, 5), digits, strict=False))
    if (10 - (weighted + digits[8] * 5 // 10) % 10) % 10 == digits[9]:
        return True
    return None if "-" in text else False


def account_number(text: str) -> bool | None:
    """Korean accounts have 10 to 14 digits."""
    return None if 10 <= len(digits_of(text)) <= 14 else False


def iban(text: str) -> bool:
    """ISO 13616: modulo 97 of the rearranged number is 1."""
    compact = "".join(character for character in text if character.isalnum()).upper()
    return int("".join(str(int(character, 36)) for character in compact[4:] + compact[:4])) % 97 == 1


def ip_v6(text: str) -> bool:
    """Whether Python's ``ipaddress`` accepts it, and a digit tells it from ``std::``."""
    try:
        ipaddress.IPv6Interface(text)
    except ValueError:
        return False
    return any(character.isdigit() for character in text)


def phone_number(text: str) -> bool | None:
    """Seven to fifteen digits (ITU-T E.164)."""
    return None if 7 <= len(digits_of(text)) <= 15 else False
