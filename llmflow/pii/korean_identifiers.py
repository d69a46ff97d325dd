"""Korean identifiers: resident, alien, phone, account, passport, licence, company, plate."""

from __future__ import annotations

from llmflow.pii import checks
from llmflow.pii.identifiers import NOT_A_DATE, PHONE_CONTEXT, Identifier, alone, labelled

_DATE = r"\d{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])"
_HIDDEN = r"[*xX●○◯]{6,7}"
_NOT_CORPORATE = r"(?<!법인\s?(?:등록)?\s?(?:번호)?[^\d\n]{0,6})"


def _registration(sex: str) -> str:
    """Date of birth, sex and century digit, six more; spelled with a hyphen, spaces or nothing."""
    return r"(?=\d{6})" + _NOT_CORPORATE + alone(rf"{_DATE}(?:\s?[-‐–—−]\s?|\s)?[{sex}](?:\d{{6}}|[*xX●○◯]{{6}})")


_FAX = r"팩스|팩시밀리|모사전송|\bfax\b|\bf\s?[:.]"
_COUNTRY = r"\+?82[-. ]?(?:\(0\)\s?)?0?"
_MOBILE = rf"(?:{_COUNTRY}|0)1[016789]|\(01[016789]\)"
_AREA_CODE = r"(?:2|3[1-3]|4[1-4]|5[1-5]|6[1-4]|70|80|50\d?)"
_AREA = rf"(?:(?:{_COUNTRY}|0){_AREA_CODE}|\(0{_AREA_CODE}\))"
_SERVICE = r"1(?:5(?:22|44|66|77|88|99)|6(?:00|11|33|44|61|66|68|70|88|99)|8(?:00|11|33|55|66|77|99))"
_SEPARATOR = r"(?:\s?[-.‐–—−·∙)]\s?|\s)"
_PHONE = (
    rf"(?:{_MOBILE}){_SEPARATOR}?\d{{3,4}}{_SEPARATOR}?\d{{4}}"
    rf"|{_AREA}{_SEPARATOR}?\d{{3,4}}{_SEPARATOR}\d{{4}}"
    rf"|{_SERVICE}{_SEPARATOR}\d{{4}}"
)
_BANK = (
    r"(?:국민|신한|우리|하나|기업|산업|수출입|외환|한국씨티|씨티|SC제일|제일|대구|부산|경남|광주|전북|제주|농협|수협)\s?은행"
    r"|농협|수협|신협|축협|새마을금고|우체국|카카오\s?뱅크|케이\s?뱅크|토스\s?뱅크|i?IM뱅크|저축은행|은행|KB|NH|IBK|SC"
)
_ACCOUNT = r"\d{2,6}(?:[- ]\d{2,7}){1,3}|\d{10,14}"
_REGION = r"서울|부산|대구|인천|광주|대전|울산|세종|경기(?:남부|북부)?|강원|충북|충남|전북|전남|경북|경남|제주"
# Letters of private, commercial, rental, delivery and military plates; those that also count
# things (12조 3456억, 12주 2024년) only where nothing stands between.
_PLATE = r"가나다라마거너더러머버서어저고노로모보소오누두루무부"
_PLATE_TIGHT = rf"{_PLATE}도구수우주바사아자배하허호육해공국합"
_COUNTED = r"(?!\d|\s?[억만천백원조명개건년월일호번])"

# Case numbers of before 2000 look the same: 대법원 1997. 5. 30. 선고 97다4784 판결.
_NO_CASE = r"(?<!(?:선고|대법원|판결|결정|법원)[^\n]{0,40})(?![^\n]{4,30}(?:판결|결정|사건))"

