"""What a message may contain, by its format."""

from __future__ import annotations

import pytest

from station.core.model import LONGEST_CONTENT, MessageContent
from station.display.content_rules import content_error


@pytest.mark.parametrize(
    "content",
    [
        MessageContent("plain\nand a second line", "ASCII"),
        MessageContent("Zażółć 充電 🔌", "UTF8"),
        MessageContent("<b>bold</b>", "HTML"),
        MessageContent("https://csms.example/a?b=c#d", "URI"),
        MessageContent("tel:+4912345", "URI"),
        MessageContent("MAILTO:help@csms.example", "URI"),
        MessageContent("javascript: is a language", "UTF8"),
        MessageContent("x" * LONGEST_CONTENT),
        MessageContent("Salut", language="fr"),
        MessageContent("Salut", language="de-CH"),
    ],
)
def test_a_valid_content_has_no_error(content: MessageContent) -> None:
    assert content_error(content) is None


@pytest.mark.parametrize(
    ("content", "reason_code", "named"),
    [
        (MessageContent("é", "ASCII"), "InvalidValue", "message.content"),
        (MessageContent("\x7f", "ASCII"), "InvalidValue", "message.content"),
        (MessageContent("a\x00b"), "InvalidValue", "message.content"),
        (MessageContent("a\x9bb"), "InvalidValue", "message.content"),
        (MessageContent("\n "), "InvalidValue", "message.content"),
        (MessageContent("\u200e\u202a"), "InvalidValue", "message.content"),
        (MessageContent("\ufeff\u200b\u0301"), "InvalidValue", "message.content"),
        (MessageContent("<p><script>text</script>", "HTML"), "InvalidValue", "message.content"),
        (MessageContent("www.example.com", "URI"), "InvalidURL", "message.content"),
        (MessageContent("https://a b", "URI"), "InvalidURL", "message.content"),
        (MessageContent("javascript:alert(1)", "URI"), "InvalidURL", "http, https, tel or mailto"),
        (MessageContent("JavaScript:alert(1)", "URI"), "InvalidURL", "http, https, tel or mailto"),
        (MessageContent("data:text/html,x", "URI"), "InvalidURL", "http, https, tel or mailto"),
        (MessageContent("file:///etc/passwd", "URI"), "InvalidURL", "http, https, tel or mailto"),
        (MessageContent("httpsx:x", "URI"), "InvalidURL", "http, https, tel or mailto"),
        (MessageContent("x" * (LONGEST_CONTENT + 1)), "TooLargeElement", "message.content"),
        (MessageContent("x", language=""), "InvalidValue", "message.language"),
        (MessageContent("x", language="en_US"), "InvalidValue", "message.language"),
    ],
)
def test_the_error_of_an_invalid_content_names_the_field(content: MessageContent, reason_code: str, named: str) -> None:
    problem = content_error(content)
    assert problem is not None
    assert problem.reason_code == reason_code
    assert named in problem.sentence
