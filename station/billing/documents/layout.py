"""Layout of documents: A4 pages with headings, facts, tables and QR codes, the same for all documents.

The fonts are the standard PDF fonts, with the characters of western European languages. A text with others, such as
Polish, Greek or Cyrillic letters, uses an embedded font; characters missing there too are printed as their code point.
Modules that import this one are imported late: the PDF library takes a second to load on small machines.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from datetime import datetime
from pathlib import Path
from typing import Final, Literal

import segno
from fpdf import FPDF, XPos, YPos
from fpdf.enums import MethodReturnValue, WrapMode
from fpdf.fonts import TTFFont

from foundation.frozen import Frozen

_FONT: Final = "Helvetica"
_MONO: Final = "Courier"
_CHARACTERS: Final = "cp1252"
_FALLBACK_FONT: Final = "dejavu"
"""DejaVu Sans, reduced to the letters of Europe, currency signs and symbols (fonts/LICENSE)"""
_FONTS: Final = Path(__file__).with_name("fonts")
_INK, _MUTED, _LINE, _PAPER, _ACCENT, _ALARM = (
    (28, 32, 38),
    (105, 112, 122),
    (214, 218, 224),
    (245, 247, 249),
    (0, 98, 112),
    (176, 32, 32),
)
_MARGIN: Final = 18.0
_ROW: Final = 5.6
SIGNING_LINE_MM: Final = 30.0
"""height of the line for a person's signature, with the space above it"""
Align = Literal["L", "R"]


class Column(Frozen):
    """A column of a table in a PDF document: heading, alignment, and width relative to the other columns."""

    heading: str
    share: float
    align: Align = "L"


class Imprint(Frozen):
    """Texts of a PDF document's header, on its first page, and of the footer of every page."""

    title: str
    language: str
    aside: Sequence[str]
    """lines at the top right: the issuer"""
    foot: str
    page: str
    """format with {} for the page number and {} for the number of pages"""
    created: datetime


