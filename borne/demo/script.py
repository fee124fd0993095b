"""The script of the demonstration: scenes with a driver, a household and a network, and what they wait for."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Protocol

from energy.grid_view import GridView
from metering.reading import Phases
from simulator.vehicle import VehicleModel
from station.charging.charging_station import ChargingStation
from station.charging.tokens.admission import TokenOutcome
from station.core.model import IdToken

if TYPE_CHECKING:
    from borne.station_runtime import StationRuntime
    from simulator.board import SimulatedBoard
    from simulator.world import World
    from station.charging.evse import Evse
    from station.interfaces.parts import StationParts

CARD = IdToken("04A3B2C1D5E680", "ISO14443")
"""a card that the bundled CSMS accepts"""
STRANGER = IdToken("04BADBADBADB80", "ISO14443")
"""a card that the bundled CSMS refuses"""
KETTLE_A, OVEN_A = 9.0, 13.0
PROFILE_A = 8.0
"""limit of the charging profile that the CSMS sends"""
_FULL_CURRENT_A = 25.0
"""above this current the car counts as charging at full current"""
_POLL_S = 0.1


class CsmsControl(Protocol):
    """The operations of the bundled CSMS that scenes use; each request returns the status of the response."""

    def cut_network(self) -> None:
        """Simulate a network failure until `restore_network`."""
        ...

    def restore_network(self) -> None:
        """End the simulated network failure."""
        ...

    async def send_request(self, identity: str, action: str, payload: Mapping[str, object]) -> str:
        """Send any request to the station; returns the status."""
        ...

    async def start_transaction(self, identity: str, id_token: str) -> str:
        """Send RequestStartTransaction to the station; returns the status."""
        ...

    async def stop_transaction(self, identity: str, transaction_id: str) -> str:
        """Send RequestStopTransaction to the station; returns the status."""
        ...

    async def set_current_limit(self, identity: str, transaction_id: str, current_a: float) -> str:
        """Limit the current of a transaction by a charging profile, A per phase; returns the status."""
        ...

    async def clear_current_limit(self, identity: str) -> str:
        """Remove the charging profile of `set_current_limit`; returns the status."""
        ...


class SceneFailedError(Exception):
    """Something that a scene of the demonstration waits for did not happen; the message says what."""


class DemoScenario:
    """The actions and waits of which scenes consist: on the station, the simulated world and the CSMS's network.

    `show_scene` is called with each sentence of the story.
    """

    def __init__(
        self, application: StationRuntime, world: World, network: CsmsControl, show_scene: Callable[[str], None]
    ) -> None:
        self.runtime = application
        """the station"""
        self.world = world
        self.network = network
        """the bundled CSMS"""
        self.show_scene = show_scene
        self.transaction_id: str | None = None
        """of the current or last charge; None before the first"""
        self.begin_wh = 0.0
        """the register of the billing meter when the car arrived, Wh"""

    @property
    def parts(self) -> StationParts:
        """The parts of the running station.

        Raises:
            SceneFailedError: the station does not run.
        """
        if not self.runtime.running:
            raise SceneFailedError("the station has no power")
        return self.runtime.parts

    @property
    def station(self) -> ChargingStation:
        """The `ChargingStation` of the present run.

        Raises:
            SceneFailedError: the station does not run.
        """
        return self.parts.get(ChargingStation)

    @property
    def evse(self) -> Evse:
        """EVSE 1, the only one of the station.

        Raises:
            SceneFailedError: the station does not run.
        """
        return self.station.evses[1]

    @property
    def board(self) -> SimulatedBoard:
        """The simulated board of EVSE 1."""
        return self.world.boards[1]

    @property
    def drawn_a(self) -> float:
        """The true current that the car draws now, A."""
        return self.board.currents_a.l1

    @property
    def register_wh(self) -> float:
        """The register of the simulated billing meter now, Wh, read without Modbus."""
        return self.board.read_meter().energy_import_wh or 0.0

    @property
    def _identity(self) -> str:
        return self.runtime.configuration.station.identity

    async def wait(self, seconds: float) -> None:
        """Wait some seconds of the station's clock."""
        await self.runtime.clock.sleep(seconds)

    async def wait_until(self, description: str, true: Callable[[], bool], within_s: float) -> None:
        """Wait until `true` returns true, polled ten times a second; `description` names it in the error.

        Raises:
            SceneFailedError: it does not within `within_s` seconds of the station's clock.
        """
        clock = self.runtime.clock
        given_up_s = clock.monotonic() + within_s
        while not true():
            if clock.monotonic() >= given_up_s:
                raise SceneFailedError(f"did not happen within {within_s:g} s: {description}")
            await clock.sleep(_POLL_S)

    async def wait_connected(self) -> None:
        """Wait until the CSMS has accepted the station.

        Raises:
            SceneFailedError: it has not within 20 s.
        """
        await self.wait_until("the CSMS accepts the station", lambda: self.station.csms.online, 20.0)

    async def wait_grid_sample(self) -> None:
        """Wait until load management has the first sample of the grid meter.

        Raises:
            SceneFailedError: it has not within 15 s.
        """
        grid = self.parts.get(GridView)
        await self.wait_until("the first sample of the Linky is received", lambda: grid.last_sample is not None, 15.0)

    async def wait_delivered(self) -> None:
        """Wait until all events are delivered to the CSMS.

        Raises:
            SceneFailedError: they are not within 15 s.
        """
        clock = self.runtime.clock
        given_up_s = clock.monotonic() + 15.0
        while await self.station.events_waiting(None):
            if clock.monotonic() >= given_up_s:
                raise SceneFailedError("did not happen within 15 s: all events are delivered")
            await clock.sleep(_POLL_S)

    # Actions of a household, a driver and a CSMS

    def plug(self, model: VehicleModel) -> None:
        """Plug a car of this model in, and store the meter's register in `begin_wh`."""
        self.begin_wh = self.register_wh
        self.board.plug(model)

    async def present(self, card: IdToken, expected: TokenOutcome) -> None:
        """Present a card at EVSE 1; if it is authorized, wait for the transaction to start.

        Raises:
            SceneFailedError: the outcome is not `expected`.
        """
        outcome = await self.station.present_token(card, 1)
        if outcome is not expected:
            raise SceneFailedError(f"the card was expected to be {expected}, but is {outcome}")
        if outcome is TokenOutcome.AUTHORIZED:
            await self.wait_transaction_started()

    async def wait_transaction_started(self) -> None:
        """Wait until a transaction has started, and store its id in `transaction_id`.

        Raises:
            SceneFailedError: none has within 10 s.
        """
        await self.wait_until("a transaction begins", lambda: self.evse.transaction_id is not None, 10.0)
        self.transaction_id = self.evse.transaction_id

    def switch_on(self, name: str, current_a: float) -> None:
        """Switch a load of the house on, `current_a` A on L1."""
        self.world.house.switch_on(name, Phases(current_a, 0.0, 0.0))

    def switch_off(self, name: str) -> None:
        """Switch a load of the house off; does nothing if it is off."""
        self.world.house.switch_off(name)

    async def expect_accepted(self, send_request: Callable[[str, str], Awaitable[str]]) -> None:
        """Call `send_request` with the station's identity and the transaction id.

        Raises:
            SceneFailedError: the status that it returns is not Accepted.
        """
        status = await send_request(self._identity, self.transaction_id or "")
        if status != "Accepted":
            raise SceneFailedError(f"the station answered the request of the CSMS with {status}")

    async def wait_transaction_ended(self) -> None:
        """Wait until the transaction has ended, then until the cable is unlocked.

        Raises:
            SceneFailedError: the transaction has not ended within 15 s, or the cable is still locked 5 s later.
        """
        await self.wait_until("the transaction ends", lambda: self.evse.state.transaction is None, 15.0)
        await self.wait_until("the cable is free", lambda: not self.board.locked, 5.0)


