"""`borne csms call`: lets the bundled CSMS send a request."""

from __future__ import annotations

import asyncio
import json
from argparse import ArgumentParser
from collections.abc import Mapping, Sequence
from typing import Final

import httpx

from borne.arguments import Action, http_url
from borne.output import refuse, say
from foundation.json_values import parse_object
from simulator.csms.orders import CallAnswer
from simulator.scenarios.controlled_csms import HttpCsmsControl
from simulator.scenarios.under_test import CsmsError

_DEFAULT_API: Final = "http://127.0.0.1:9001"


def call(parser: ArgumentParser, arguments: Sequence[str]) -> int:
    """Run `borne csms call`: let the CSMS send a request, and print the answer; returns 0, or 1 for a CALLERROR."""
    parser.add_argument("identity", metavar="IDENTITY", help="Identity of the station.")
    parser.add_argument("action", metavar="ACTION", help="The request, such as Reset.")
    parser.add_argument("payload", metavar="JSON", nargs="?", default="{}", help="Its payload; {} without it.")
    parser.add_argument(
        "--url",
        metavar="URL",
        type=http_url,
        default=_DEFAULT_API,
        help="Page and API of the CSMS, as `borne csms` prints it. [default: %(default)s]",
    )
    given = parser.parse_intermixed_args(arguments)
    try:
        payload = parse_object(given.payload)
    except ValueError:
        refuse(f"JSON: must be an object, such as {{}} (is {given.payload[:80]})")
    try:
        answer = asyncio.run(_called(given.url, given.identity, given.action, payload))
    except CsmsError as error:
        refuse(str(error))
    if answer.error_code is not None:
        say(json.dumps({"error": {"code": answer.error_code, "description": answer.error_description}}))
        return 1
    say(json.dumps(answer.payload))
    return 0


async def _called(url: str, identity: str, action: str, payload: Mapping[str, object]) -> CallAnswer:
    """Let the CSMS of this API send a request; returns the answer.

    Raises:
        CsmsError: it does not, or there is no answer.
    """
    async with httpx.AsyncClient(base_url=url, trust_env=False) as client:
        return await HttpCsmsControl(client, checked=True).call(identity, action, payload)


COMMANDS: Final[Mapping[str, Action]] = {"csms call": call}