class Sheet:
    """A PDF document under construction: each method adds one element below the last one; `to_pdf` finishes it."""

    def __init__(self, imprint: Imprint, subtitle: str) -> None:
        self._pdf = _Pdf(imprint)
        self._pdf.add_page()
        self._draw_head(imprint, subtitle)

    def tiles(self, tiles: Sequence[tuple[str, str]]) -> None:
        """Add the main figures of the document, as pairs of label and value, large and side by side."""
        pdf, gap = self._pdf, 4.0
        width, height, top = (pdf.epw - gap * (len(tiles) - 1)) / len(tiles), 19.0, pdf.get_y()
        for position, (label, value) in enumerate(tiles):
            left_mm = _MARGIN + position * (width + gap)
            pdf.set_fill_color(*_PAPER)
            pdf.rect(left_mm, top, width, height, style="F", round_corners=True, corner_radius=2)
            pdf.set_xy(left_mm + 4, top + 3)
            self._set_text_style(_MUTED, 8.5)
            self._draw_line(label, width - 8)
            pdf.set_xy(left_mm + 4, top + 8.5)
            self._set_text_style(_ACCENT, 16, "B")
            while pdf.get_string_width(pdf.plain(value)) > width - 8 and pdf.font_size_pt > 8:
                pdf.set_font_size(pdf.font_size_pt - 0.5)
            self._draw_line(value, width - 8, 7)
        pdf.set_xy(_MARGIN, top + height + 2)

    def section(self, title: str, *, required_mm: float = 24.0) -> None:
        """Add a heading with a rule, on a new page if less than `required_mm` are left on this one."""
        pdf = self._pdf
        if pdf.will_page_break(required_mm):
            pdf.add_page()
        pdf.ln(4)
        self._set_text_style(_ACCENT, 11, "B")
        self._draw_line(title, pdf.epw, 6)
        pdf.set_draw_color(*_LINE)
        pdf.line(_MARGIN, pdf.get_y() + 0.6, _MARGIN + pdf.epw, pdf.get_y() + 0.6)
        pdf.ln(2.4)

    def facts(self, facts: Sequence[tuple[str, str]]) -> None:
        """Add pairs of label and value, one line each; long texts take several."""
        pdf, label_width = self._pdf, 58.0
        for name, value in facts:
            if pdf.will_page_break(2 * _ROW):
                pdf.add_page()
            top = pdf.get_y()
            self._set_text_style(_MUTED, 9.5)
            self._draw_paragraph(name, label_width - 3)
            label_bottom = pdf.get_y()
            pdf.set_xy(_MARGIN + label_width, top)
            self._set_text_style(_INK, 9.5)
            self._draw_paragraph(value, pdf.epw - label_width)
            pdf.set_y(max(label_bottom, pdf.get_y()))

    def table(
        self, columns: Sequence[Column], rows: Sequence[Sequence[str]], total: Sequence[str] | None = None
    ) -> None:
        """Add a table, with its headings repeated on each page, and a total row; texts that are too wide are cut."""
        pdf = self._pdf
        widths = [pdf.epw * column.share / sum(other_column.share for other_column in columns) for column in columns]
        self._draw_headings(columns, widths)
        for row in rows:
            if pdf.will_page_break(_ROW + 1):
                pdf.add_page()
                self._draw_headings(columns, widths)
            self._set_text_style(_INK, 9)
            self._draw_row(columns, widths, row)
            self._draw_rule()
        if total is not None:
            self._set_text_style(_INK, 9, "B")
            self._draw_row(columns, widths, total)
        pdf.ln(1)

    def note(self, text: str) -> None:
        """Add a remark in small print."""
        self._set_text_style(_MUTED, 8.5)
        self._draw_paragraph(text, self._pdf.epw, 4.4)

    def warning(self, text: str) -> None:
        """Add a warning in a frame."""
        pdf = self._pdf
        pdf.ln(2)
        self._set_text_style(_ALARM, 9.5, "B")
        pdf.set_draw_color(*_ALARM)
        pdf.multi_cell(
            pdf.epw, 6, pdf.plain(text), border=1, padding=(1, 3), align="L", new_x=XPos.LMARGIN, new_y=YPos.NEXT
        )

    def qr_code(self, text: str, data: str, beside: Sequence[tuple[str, str]]) -> None:
        """Add a text and below it long numbers (label, number), with a QR code of `data` at their right."""
        pdf, size = self._pdf, 40.0
        if pdf.will_page_break(size + 6):
            pdf.add_page()
        top, width = pdf.get_y(), pdf.epw - size - 6
        self._draw_qr_code(data, _MARGIN + pdf.epw - size, top, size)
        pdf.set_y(top)
        self._set_text_style(_INK, 9.5)
        self._draw_paragraph(text, width, 4.8)
        pdf.ln(1)
        self.long_numbers(beside, width)
        pdf.set_y(max(pdf.get_y(), top + size) + 1.5)

    def long_numbers(self, numbers: Sequence[tuple[str, str]], width_mm: float | None = None) -> None:
        """Add pairs of label and long number, such as a key, in small print; `width_mm` None: over the whole width."""
        pdf = self._pdf
        width = width_mm if width_mm is not None else pdf.epw
        for label, number in numbers:
            self._set_text_style(_MUTED, 8)
            self._draw_paragraph(label, width, 4)
            pdf.choose_font(_MONO, "", 6.5)
            pdf.set_text_color(*_INK)
            self._draw_paragraph(number, width, 2.9)
            pdf.ln(0.6)

    def signing_line(self, text: str) -> None:
        """Add a line for a person's signature; the section before it keeps `SIGNING_LINE_MM`, or it stands alone."""
        pdf = self._pdf
        if pdf.will_page_break(SIGNING_LINE_MM):
            pdf.add_page()
        pdf.ln(20)
        pdf.set_draw_color(*_INK)
        pdf.line(_MARGIN, pdf.get_y(), _MARGIN + 90, pdf.get_y())
        pdf.ln(1)
        self.note(text)

    def attach(self, name: str, content: bytes, description: str) -> None:
        """Attach a file to the PDF, which viewers can save; it is not printed."""
        self._pdf.embed_file(basename=name, bytes=content, desc=description, compress=True)

    def to_pdf(self) -> bytes:
        """Finish the document and return it as PDF."""
        return bytes(self._pdf.output())

    # Drawing

    def _draw_head(self, imprint: Imprint, subtitle: str) -> None:
        pdf = self._pdf
        pdf.set_fill_color(*_ACCENT)
        pdf.rect(0, 0, pdf.w, 3, style="F")
        pdf.set_y(12)
        for position, line in enumerate(imprint.aside):
            self._set_text_style(_MUTED if position else _INK, 9, "" if position else "B")
            pdf.cell(pdf.epw, 4.6, pdf.plain(line), align="R", new_x=XPos.LMARGIN, new_y=YPos.NEXT)
        bottom = pdf.get_y()
        pdf.set_xy(_MARGIN, 12)
        self._set_text_style(_INK, 20, "B")
        self._draw_line(imprint.title, pdf.epw * 0.65, 9)
        self._set_text_style(_MUTED, 10)
        self._draw_line(subtitle, pdf.epw * 0.65)
        pdf.set_y(max(pdf.get_y(), bottom) + 5)

    def _draw_headings(self, columns: Sequence[Column], widths: Sequence[float]) -> None:
        self._set_text_style(_MUTED, 8.5)
        self._draw_row(columns, widths, [column.heading for column in columns])
        self._draw_rule()

    def _draw_row(self, columns: Sequence[Column], widths: Sequence[float], cells: Sequence[str]) -> None:
        pdf = self._pdf
        pdf.set_x(_MARGIN)
        for position, (column, width, cell) in enumerate(zip(columns, widths, cells, strict=True)):
            empty_width = sum(widths[position + 1 : _next_filled(cells, position)])  # of empty cells to the right
            pdf.cell(width, _ROW, self._cut_to_width(cell, width + empty_width - 1), align=column.align)
        pdf.ln(_ROW)

    def _cut_to_width(self, text: str, width: float) -> str:
        """The text, cut at the end if it exceeds the width."""
        pdf = self._pdf
        fitted = pdf.plain(text)
        if pdf.get_string_width(fitted) <= width:
            return fitted
        while fitted and pdf.get_string_width(f"{fitted}…") > width:
            fitted = fitted[:-1]
        return f"{fitted}…"

    def _draw_rule(self) -> None:
        pdf = self._pdf
        pdf.set_draw_color(*_LINE)
        pdf.line(_MARGIN, pdf.get_y() + 0.3, _MARGIN + pdf.epw, pdf.get_y() + 0.3)
        pdf.ln(0.6)

    def _draw_qr_code(self, data: str, left: float, top: float, size: float) -> None:
        """Draw a QR code as vectors: an image would be blurred in print."""
        pdf = self._pdf
        modules = [bytes(row) for row in segno.make(data, error="m", micro=False).matrix]
        side = size / len(modules)
        pdf.set_fill_color(0, 0, 0)
        for y, row in enumerate(modules):
            for x, dark in enumerate(row):
                if dark:  # slightly enlarged, so that viewers show no gaps
                    pdf.rect(left + x * side, top + y * side, side + 0.02, side + 0.02, style="F")

    def _draw_line(self, text: str, width: float, height: float = 5.0) -> None:
        self._pdf.cell(width, height, self._cut_to_width(text, width), new_x=XPos.LMARGIN, new_y=YPos.NEXT)

    def _draw_paragraph(self, text: str, width: float, height: float = _ROW) -> None:
        pdf = self._pdf
        pdf.multi_cell(
            width,
            height,
            pdf.plain(text),
            align="L",
            new_x=XPos.LMARGIN,
            new_y=YPos.NEXT,
            wrapmode=WrapMode.CHAR if " " not in text else WrapMode.WORD,
            output=MethodReturnValue.PAGE_BREAK,
        )

    def _set_text_style(self, color: tuple[int, int, int], size: float, style: Literal["", "B"] = "") -> None:
        self._pdf.set_text_color(*color)
        self._pdf.choose_font(_FONT, style, size)


