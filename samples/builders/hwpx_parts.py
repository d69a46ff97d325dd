"""The parts of an HWPX package that do not depend on the text: package, styles and page."""

from __future__ import annotations

NAMESPACES = {
    "ha": "http://www.hancom.co.kr/hwpml/2011/app",
    "hp": "http://www.hancom.co.kr/hwpml/2011/paragraph",
    "hs": "http://www.hancom.co.kr/hwpml/2011/section",
    "hc": "http://www.hancom.co.kr/hwpml/2011/core",
    "hh": "http://www.hancom.co.kr/hwpml/2011/head",
    "hpf": "http://www.hancom.co.kr/schema/2011/hpf",
    "opf": "http://www.idpf.org/2007/opf/",
}
_XMLNS = " ".join(f'xmlns:{prefix}="{uri}"' for prefix, uri in NAMESPACES.items())
_XML = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>'

VERSION = (
    f'{_XML}<hv:HCFVersion xmlns:hv="http://www.hancom.co.kr/hwpml/2011/version" tagetApplication="WORDPROCESSOR"'
    ' major="5" minor="1" micro="0" buildNumber="1" os="1" xmlVersion="1.4" application="LLMFlow samples"'
    ' appVersion="1.0"/>'
)
CONTAINER = (
    f'{_XML}<ocf:container xmlns:ocf="urn:oasis:names:tc:opendocument:xmlns:container"><ocf:rootfiles>'
    '<ocf:rootfile full-path="Contents/content.hpf" media-type="application/hwpml-package+xml"/>'
    '<ocf:rootfile full-path="Preview/PrvText.txt" media-type="text/plain"/></ocf:rootfiles></ocf:container>'
)
MANIFEST = f'{_XML}<odf:manifest xmlns:odf="urn:oasis:names:tc:opendocument:xmlns:manifest:1.0"/>'
SETTINGS = (
    f'{_XML}<ha:HWPApplicationSetting xmlns:ha="{NAMESPACES["ha"]}">'
    '<ha:CaretPosition listIDRef="0" paraIDRef="0" pos="0"/></ha:HWPApplicationSetting>'
)
CONTENT = f"""{_XML}<opf:package {_XMLNS} version="" unique-identifier="" id=""><opf:metadata>
<opf:title>{{title}}</opf:title><opf:language>ko</opf:language>
<opf:meta name="creator" content="text">Gaonnuri Tech</opf:meta>
<opf:meta name="CreatedDate" content="text">{{written}}</opf:meta>
<opf:meta name="ModifiedDate" content="text">{{written}}</opf:meta>
</opf:metadata><opf:manifest>
<opf:item id="header" href="Contents/header.xml" media-type="application/xml"/>
<opf:item id="section0" href="Contents/section0.xml" media-type="application/xml"/>
<opf:item id="settings" href="settings.xml" media-type="application/xml"/>
</opf:manifest><opf:spine><opf:itemref idref="header" linear="yes"/><opf:itemref idref="section0" linear="yes"/>
</opf:spine></opf:package>"""

SECTION_PROPERTIES = f"""<hp:run {_XMLNS}>
<hp:secPr id="" textDirection="HORIZONTAL" spaceColumns="1134" tabStop="8000" tabStopVal="4000" tabStopUnit="HWPUNIT"
 outlineShapeIDRef="1" memoShapeIDRef="0" textVerticalWidthHead="0" masterPageCnt="0">
<hp:grid lineGrid="0" charGrid="0" wonggojiFormat="0"/>
<hp:startNum pageStartsOn="BOTH" page="0" pic="0" tbl="0" equation="0"/>
<hp:visibility hideFirstHeader="0" hideFirstFooter="0" hideFirstMasterPage="0" border="SHOW_ALL" fill="SHOW_ALL"
 hideFirstPageNum="0" hideFirstEmptyLine="0" showLineNumber="0"/>
<hp:pagePr landscape="WIDELY" width="59528" height="84188" gutterType="LEFT_ONLY">
<hp:margin header="4252" footer="4252" gutter="0" left="8504" right="8504" top="5668" bottom="4252"/></hp:pagePr>
</hp:secPr></hp:run>"""

_LANGUAGES = ("HANGUL", "LATIN", "HANJA", "JAPANESE", "OTHER", "SYMBOL", "USER")


