"""The files of the page: how they are served, and what is in them."""

from __future__ import annotations

import re

import httpx
import pytest
from pages import STATIC, Site


def test_files_are_served_with_types_and_etags_and_nothing_else_is(site: Site) -> None:
    with httpx.Client(base_url=site.url) as http:
        page = http.get("/")
        assert page.headers["content-type"] == "text/html; charset=utf-8"
        policy = page.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "script-src 'self'" in policy
        assert "unsafe" not in policy
        for path in STATIC.iterdir():
            served = http.get(f"/static/{path.name}")
            assert served.content == path.read_bytes()
            again = http.get(f"/static/{path.name}", headers={"If-None-Match": f'"other", W/{served.headers["etag"]}'})
            assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", served.headers["etag"])
        assert http.get("/static/main.js").headers["content-type"].startswith("text/javascript")
        assert http.get("/static/base.css").headers["content-type"].startswith("text/css")
        assert http.get("/static/mark.svg").headers["content-type"] == "image/svg+xml"
        assert http.head("/").headers["etag"] == page.headers["etag"]
        for outside in ("nothing.js", "..%2Fapp.py", "%2e%2e/app.py", "%2e%2e"):
            assert http.get(f"/static/{outside}").status_code == 404


def test_the_page_has_no_inline_code_and_names_no_other_host() -> None:
    html = (STATIC / "index.html").read_text("utf-8")
    assert not re.search(r"<style|\sstyle=|\son\w+=|javascript:|<script(?![^>]*\ssrc=)", html)
    for path in STATIC.iterdir():
        text = path.read_text("utf-8").replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"https?://|@import|url\(", text), path
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b", text), path


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_the_contrast_of_wcag_aa(scheme: str) -> None:
    blocks = re.findall(r":root \{(.*?)\}", (STATIC / "base.css").read_text("utf-8"), re.DOTALL)
    colours = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", blocks[0 if scheme == "light" else 1]))
    on = {"page": ("text", "muted", "accent"), "surface": ("text", "muted", "accent"), "accent": ("on-accent",)}
    on |= {f"{kind}-soft": (kind, "text") for kind in ("accent", "good", "warn", "bad")}
    on |= {"highlight": ("text",), "highlight-strong": ("text",)}
    for below, above in on.items():
        for text in above:
            assert contrast(colours[text], colours[below]) >= 4.5, (text, below)
    assert contrast(colours["control"], colours["surface"]) >= 3


def contrast(one: str, other: str) -> float:
    """Of two colours, as WCAG 2 defines it."""

    def luminance(colour: str) -> float:
        channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in channels]
        return sum(weight * value for weight, value in zip((0.2126, 0.7152, 0.0722), linear, strict=True))

    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)
