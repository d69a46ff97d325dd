"""Build the sample documents from the Markdown in ``source/``.

    python samples/build.py [FOLDER]

writes into FOLDER, by default ``samples/documents``. Needs the ``dev`` extra and, for the
PDF files, the Nanum fonts. The Markdown, text, CSV and HTML documents are written by hand.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from builders.blocks import Block, read_blocks
from builders.hwpx import write_hwpx
from builders.mail import write_eml
from builders.pdf import write_pdf
from builders.sheets import write_xlsx
from builders.slides import write_pptx
from builders.word import write_docx

HERE = Path(__file__).resolve().parent
WRITERS: dict[str, Callable[[Path, list[Block]], None]] = {
    "경비규정.docx": write_docx,
    "윤리강령.docx": write_docx,
    "정보보안규정.hwpx": write_hwpx,
    "신입사원_안내.pptx": write_pptx,
    "IT장비_단가표.xlsx": write_xlsx,
    "휴가규정.pdf": write_pdf,
    "employee_handbook.pdf": write_pdf,
}
MAIL = "공지_하반기_제도변경.eml"


def main(folder: Path) -> None:
    """Write every built document into ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, write in WRITERS.items():
        write(folder / name, read_blocks(HERE / "source" / f"{Path(name).stem}.md"))
    write_eml(folder / MAIL, HERE / "source" / f"{Path(MAIL).stem}.txt")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else HERE / "documents")