async def play_once(stage: DemoScenario) -> None:
    """Play one whole charge: safe current, house loads, a network cut and a charging profile; then the car leaves.

    Raises:
        SceneFailedError: an expected event did not happen in time.
    """
    await stage.wait_connected()
    stage.show_scene("A car arrives. The grid meter has not reported yet: safe current, 6 A at most")
    stage.plug(VehicleModel(phases=1, ready_after_s=3600.0))  # resumed below, after the safe current was shown
    await stage.wait(0.5)
    await stage.present(CARD, TokenOutcome.AUTHORIZED)
    await stage.wait_grid_sample()
    stage.show_scene("The Linky reports: enough current is left for the car to charge at full current")
    await stage.wait(0.5)
    if stage.board.vehicle is not None:
        stage.board.vehicle.resume()
    await stage.wait_until("the car charges at full current", lambda: stage.drawn_a > _FULL_CURRENT_A, 15.0)
    await switch_household_loads(stage)
    await cut_network(stage)
    await apply_csms_profile(stage)
    stage.switch_off("oven")
    given_a = stage.evse.offered_a
    stage.show_scene("The oven is off. After 30 s without overload the car gets more, in steps")
    await stage.wait_until("the car gets more again", lambda: stage.evse.offered_a > given_a + 1.0, 35.0)
    stage.show_scene("30 s without overload: the car gets more again")
    await stage.wait_until("the car takes more again", lambda: stage.drawn_a > given_a + 1.0, 8.0)
    await stage.wait(1.0)
    await _end_charge(stage)


