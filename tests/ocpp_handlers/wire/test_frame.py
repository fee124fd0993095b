"""The frames of OCPP-J: what is understood, what is refused and how (part 4, §4.1–§4.4)."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any, cast

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ocpp_handlers.wire import frame
from ocpp_handlers.wire.edition import V201
from ocpp_handlers.wire.frame import Call, CallError, CallResult, InvalidFrame
from tests.conformance.frames import ERROR_CODES
from tests.rows import each_row

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda children: st.lists(children, max_size=4) | st.dictionaries(st.text(), children, max_size=4),
    max_leaves=20,
)
IDS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=36).filter(lambda text: text != "-1")
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)


@given(IDS, TEXTS, JSON_VALUES)
def test_a_call_is_read_as_it_was_written(identity: str, action: str, payload: object) -> None:
    call = Call(identity, action, payload)
    assert frame.decode(frame.encode(call), V201) == call


@given(IDS, JSON_VALUES)
def test_a_result_is_read_as_it_was_written(identity: str, payload: object) -> None:
    result = CallResult(identity, payload)
    assert frame.decode(frame.encode(result), V201) == result


@given(IDS, TEXTS, TEXTS, st.dictionaries(TEXTS, JSON_VALUES, max_size=3))
def test_an_error_is_read_as_it_was_written(
    identity: str, code: str, description: str, details: dict[str, object]
) -> None:
    error = CallError(identity, code, description, details)
    assert frame.decode(frame.encode(error), V201) == error


def test_an_error_keeps_to_its_length_and_always_has_details() -> None:
    """Part 4, table 7: errorDescription is a string[255], details are an empty object where there are none."""
    written = json.loads(frame.encode(CallError("1", "GenericError", "é" * 300)))
    assert written == [4, "1", "GenericError", "é" * 255, {}]


def _refusal(text: str | bytes) -> tuple[str, str]:
    decoded = frame.decode(text, V201)
    assert isinstance(decoded, InvalidFrame), decoded
    assert decoded.reply is not None, decoded
    return decoded.reply.id, decoded.reply.code


@each_row(
    "text",
    [
        "",
        " ",
        "hello",
        "[",
        '[2,"1","Heartbeat",{}',
        '[2,"1","Heartbeat",{}]]',
        '[2,"1","DataTransfer",{"vendorId":"v","data":NaN}]',
        '[2,"1","DataTransfer",{"vendorId":"v","data":-Infinity}]',
        '[2,"1","Heartbeat",{},]',
        '{"messageTypeId":2}',
        "null",
        "2",
        '"2"',
        "[]",
        "[2]",
        '[2,1,"Heartbeat",{}]',
        '[2,null,"Heartbeat",{}]',
        '[2,"","Heartbeat",{}]',
        '[2,["1"],"Heartbeat",{}]',
        '[2,"\\ud800","Heartbeat",{}]',
        "[" * 100_000,
        "1" * 5_000,
        '\ufeff[2,"1","Heartbeat",{}]',
        b'[2,"1","Heartbeat",{}]',
        b"\xff\xfe",
    ],
)
def test_a_call_whose_id_cannot_be_read_is_refused_with_minus_one(text: str | bytes) -> None:
    """Part 4, §4.2.3."""
    assert _refusal(text) == ("-1", "RpcFrameworkError")


def test_a_whole_number_with_a_point_is_an_integer() -> None:
    call = frame.decode('[2, "1", "Any", [1.0, 1e2, -0.0, 1.5, 1e300]]', V201)
    assert isinstance(call, Call)
    assert repr(call.payload) == "[1, 100, 0, 1.5, 1e+300]"


def test_an_id_has_at_most_36_characters() -> None:
    """Part 4, table 4."""
    assert isinstance(frame.decode(f'[2,"{"x" * 36}","Heartbeat",{{}}]', V201), Call)
    assert _refusal(f'[2,"{"x" * 37}","Heartbeat",{{}}]') == ("-1", "RpcFrameworkError")


@pytest.mark.parametrize(
    "parts", ['"1"', '"1","Heartbeat"', '"1","Heartbeat",{},{}', '"1",7,{}', '"1",null,{}', '"1",["Heartbeat"],{}']
)
def test_a_call_of_another_shape_is_refused_under_its_id(parts: str) -> None:
    """Part 4, §4.2.1."""
    assert _refusal(f"[2,{parts}]") == ("1", "RpcFrameworkError")


@pytest.mark.parametrize("kind", ["0", "1", "5", "6", "-2", "2.5", "1e400", "true", "null", '"2"', "[]", "[2]", "{}"])
def test_an_unknown_message_type_is_answered_as_not_supported(kind: str) -> None:
    """Part 4, §4.1.3, §4.4."""
    assert _refusal(f'[{kind},"1",{{}}]') == ("1", "MessageTypeNotSupported")


@pytest.mark.parametrize(
    "payload", ['{"vendorId":"\\ud800"}', '{"\\udfff":1}', '{"a":{"b":["\\ud83d"]}}', '{"a":"\\udc00\\ud800"}']
)
def test_half_a_surrogate_pair_is_no_character(payload: str) -> None:
    """Part 4, §4.1.2: the whole message must be encodable in UTF-8."""
    assert _refusal(f'[2,"1","DataTransfer",{payload}]') == ("1", "FormatViolation")


def test_a_whole_surrogate_pair_is_a_character() -> None:
    assert frame.decode('[2,"1","DataTransfer",{"vendorId":"\\ud83d\\ude97"}]', V201) == Call(
        "1", "DataTransfer", {"vendorId": "🚗"}
    )


@pytest.mark.parametrize(
    "text", ["[3]", '[3,"1"]', '[3,"1",{},{}]', "[3,1,{}]", "[3,null,{}]", '[4,7,"GenericError","",{}]', '[3,"",{}]']
)
def test_an_answer_is_never_answered_unless_its_very_type_is_unreadable(text: str) -> None:
    decoded = frame.decode(text, V201)
    assert isinstance(decoded, InvalidFrame)
    if text == "[3]":
        assert decoded.reply is not None  # not even an array of type and id: §4.2.3 holds
    else:
        assert decoded.reply is None


@pytest.mark.parametrize(
    "rest", ["", ',"GenericError"', ',"GenericError",""', ",7,8,9", ',"A","",{},{}', ",null,null,{}"]
)
def test_a_refusal_counts_though_parts_of_it_are_missing_or_wrong(rest: str) -> None:
    assert frame.decode(f'[4,"1"{rest}]', V201) == CallError("1", "GenericError", "the CALLERROR is incomplete")


def test_the_description_of_a_refusal_may_be_anything() -> None:
    assert frame.decode('[4,"1","InternalError",null,"x"]', V201) == CallError("1", "InternalError", "", {})


@pytest.mark.parametrize(
    "text",
    ['[4,"1","A\\ud800","",{}]', '[4,"1","A","B\\udfff",{}]', '[3,"1",{"a":"\\ud800"}]', '[3,"1",{"\\ud800":1}]'],
)
def test_an_answer_with_half_a_surrogate_pair_counts_as_a_refusal_that_can_be_logged(text: str) -> None:
    decoded = frame.decode(text, V201)
    assert isinstance(decoded, CallError)
    assert decoded.id == "1"
    f"{decoded}".encode()


def test_of_a_key_given_twice_the_last_counts() -> None:
    assert frame.decode('[2,"1","X",{"a":1,"a":2}]', V201) == Call("1", "X", {"a": 2})


@pytest.mark.parametrize("escape", ["", "\\u0041"])
def test_every_depth_of_nesting_is_survived(escape: str) -> None:
    """Writing takes a little more stack than reading: there is a depth that can be read and not be written."""
    for depth in range(900, 1_100):
        payload_text = f'{{"vendorId":"v{escape}","data":{"[" * depth}{"]" * depth}}}'
        answer = frame.decode(f'[3,"1",{payload_text}]', V201)
        assert isinstance(answer, CallResult | CallError | InvalidFrame)
        if isinstance(answer, InvalidFrame):
            assert answer.reply is not None
            assert answer.reply.id == "-1"
        text = f'[2,"1","DataTransfer",{payload_text}]'
        decoded = frame.decode(text, V201)
        if isinstance(decoded, Call):
            payload = cast("dict[str, Any]", decoded.payload)
            assert payload["vendorId"] == f"v{'A' if escape else ''}"
        else:
            assert _refusal(text) in {("1", "FormatViolation"), ("-1", "RpcFrameworkError")}


@pytest.mark.parametrize("number", ["1.5", "16.50", "2", "-0", "1E+3", "1.2345678901234567890"])
def test_a_decimal_is_written_as_a_number(number: str) -> None:
    assert frame.encode(CallResult("1", {"x": [Decimal(number)]})) == f'[3,"1",{{"x":[{number}]}}]'


@pytest.mark.parametrize("text", ["null", "NaN", "Infinity"])
def test_words_of_what_is_not_json_may_be_in_texts(text: str) -> None:
    result = CallResult("1", {"x": text, "y": 1.5, text: "é"})
    assert frame.decode(frame.encode(result), V201) == result
    assert frame.decode(frame.encode(CallResult("1", {"x": text, "y": Decimal("1.5"), text: "é"})), V201) == result


@pytest.mark.parametrize(
    "payload",
    [{"x": convert(name)} for convert in (float, Decimal) for name in ("nan", "inf", "-inf")]
    + [{"x": Decimal("nan"), "text": "null"}],
)
def test_what_is_not_json_is_not_written(payload: object) -> None:
    with pytest.raises(ValueError, match="JSON"):
        frame.encode(CallResult("1", payload))


def test_what_is_nested_too_deeply_is_not_written() -> None:
    deep: list[object] = []
    for _ in range(200_000):
        deep = [deep]
    with pytest.raises(ValueError, match="deep"):
        frame.encode(CallResult("1", deep))
    while deep:  # freed level by level: the interpreter would recurse as deep
        deep = cast("list[object]", deep.pop())


FRAMES = st.one_of(
    st.text(),
    st.binary(),
    JSON_VALUES.map(json.dumps),
    st.lists(JSON_VALUES, max_size=6).map(json.dumps),
    st.tuples(st.sampled_from([2, 3, 4]), JSON_VALUES, JSON_VALUES).map(json.dumps),
    st.tuples(st.just(2), IDS, JSON_VALUES, JSON_VALUES).map(json.dumps),
)


@given(FRAMES)
@example('[[],"x"]')
@example('[{},"x"]')
@example('[1e400,"x"]')
def test_every_frame_is_survived_and_every_refusal_can_be_sent(text: str | bytes) -> None:
    decoded = frame.decode(text, V201)
    if isinstance(decoded, InvalidFrame) and decoded.reply is not None:
        assert decoded.reply.code in ERROR_CODES
        written = json.loads(frame.encode(decoded.reply))
        assert [type(part) for part in written] == [int, str, str, str, dict]
        assert 0 < len(written[1]) <= 36
        written[1].encode()


@pytest.mark.parametrize("slash", ["/", "\\/"])
def test_the_user_of_a_url_is_not_shown(slash: str) -> None:
    """GetLog and UpdateFirmware carry it (N01.FR.17); some CSMSs escape every slash."""
    url = f"ftp:{slash}{slash}bob:se@cret@host:21{slash}logs{slash}a@b"
    masked = frame.without_secrets(f'[2,"1","GetLog",{{"log":{{"remoteLocation":"{url}"}}}}]')
    assert json.loads(masked)[3]["log"]["remoteLocation"] == "ftp://***@host:21/logs/a@b"


@pytest.mark.parametrize("secret", ['se\\"cret', "se\\u0026cret", "se\\\\cret"])
@pytest.mark.parametrize("at", ["@", "\\u0040"])
def test_the_user_of_a_url_is_not_shown_however_json_writes_it(secret: str, at: str) -> None:
    """System.Text.Json, for one, escapes & and +."""
    url = f"ftp://bob:{secret}{at}host/logs"
    masked = frame.without_secrets(f'[2,"1","GetLog",{{"log":{{"remoteLocation":"{url}"}}}}]')
    assert json.loads(masked)[3]["log"]["remoteLocation"] == "ftp://***@host/logs"


@pytest.mark.parametrize("name", ["BasicAuthPassword", "basicauthPASSWORD", "WifiPassphrase", "VpnSecret"])
def test_the_value_of_a_secret_variable_is_not_shown(name: str) -> None:
    """Those of vendors too: the installation file may make a variable WriteOnly, which only the device model knows."""
    item = {"component": {"name": "X"}, "variable": {"name": name}, "attributeValue": "hidden"}
    masked = frame.without_secrets(json.dumps([2, "1", "SetVariables", {"setVariableData": [item]}]))
    assert json.loads(masked)[3]["setVariableData"][0] == item | {"attributeValue": "***"}


def test_an_unpaired_surrogate_stays_escaped_in_a_frame_for_logs_and_pages() -> None:
    """As a character it can be written to no file and no response: the list of all frames would answer 500."""
    text = r'[2,"1","DataTransfer",{"vendorId":"\ud800é","data":{"x":"http://user:word@host"}}]'
    masked = frame.without_secrets(text)
    assert masked.encode().decode() == masked
    assert json.loads(masked) == json.loads(text.replace("user:word", "***"))


def as_json_reads(text: str) -> object:
    """What the standard library makes of a text, with whole numbers as integers; None: it is not JSON.

    An integer of more digits than it converts is infinite, as 1e999 is.
    """

    def number(digits: str) -> float:
        value = float(digits)
        return int(value) if value.is_integer() and abs(value) <= 2**53 else value

    def integer(digits: str) -> float:
        return int(digits) if len(digits) < 4_300 else float(digits)

    def refuse(_: str) -> float:
        raise ValueError

    try:
        return json.loads(text, parse_float=number, parse_int=integer, parse_constant=refuse)
    except (ValueError, RecursionError):
        return None


NUMBERS = st.from_regex(r"-?[0-9]{1,25}(\.[0-9]{1,20})?([eE][+-]?[0-9]{1,3})?", fullmatch=True)
PIECES = st.sampled_from(
    ["1", "1.0", "-0", "1e3", "1e999", "NaN", "Infinity", "01", "1.", "+1", '"a"', '"\\ud800"', '"\\u00e9"', '"\x01"',
     '"\x7f"', "null", "true", "{", "}", "[", "]", ",", ":", " ", "\t", "\ufeff", "{}", '{"a":1}', '{"a":1,"a":2}', "/"]
)  # fmt: skip


@given(st.one_of(JSON_VALUES.map(json.dumps), NUMBERS, st.lists(PIECES, max_size=12).map("".join), st.text()))
@example("12345678901234567890123")
@example("1" * 5_000)
@example("-" + "1" * 5_000)
def test_json_is_read_as_the_standard_library_reads_it(text: str) -> None:
    """Types and signs too: 1.0 is an integer, 1.5 and 1e300 are not."""
    text_of_call = f'[2,"1","X",{text}]'
    expected, decoded = as_json_reads(text_of_call), frame.decode(text_of_call, V201)
    if isinstance(decoded, Call):
        assert repr([2, decoded.id, decoded.action, decoded.payload]) == repr(expected)
    else:
        is_call = isinstance(expected, list) and len(cast("list[object]", expected)) == 4
        assert not is_call or "\\ud800" in text


@pytest.mark.parametrize(
    ("text", "stored"),
    [
        (
            '[2,"1","TransactionEvent",{"idToken":{"idToken":"ABCDEFGHIJKL","type":"Central","additionalInfo":'
            '[{"additionalIdToken":"ABCDEFGHIJKL","type":"x"}]}}]',
            '[2,"1","TransactionEvent",{"idToken":{"idToken":"ABCD…KL","type":"Central","additionalInfo":'
            '[{"additionalIdToken":"ABCD…KL","type":"x"}]}}]',
        ),
        (
            '[3,"1",{"idTokenInfo":{"status":"Accepted","personalMessage":{"format":"UTF8","content":"Hello Ada"}}}]',
            '[3,"1",{"idTokenInfo":{"status":"Accepted","personalMessage":"***"}}]',
        ),
        (
            '[2,"1","DataTransfer",{"data":"Central ABCDEF"}]',
            '[2,"1","DataTransfer",{"data":"***"}]',
        ),
        (
            '[2,"1","X",{"customerIdentifier":"ABCDEF"}]',
            '[2,"1","X",{"customerIdentifier":"AB…F"}]',
        ),
        ('[3,"1",{}]', '[3,"1",{}]'),
        ('[2,"1","DataTransfer",{"vendorId":"\\ud800"}]', "<a frame that is not valid>"),
        ("[]", "<a frame that is not valid>"),
        ("ABCDEFGHIJKL", "<a frame that is not valid>"),
        ("[" * 100_000, "<a frame that is not valid>"),
    ],
)
def test_a_frame_for_the_disk_has_no_personal_data(text: str, stored: str) -> None:
    assert frame.anonymous(text) == stored