def _each_language(element: str, value: str) -> str:
    return f"<hh:{element} " + " ".join(f'{name.lower()}="{value}"' for name in _LANGUAGES) + "/>"


def _character(number: int, height: int, bold: bool) -> str:
    return (
        f'<hh:charPr id="{number}" height="{height}" textColor="#000000" shadeColor="none" useFontSpace="0"'
        ' useKerning="0" symMark="NONE" borderFillIDRef="2">'
        + _each_language("fontRef", "0")
        + _each_language("ratio", "100")
        + _each_language("spacing", "0")
        + _each_language("relSz", "100")
        + _each_language("offset", "0")
        + ("<hh:bold/>" if bold else "")
        + "</hh:charPr>"
    )


def _border(number: int, line: str) -> str:
    sides = "".join(
        f'<hh:{side}Border type="{line}" width="0.12 mm" color="#000000"/>'
        for side in ("left", "right", "top", "bottom")
    )
    return (
        f'<hh:borderFill id="{number}" threeD="0" shadow="0" centerLine="NONE" breakCellSeparateLine="0">'
        '<hh:slash type="NONE" Crooked="0" isCounter="0"/><hh:backSlash type="NONE" Crooked="0" isCounter="0"/>'
        f"{sides}</hh:borderFill>"
    )


def _style(number: int, name: str, english: str, font: int) -> str:
    return (
        f'<hh:style id="{number}" type="PARA" name="{name}" engName="{english}" paraPrIDRef="0" charPrIDRef="{font}"'
        f' nextStyleIDRef="0" langID="1042" lockForm="0"/>'
    )


HEADER = (
    f'{_XML}<hh:head {_XMLNS} version="1.4" secCnt="1">'
    '<hh:beginNum page="1" footnote="1" endnote="1" pic="1" tbl="1" equation="1"/><hh:refList>'
    '<hh:fontfaces itemCnt="7">'
    + "".join(
        f'<hh:fontface lang="{name}" fontCnt="1"><hh:font id="0" face="함초롬바탕" type="TTF" isEmbedded="0"/>'
        "</hh:fontface>"
        for name in _LANGUAGES
    )
    + '</hh:fontfaces><hh:borderFills itemCnt="3">'
    + _border(1, "NONE")
    + _border(2, "NONE")
    + _border(3, "SOLID")
    + '</hh:borderFills><hh:charProperties itemCnt="3">'
    + _character(0, 1000, False)
    + _character(1, 1200, True)
    + _character(2, 1800, True)
    + '</hh:charProperties><hh:tabProperties itemCnt="1"><hh:tabPr id="0" autoTabLeft="0" autoTabRight="0"/>'
    '</hh:tabProperties><hh:paraProperties itemCnt="1">'
    '<hh:paraPr id="0" tabPrIDRef="0" condense="0" fontLineHeight="0" snapToGrid="1" suppressLineNumbers="0"'
    ' checked="0"><hh:align horizontal="JUSTIFY" vertical="BASELINE"/><hh:heading type="NONE" idRef="0" level="0"/>'
    '<hh:breakSetting breakLatinWord="KEEP_WORD" breakNonLatinWord="KEEP_WORD" widowOrphan="0" keepWithNext="0"'
    ' keepLines="0" pageBreakBefore="0" lineWrap="BREAK"/><hh:autoSpacing eAsianEng="0" eAsianNum="0"/>'
    '<hh:margin><hc:intent value="0" unit="HWPUNIT"/><hc:left value="0" unit="HWPUNIT"/>'
    '<hc:right value="0" unit="HWPUNIT"/><hc:prev value="0" unit="HWPUNIT"/><hc:next value="400" unit="HWPUNIT"/>'
    '</hh:margin><hh:lineSpacing type="PERCENT" value="160" unit="HWPUNIT"/>'
    '<hh:border borderFillIDRef="2" offsetLeft="0" offsetRight="0" offsetTop="0" offsetBottom="0" connect="0"'
    ' ignoreMargin="0"/></hh:paraPr></hh:paraProperties><hh:styles itemCnt="3">'
    + _style(0, "바탕글", "Normal", 0)
    + _style(1, "개요 1", "Outline 1", 2)
    + _style(2, "개요 2", "Outline 2", 1)
    + "</hh:styles></hh:refList>"
    '<hh:compatibleDocument targetProgram="HWP201X"><hh:layoutCompatibility/></hh:compatibleDocument></hh:head>'
)