async def switch_household_loads(stage: DemoScenario) -> None:
    """Switch kettle and oven on; the car reduces its current."""
    await stage.wait(1.0)
    before_a = stage.drawn_a
    stage.show_scene(f"The kettle is on, {KETTLE_A:.0f} A: more than this house has left")
    stage.switch_on("kettle", KETTLE_A)
    # Before the car has reacted: a load that starts during its reaction is handled 5 s later (balancer.py).
    await stage.wait(1.0)
    stage.show_scene(f"The oven is on, {OVEN_A:.0f} A: the car must reduce its current")
    stage.switch_on("oven", OVEN_A)
    await stage.wait_until("the car reduces its current", lambda: stage.drawn_a < before_a - OVEN_A, 10.0)
    stage.show_scene(f"The car reduced its current: {stage.drawn_a:.0f} A instead of {before_a:.0f} A")
    await stage.wait(2.5)
    stage.switch_off("kettle")
    stage.show_scene("The kettle is off")
    await stage.wait(1.5)


async def cut_network(stage: DemoScenario) -> None:
    """Cut the network during the charge; queued events are delivered afterwards."""
    stage.show_scene("The network is cut: the charge goes on, events are queued on disk")
    stage.network.cut_network()
    await stage.wait(7.5)
    stage.network.restore_network()
    stage.show_scene("The network is back: the station reconnects and delivers the events")
    await stage.wait_connected()
    await stage.wait_delivered()
    stage.show_scene("All queued events are delivered")
    await stage.wait(0.5)


async def apply_csms_profile(stage: DemoScenario) -> None:
    """Set and clear a charging profile."""
    stage.show_scene(f"The CSMS sends a charging profile: {PROFILE_A:.0f} A at most")
    await stage.expect_accepted(
        lambda identity, transaction: stage.network.set_current_limit(identity, transaction, PROFILE_A)
    )
    await stage.wait_until("the car follows the profile", lambda: stage.drawn_a <= PROFILE_A, 8.0)
    await stage.wait(2.0)
    await stage.expect_accepted(lambda identity, _: stage.network.clear_current_limit(identity))
    stage.show_scene("The CSMS clears the profile")
    await stage.wait_until("the car charges with more current", lambda: stage.drawn_a > PROFILE_A, 8.0)


async def _end_charge(stage: DemoScenario) -> None:
    """Present the card, end the transaction, unplug."""
    stage.show_scene("The card is presented again: the charge ends")
    await stage.present(CARD, TokenOutcome.STOPPED)
    await stage.wait_transaction_ended()
    stage.board.unplug()
    stage.show_scene("The car leaves")
    await stage.wait_delivered()


async def play_in_loop(stage: DemoScenario) -> None:
    """Play the charge of `play_once`, then further scenes in a loop, until cancelled.

    Raises:
        SceneFailedError: an expected event did not happen in time.
    """
    await play_once(stage)
    while True:
        await stage.wait(5.0)
        await _present_rejected_card(stage)
        await stage.wait(3.0)
        await _charge_from_app(stage)
        await stage.wait(5.0)
        await _charge_with_household_loads(stage)


async def _present_rejected_card(stage: DemoScenario) -> None:
    stage.show_scene("A card is presented that the CSMS rejects")
    await stage.present(STRANGER, TokenOutcome.REJECTED)


async def _charge_from_app(stage: DemoScenario) -> None:
    """Charge a small car, started from an app."""
    stage.show_scene("A small car is plugged in; its driver starts the charge in an app")
    stage.plug(VehicleModel(phases=1, max_current_a=16.0, soc=0.6, reaction_s=2.0))
    await stage.wait_transaction_started()
    await stage.expect_accepted(lambda identity, _: stage.network.start_transaction(identity, "app-0001"))
    await stage.wait_until("the car charges", lambda: stage.drawn_a > 10.0, 15.0)
    stage.show_scene("This car draws 16 A at most: the house leaves enough")
    await stage.wait(15.0)
    await apply_csms_profile(stage)
    await stage.wait(10.0)
    await cut_network(stage)
    await stage.wait(5.0)
    stage.show_scene("The driver stops the charge in the app")
    await stage.expect_accepted(stage.network.stop_transaction)
    await stage.wait_transaction_ended()
    stage.board.unplug()
    stage.show_scene("The small car leaves")
    await stage.wait_delivered()


async def _charge_with_household_loads(stage: DemoScenario) -> None:
    """Charge for a long time while the household switches loads."""
    stage.show_scene("A car is plugged in; a card is presented to the reader")
    stage.plug(VehicleModel(phases=1, soc=0.4))
    await stage.wait(2.0)
    await stage.present(CARD, TokenOutcome.AUTHORIZED)
    await stage.wait_until("the car charges at full current", lambda: stage.drawn_a > _FULL_CURRENT_A, 15.0)
    await stage.wait(8.0)
    await switch_household_loads(stage)
    await stage.wait(20.0)
    stage.switch_off("oven")
    stage.show_scene("The oven is off: after 30 s without overload the car gets 4 A more every 5 s")
    await stage.wait_until("the car is back at full current", lambda: stage.drawn_a > _FULL_CURRENT_A, 90.0)
    stage.show_scene("Full current again")
    await stage.wait(10.0)
    await _end_charge(stage)
