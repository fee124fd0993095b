"""The bundled CSMS in the process of a scenario, and any CSMS that is told by HTTP what to do."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Final
from urllib.parse import quote

import httpx

from foundation.json_values import is_list, is_object, object_of
from simulator.csms.bill_store import BillStoreError
from simulator.csms.bills_api import transaction_to_json
from simulator.csms.csms import DemoCsms
from simulator.csms.orders import CallAnswer, ChosenAnswer, TooManyAnswersError
from simulator.csms.station_connection import NotConnectedError
from simulator.scenarios.under_test import CsmsError

_TIMEOUT_S: Final = 60.0


class LocalCsmsControl:
    """The bundled CSMS in this process (`ControlledCsms`)."""

    def __init__(self, csms: DemoCsms) -> None:
        """`csms` listens already."""
        self._csms = csms

    async def call(self, identity: str, action: str, payload: Mapping[str, object]) -> CallAnswer:
        """Let it send a request to the station, and return the answer.

        Raises:
            CsmsError: the station is not connected, or does not answer.
        """
        try:
            return await self._csms.call(identity, action, payload)
        except NotConnectedError as error:
            raise CsmsError(str(error)) from error

    async def choose_answer(self, identity: str, action: str, answer: ChosenAnswer) -> None:
        """Choose how it answers the next requests of an action.

        Raises:
            CsmsError: answers are chosen for too many actions.
        """
        try:
            self._csms.chosen_answers.choose(identity, action, answer)
        except TooManyAnswersError as error:
            raise CsmsError(str(error)) from error

    async def bill(self, identity: str, transaction_id: str) -> Mapping[str, object] | None:
        """What it has recorded of a transaction, with the fields of `BillAtCsms`; None: nothing.

        Raises:
            CsmsError: the bills cannot be read.
        """
        try:
            transactions = await self._csms.bills.transactions(identity)
        except BillStoreError as error:
            raise CsmsError(str(error)) from error
        return next((transaction_to_json(one) for one in transactions if one.id == transaction_id), None)


class HttpCsmsControl:
    """Controls a CSMS (`ControlledCsms`) over an HTTP API, whose routes docs/scenarios.md describes."""

    def __init__(self, client: httpx.AsyncClient, *, checked: bool = False) -> None:
        """`client`: with the base URL of the API. `checked`: let it refuse requests that the schema does not allow."""
        self._client = client
        self._checked = checked

    async def call(self, identity: str, action: str, payload: Mapping[str, object]) -> CallAnswer:
        """Let it send a request to the station, and return the answer.

        Raises:
            CsmsError: it does not, or the station does not answer.
        """
        order = {"action": action, "payload": payload, **({} if self._checked else {"checked": False})}
        body = await self._send("POST", f"/api/stations/{quote(identity, safe='')}/call", order)
        error = body.get("error")
        if is_object(error):
            return CallAnswer({}, str(error.get("code")), str(error.get("description", "")))
        return CallAnswer(object_of(body.get("payload", {})))

    async def choose_answer(self, identity: str, action: str, answer: ChosenAnswer) -> None:
        """Choose how it answers the next requests of an action.

        Raises:
            CsmsError: it refuses.
        """
        body: dict[str, object] = {"payload": answer.payload, "silent": answer.silent, "times": answer.times}
        if answer.error_code is not None:
            body["error"] = {"code": answer.error_code, "description": answer.error_description}
        await self._send("PUT", f"/api/stations/{quote(identity, safe='')}/answers/{quote(action, safe='')}", body)

    async def bill(self, identity: str, transaction_id: str) -> Mapping[str, object] | None:
        """What it has recorded of a transaction, with the fields of `BillAtCsms`; None: nothing.

        Raises:
            CsmsError: it does not say.
        """
        found = await self._send("GET", f"/api/transactions?station={quote(identity, safe='')}", None)
        transactions = found.get("transactions")
        rows = [row for row in transactions if is_object(row)] if is_list(transactions) else []
        return next((row for row in rows if row.get("id") == transaction_id), None)

    async def _send(self, method: str, path: str, body: object) -> dict[str, object]:
        try:
            response = await self._client.request(method, path, json=body, timeout=_TIMEOUT_S)
            answer: object = response.json()
        except (httpx.HTTPError, ValueError) as error:
            raise CsmsError(f"the API of the CSMS does not answer: {error or type(error).__name__}") from error
        if response.status_code >= HTTPStatus.BAD_REQUEST or not is_object(answer):
            detail = answer.get("detail") if is_object(answer) else None
            raise CsmsError(f"the API of the CSMS refuses {path} ({response.status_code}): {detail}")
        return answer
