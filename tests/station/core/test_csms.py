"""The proxy of the current CSMS link."""

from __future__ import annotations

import pytest

from foundation.supervision import AuxiliaryCalls
from station.core.csms import AuthorizationAnswer, AuthorizationRequest, CsmsProxy, NoAnswerError
from station.core.model import AuthorizationStatus, IdTokenInfo
from tests import fakes


async def test_the_proxy_answers_as_a_station_alone_until_a_csms_is_connected_and_then_as_that() -> None:
    proxy, csms = CsmsProxy(fakes.RaisingCalls()), fakes.FakeCsms()
    assert not proxy.online
    assert proxy.accepted, "there is nobody whose consent it needs"
    with pytest.raises(NoAnswerError):
        await proxy.authorize(AuthorizationRequest(fakes.CARD))
    csms.answers[fakes.CARD.key] = IdTokenInfo(AuthorizationStatus.ACCEPTED)
    csms.accepted = False
    proxy.forward_to(csms)
    assert proxy.online
    assert not proxy.accepted
    assert (await proxy.authorize(AuthorizationRequest(fakes.CARD))).token_info.accepted


class BrokenCsms:
    """A link to the CSMS whose methods all raise an unexpected error."""

    @property
    def online(self) -> bool:
        raise KeyError("session")

    @property
    def accepted(self) -> bool:
        raise KeyError("gate")

    async def authorize(self, request: AuthorizationRequest, /) -> AuthorizationAnswer:
        raise KeyError("idTokenInfo")


async def test_a_mistake_in_the_link_is_to_charging_a_csms_that_is_offline_and_does_not_answer() -> None:
    auxiliary = AuxiliaryCalls()
    proxy = CsmsProxy(auxiliary)
    proxy.forward_to(BrokenCsms())
    assert (proxy.online, proxy.accepted) == (False, False)
    with pytest.raises(NoAnswerError):
        await proxy.authorize(AuthorizationRequest(fakes.CARD))
    assert auxiliary.error_count == 3


async def test_a_csms_that_does_not_answer_is_no_error_of_the_link() -> None:
    proxy = CsmsProxy(fakes.RaisingCalls())
    proxy.forward_to(csms := fakes.FakeCsms())
    csms.fails = True
    with pytest.raises(NoAnswerError):
        await proxy.authorize(AuthorizationRequest(fakes.CARD))
