"""Messages reduced to text and simple markup: nothing of HTML but bold, italic and lines."""

from __future__ import annotations

import unicodedata

from hypothesis import example, given
from hypothesis import strategies as st

from station.core.model import MessageContent
from station.core.screen import TextSpan
from station.display.markup import MAX_LINES, message_lines
from station.display.text_layout import printable
from tests.rows import each_row

PIECES = st.sampled_from(
    [
        "<b>",
        "</b>",
        "<i class='x'>",
        "</i>",
        "<br/>",
        "<p onclick=alert(1)>",
        "</p>",
        "<script>",
        "</script>",
        "<style>",
        "</style>",
        "<iframe src=//evil.example>",
        "<img src=x onerror=alert(1)>",
        "<svg/onload=alert(1)>",
        "<!--",
        "-->",
        "<![CDATA[",
        "<![if !IE]>",
        "<![x[",
        "<![ ",
        "]]>",
        "<?php",
        "&lt;script&gt;",
        "&#8238;",
        "&nbsp;",
        "&#0;",
        "text",
        " ",
        "\n",
        "<",
        ">",
        "\u202e",
    ]
)
HTML = st.lists(st.one_of(PIECES, st.text(max_size=10)), max_size=40).map("".join)


def texts(html: str) -> list[str]:
    """The lines of an HTML message without styles."""
    return ["".join(span.text for span in line) for line in message_lines(MessageContent(html, "HTML"))]


@each_row(
    ("html", "lines"),
    [
        ("plain", ["plain"]),
        ("<h1>Welcome</h1><p>to the <b>car park</b></p>", ["Welcome", "to the car park"]),
        ("one<br>two<br/>three", ["one", "two", "three"]),
        ("<ul><li>first<li>second</ul>", ["first", "second"]),
        ("a   \n b", ["a b"]),
        ("5 &lt; 6 &amp; &euro;7", ["5 < 6 & €7"]),
        ("before<script>alert('<b>x</b>')</script>after", ["beforeafter"]),
        ("<style>p{color:red}</style>seen", ["seen"]),
        ("<head><title>hidden</title></head><body>seen</body>", ["seen"]),
        ("<img src='http://evil.example/x.png' alt='picture'>seen", ["seen"]),
        ("<a href='javascript:alert(1)'>link</a>", ["link"]),
        ("<html><head><title>hidden</title><body>seen", ["seen"]),
        ("<!-- comment -->seen", ["seen"]),
        ("<![CDATA[hidden]]>seen", ["seen"]),
        ("<![unknown[hidden]]>seen", ["seen"]),
        ("<![ hidden>seen", ["seen"]),
        ("&lt;script&gt;alert(1)&lt;/script&gt;", ["<script>alert(1)</script>"]),
        ("price \u202e00.1\u202c", ["price 00.1"]),
        ("<b>open", ["open"]),
        ("<script>never closed", [""]),
        ("", [""]),
    ],
)
def test_of_html_the_text_is_left(html: str, lines: list[str]) -> None:
    """Escaped tags are text: the page inserts text only."""
    assert texts(html) == lines


def test_bold_and_italic_are_kept_and_end_where_they_end() -> None:
    (line,) = message_lines(MessageContent("<b>Free</b> <em>until <strong>noon</strong></em>.", "HTML"))
    assert line == (
        TextSpan("Free", bold=True),
        TextSpan(" "),
        TextSpan("until ", italic=True),
        TextSpan("noon", bold=True, italic=True),
        TextSpan("."),
    )


def test_a_text_that_is_no_html_keeps_its_angle_brackets() -> None:
    assert message_lines(MessageContent("<b>5</b>\nsecond", "UTF8")) == ((TextSpan("<b>5</b>"),), (TextSpan("second"),))


@given(HTML)
@example("<p>" * 300)
@example("<b>" * 170 + "x")
@example("<![x[")
@example("<![ ")
def test_whatever_html_is_sent_its_lines_are_printable_and_tidy(html: str) -> None:
    """No control character, no direction of its own, no empty line but the only one, nothing added to the text."""
    lines = message_lines(MessageContent(html, "HTML"))
    assert lines
    texts = ["".join(span.text for span in line) for line in lines]
    assert texts == [""] or all(texts)
    for text in texts:
        assert text == text.strip()
        assert "  " not in text
        assert all(unicodedata.category(char) not in {"Cc", "Cs"} for char in text)
        assert not {"\u202e", "\u2066"} & set(text)
    assert sum(map(len, texts)) <= len(html) + 2 * html.count("&"), "a reference is no longer than two characters"


@given(st.text())
def test_what_is_printable_stays_and_nothing_else(text: str) -> None:
    printed = printable(text)
    assert printable(printed) == printed
    assert all(not char.isspace() or char == " " for char in printed)


def test_lines_beyond_the_most_continue_the_last_one() -> None:
    lines = message_lines(MessageContent("\n".join(str(number) for number in range(1, 15)), "UTF8"))
    assert len(lines) == MAX_LINES
    assert "".join(span.text for span in lines[-1]) == "10 11 12 13 14"
    assert "".join(span.text for span in lines[-2]) == "9"
