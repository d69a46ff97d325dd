"""Pictures, read by OCR."""

from __future__ import annotations

import io

from PIL import Image, ImageSequence, UnidentifiedImageError

from llmflow.ingestion.parsers.base import Content, Source
from llmflow.ingestion.parsers.ocr import Ocr
from llmflow.schema import FailureReason

_MAX_PIXELS = 100_000_000
_USUAL_DPI = 96.0


def parse(source: Source) -> Content:
    """Text of a picture; the frames of a TIFF are its pages.

    Raises:
        DocumentError: needs_ocr, too_large or malformed.
    """
    Image.MAX_IMAGE_PIXELS = _MAX_PIXELS
    try:
        with Image.open(io.BytesIO(source.data)) as picture:
            return _read(picture, source)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise _too_large(source) from None
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
        raise source.error(FailureReason.MALFORMED, f"the picture is broken ({error}); save it again") from None


def _read(picture: Image.Image, source: Source) -> Content:
    if picture.width * picture.height > _MAX_PIXELS:
        raise _too_large(source)
    frames = getattr(picture, "n_frames", 1) if picture.format == "TIFF" else 1
    if frames > source.settings.max_pages:
        raise source.error(
            FailureReason.TOO_LARGE,
            f"has {frames} pages, allowed are {source.settings.max_pages} (parsing.max_pages); split it",
        )
    picture.load()
    ocr = Ocr(source.settings)
    if ocr.remedy:
        raise source.error(FailureReason.NEEDS_OCR, f"is a picture and needs OCR; {ocr.remedy}")
    content = Content(warnings=[ocr.warning] if ocr.warning else [])
    for page, frame in enumerate(ImageSequence.Iterator(picture), start=1):
        if page > frames:
            break
        dpi = float(frame.info.get("dpi", (_USUAL_DPI, _USUAL_DPI))[0]) or _USUAL_DPI
        content.elements += ocr.read(frame.convert("RGB"), page, max(dpi, 70.0))
    return content


def _too_large(source: Source) -> Exception:
    return source.error(
        FailureReason.TOO_LARGE, f"has more than {_MAX_PIXELS // 1_000_000} million pixels; scale it down"
    )