KOREAN = (
    Identifier("KR_RRN", r"\d{6}", ((_registration("1-4"), 0.6),), check=checks.resident_number),
    Identifier("KR_FRN", r"\d{6}", ((_registration("5-8"), 0.6),), check=checks.alien_number),
    Identifier(
        "CORPORATE_NUMBER",
        r"법인|등기",
        ((labelled(r"법인\s?(?:등록)?\s?(?:번호)?|등기\s?(?:등록)?\s?번호", r"\d{6}\s?-?\s?\d{7}"), 0.95),),
    ),
    Identifier(
        "PHONE_NUMBER",
        r"\d{4}",
        (
            (alone(_PHONE), 0.75),
            (alone(rf"{_AREA}\d{{7,8}}|{_SERVICE}\d{{4}}|{NOT_A_DATE}\d{{3,4}}[-.]\d{{4}}"), 0.15),
        ),
        context=PHONE_CONTEXT,
    ),
    Identifier(
        "FAX_NUMBER",
        r"팩스|팩시|모사|f",
        (
            (labelled(_FAX, rf"{_PHONE}|{_AREA}\d{{7,8}}|\d{{3,4}}-\d{{4}}|\+?\d[\d() .-]{{6,17}}\d"), 0.95),
            (rf"{alone(_PHONE)}(?=\s?\(\s?(?:{_FAX}))", 0.95),
        ),
        check=checks.phone_number,
    ),
    Identifier(
        "BANK_ACCOUNT",
        r"\d[\d -]{8}",
        (
            (labelled(rf"(?:{_BANK})", _ACCOUNT), 0.8),
            (labelled(r"계좌(?:\s?번호)?", _ACCOUNT), 0.85),
            (alone(r"\d{2,6}(?:-\d{2,7}){2,3}"), 0.15),
        ),
        context=("계좌", "입금", "송금", "예금주", "이체", "납부", "환급", "은행", "account"),
        check=checks.account_number,
    ),
    Identifier(
        "PASSPORT",
        r"\d{8}|[A-Z]\d{6}|\d[A-Z]\d{4}",
        (
            (r"(?<![A-Za-z0-9-])M\d{8}(?![A-Za-z0-9])", 0.5),
            (r"(?<![A-Za-z0-9-])[MSROD]\d{3}[A-Z]\d{4}(?![A-Za-z0-9])", 0.5),
            (r"(?<![A-Za-z0-9-])(?:[A-Z]{1,2}\d{6,8}|\d{9})(?![A-Za-z0-9-])", 0.15),
        ),
        context=("여권", "passport"),
        ignore_case=False,
    ),
    Identifier(
        "DRIVER_LICENSE",
        r"\d{6}",
        (
            (alone(r"(?:1[1-9]|2[0-8])[- ]\d{2}[- ]\d{6}[- ]\d{2}"), 0.85),
            (rf"(?:{_REGION})[- ]?\d{{2}}-\d{{6}}-\d{{2}}(?![\d-])", 0.85),
            (labelled("면허", r"(?:1[1-9]|2[0-8])\d{10}"), 0.6),
        ),
    ),
    Identifier(
        "BUSINESS_NUMBER",
        r"\d{5}",
        (
            (alone(r"\d{3}-\d{2}-\d{5}"), 0.6),
            (labelled(r"사업자\s?(?:등록)?\s?(?:번호)?", r"\d{10}"), 0.6),
        ),
        context=("사업자",),
        check=checks.business_number,
    ),
    Identifier(
        "VEHICLE",
        r"\d\s?[가-힣]\s?\d{4}",
        (
            (
                rf"(?:(?<![가-힣])(?:{_REGION})\s?|(?=\d\d)(?<![\d가-힣-]){_NO_CASE})\d{{2,3}}[{_PLATE_TIGHT}]\d{{4}}{_COUNTED}",
                0.7,
            ),
            (
                rf"(?:(?<![가-힣])(?:{_REGION})\s?|(?=\d\d)(?<![\d가-힣-]){_NO_CASE})\d{{2,3}}[{_PLATE}]\s\d{{4}}{_COUNTED}",
                0.5,
            ),
            (rf"(?<![가-힣])(?:{_REGION})\s?\d{{1,2}}\s?[{_PLATE_TIGHT}]\s?\d{{4}}{_COUNTED}", 0.7),
        ),
    ),
)
"""What is looked for beside :data:`llmflow.pii.identifiers.GENERAL`."""