class _Pdf(FPDF):
    """A4 pages with a footer."""

    def __init__(self, imprint: Imprint) -> None:
        super().__init__(format="A4")
        self.core_fonts_encoding = _CHARACTERS
        self.c_margin = 0.0
        self._imprint = imprint
        self._requested_font = _FONT
        self.set_margins(_MARGIN, 14, _MARGIN)
        self.set_auto_page_break(True, margin=18)
        self.set_title(imprint.title)
        self.set_lang(imprint.language)
        self.set_creator("borne")
        self.set_creation_date(imprint.created)

    def choose_font(self, family: str, style: Literal["", "B"], size: float) -> None:
        """Set the font for the next text; `plain` replaces it if it lacks a character."""
        self._requested_font = family
        self.set_font(family, style, size)

    def plain(self, text: str) -> str:
        """The text on one line without unprintable characters; selects a font that has its characters."""
        printable = "".join(letter if letter.isprintable() else " " for letter in text)
        style, size = "B" if self.font_style == "B" else "", self.font_size_pt
        try:
            printable.encode(_CHARACTERS)
        except UnicodeEncodeError:
            available = self._fallback_characters()
            self.set_font(_FALLBACK_FONT, style, size)
            return "".join(letter if ord(letter) in available else f"[U+{ord(letter):04X}]" for letter in printable)
        if self.font_family == _FALLBACK_FONT:
            self.set_font(self._requested_font, style, size)
        return printable

    def _fallback_characters(self) -> Container[int]:
        if _FALLBACK_FONT not in self.fonts:
            self.add_font(_FALLBACK_FONT, "", _FONTS / "DejaVuSans.ttf")
            self.add_font(_FALLBACK_FONT, "B", _FONTS / "DejaVuSans-Bold.ttf")
        font = self.fonts[_FALLBACK_FONT]
        return font.cmap if isinstance(font, TTFFont) else ()

    def footer(self) -> None:
        """Draw the footer of a page."""
        self.set_y(-13)
        self.choose_font(_FONT, "", 7.5)
        self.set_text_color(*_MUTED)
        self.cell(self.epw * 0.8, 4, self.plain(self._imprint.foot))
        page = self._imprint.page.format(self.page_no(), "{nb}")
        self.cell(self.epw * 0.2, 4, self.plain(page), align="R")


def _next_filled(cells: Sequence[str], position: int) -> int:
    return next((index for index in range(position + 1, len(cells)) if cells[index]), len(cells))
