"""The entity types that can be found, and the placeholder each is replaced by."""

from __future__ import annotations

import re

ENTITY_TYPES: dict[str, str] = {
    "ADDRESS": "Postal address, Korean (road or lot number) or English (street)",
    "BANK_ACCOUNT": "Bank account number beside a bank's name or an account word",
    "BUSINESS_NUMBER": "Korean business registration number (3-2-5 digits)",
    "CORPORATE_NUMBER": "Korean corporate registration number (6-7 digits, named as such)",
    "CREDIT_CARD": "Payment card number",
    "DATE_OF_BIRTH": "Date or year of birth, named as such",
    "DRIVER_LICENSE": "Korean driver's licence number",
    "EMAIL": "E-mail address",
    "FAX_NUMBER": "Telephone number named as a fax",
    "IBAN": "International bank account number",
    "IP_ADDRESS": "IPv4 or IPv6 address or network",
    "KR_FRN": "Korean alien registration number",
    "KR_RRN": "Korean resident registration number",
    "PASSPORT": "Passport number",
    "PERSON": "Name of a person",
    "PHONE_NUMBER": "Telephone number",
    "US_SSN": "US social security number",
    "VEHICLE": "Korean vehicle registration plate",
}
"""Entity type -> what it is. These are the keys ``pii.policy`` accepts."""

PLACEHOLDER = re.compile(rf"\[(?:{'|'.join(ENTITY_TYPES)})\]")
"""What masking leaves behind. Evidence is never read across one, so masking twice changes nothing."""


def placeholder(entity_type: str) -> str:
    """``[TYPE]``, the text a masked value is replaced by."""
    return f"[{entity_type}]"
