"""The CSMS of the moment, for whoever asks one."""

from __future__ import annotations

import pytest

from station.core.csms import CsmsProxy, NoAnswerError
from station.core.model import AuthorizationStatus, IdTokenInfo
from tests import fakes


async def test_the_proxy_answers_as_a_station_alone_until_a_csms_is_connected_and_then_as_that() -> None:
    proxy, csms = CsmsProxy(fakes.LoudCalls()), fakes.FakeCsms()
    assert not proxy.online
    assert proxy.accepted, "there is nobody whose consent it needs"
    with pytest.raises(NoAnswerError):
        await proxy.authorize(fakes.CARD)
    csms.answers[fakes.CARD.key] = IdTokenInfo(AuthorizationStatus.ACCEPTED)
    csms.accepted = False
    proxy.forward_to(csms)
    assert proxy.online
    assert not proxy.accepted
    assert (await proxy.authorize(fakes.CARD)).accepted
