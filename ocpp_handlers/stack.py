"""The whole OCPP stack of the station: keeps a link to the CSMS and serves each websocket that opens."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from foundation.supervision import keep_running_until, run_together
from ocpp_handlers.wire.call_errors import LinkLostError

if TYPE_CHECKING:
    from websockets.asyncio.client import ClientConnection

    from foundation.clock import Clock
    from foundation.supervision import FollowUpTasks
    from ocpp_handlers.connection.boot import Registration
    from ocpp_handlers.connection.connection import Connection
    from ocpp_handlers.connection.link import Link
    from ocpp_handlers.connection.sessions import SessionFactory
    from ocpp_handlers.wire.edition import Edition
    from ocpp_handlers.wire.session import OcppSession
    from station.core.csms import VendorMessages

Task = Callable[[], Coroutine[None, None, None]]
"""runs until it is cancelled or the link ends"""


class OcppStack:
    """Keeps the station connected to its CSMS, with a session on each websocket (`station.core.csms.CsmsLink`).

    It connects and reconnects, sends BootNotifications until the station is accepted, then Heartbeats and the messages
    of the functional blocks. The local API asks it for the state of the link.
    """

    def __init__(  # noqa: PLR0913  # made in one place
        self,
        link: Link,
        connection: Connection,
        sessions: SessionFactory,
        boot: Registration,
        follow_ups: FollowUpTasks,
        *,
        data_transfer: VendorMessages,
        tasks: Mapping[str, Task],
        link_tasks: Mapping[str, Task],
        after_link: Task,
        clock: Clock,
    ) -> None:
        """Take the parts that serve a link.

        Args:
            link: the functional blocks send through it; the stack opens and closes it.
            connection: opens the websockets.
            sessions: opens a session on each of them.
            boot: sends BootNotifications and Heartbeats; reset when the link uses another network profile.
            follow_ups: runs the tasks that follow responses to the CSMS.
            data_transfer: vendor messages (DataTransfer), for the local API.
            tasks: by name; run as long as the stack runs, with or without a link.
            link_tasks: by name; run on each link once the CSMS has accepted the station, until LinkLostError.
            after_link: awaited at the end of each link, accepted or not.
            clock: the clock of the station.

        A task that fails is restarted, and neither the others nor the link end: what one message makes fail must not
        keep the events of transactions from the CSMS.
        """
        self.link = link
        self.data_transfer = data_transfer
        self._connection = connection
        self._sessions = sessions
        self._boot = boot
        self._follow_ups = follow_ups
        self._tasks = tasks
        self._link_tasks = link_tasks
        self._after_link = after_link
        self._clock = clock

    async def run(self) -> None:
        """Connect to the CSMS, serve each link until it ends, and reconnect, until cancelled."""
        await run_together(
            {
                "follow-ups": self._follow_ups.run(),
                **{name: keep_running_until((), name, task, self._clock) for name, task in self._tasks.items()},
                "connection": self._connection.run(self._serve),
            }
        )

    # For the local API (station.core.csms.CsmsLink)

    @property
    def connected(self) -> bool:
        """Whether the websocket to the CSMS is open; the CSMS may not have accepted the station yet."""
        return self._connection.connected

    @property
    def connected_since(self) -> datetime | None:
        """Time at which the current websocket opened (UTC, the station's clock); None while there is none."""
        return self._connection.connected_since

    @property
    def last_error(self) -> str | None:
        """Reason of the last failed attempt or lost link; None if there was neither since a successful attempt."""
        return self._connection.last_error

    @property
    def boot_status(self) -> str:
        """The registration status of the station at the CSMS: Unknown, Pending, Rejected or Accepted."""
        return self.link.boot_status

    @property
    def url(self) -> str:
        """The URL of the CSMS in the current network profile, without the station identity; empty without a profile."""
        return self._connection.url

    @property
    def security_profile(self) -> int:
        """The OCPP security profile (1 to 3) of the current network profile; 0 if there is no profile."""
        return self._connection.security_profile

    def reconnect(self, why: str) -> None:
        """Start a task that closes the link once the CSMS's current request is answered, then connects again (A01).

        Returns at once. `why`: the reason, for the log.
        """

        async def reconnect() -> None:
            if self.link.session is not None:
                await self.link.session.wait_answered()
            await self._connection.reconnect(why)

        self._follow_ups.submit("reconnect", reconnect)

    def use_new_password(self) -> None:
        """Reconnect with the password that the CSMS has just set, if the link uses one (A01.FR.02)."""
        if self._connection.uses_password:
            self.reconnect("the CSMS has set a new password")

    def use_new_identity(self) -> None:
        """Reconnect with the identity that the CSMS has just set (B09.FR.26)."""
        self.reconnect("the CSMS has set a new identity")

    def cut_network(self) -> None:
        """Simulate a network failure: drop the link and connect no more until `restore_network`."""
        self._connection.cut_network()

    def restore_network(self) -> None:
        """End the simulated network failure and connect at once; without effect if there is none."""
        self._connection.restore_network()

    def drop_connection(self) -> None:
        """Simulate that the connection is lost, as in a restart of the CSMS: the station reconnects by its back-off."""
        self._connection.drop()

    async def _serve(self, websocket: ClientConnection, edition: Edition) -> None:
        """Receive and send on a websocket until it ends."""
        session = self._sessions.open(websocket, edition)
        self.link.open(session)
        if self._connection.switched:  # B10.FR.10
            self._boot.reset()
            self.link.switched.publish(None)
        try:
            await run_together({"own-messages": self._send_own_messages(session), "session": session.run()})
        except* LinkLostError:
            pass  # the error of the task that reads the websocket is more specific, and is in the group too
        finally:
            self.link.close()
            await self._after_link()

    async def _send_own_messages(self, session: OcppSession) -> None:
        """Send BootNotifications until accepted, then run Heartbeats and the link tasks until the link ends."""
        newly_accepted = not self.link.accepted
        await self._boot.obtain_acceptance(session)
        self.link.begin(newly_accepted=newly_accepted)
        try:
            tasks = {
                name: keep_running_until(LinkLostError, name, task, self._clock)
                for name, task in self._link_tasks.items()
            }
            await run_together({**tasks, "heartbeat": self._boot.send_heartbeats(session)})
        except* LinkLostError:
            pass
