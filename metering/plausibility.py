"""Plausibility checks of billing meters: an implausible reading is rejected, never corrected."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator

from foundation.bounds import ENERGY_WH
from foundation.frozen import Frozen
from metering.meter import DescribedMeter, DetailedMeter, IdentifiedMeter, ImplausibleReadingError, Meter, MeterError
from metering.reading import UNKNOWN_PHASES, Phases, Reading
from metering.uncounted_energy import UncountedEnergy

_LOWEST_VOLTAGE_V = 80.0
"""lowest phase voltage at which a vehicle still charges: it bounds the current"""
_HIGHEST_VOLTAGE_V = 500.0
"""above the voltage of a phase when the neutral is lost"""
_LOWEST_FREQUENCY_HZ = 40.0
_HIGHEST_FREQUENCY_HZ = 70.0
_LARGEST_REGISTER_WH = ENERGY_WH.highest
"""nine digits of kWh: no meter has more"""
_ROLLOVER_WIDTHS_WH = (1e8, 1e9, 1e10)
"""values at which registers of five, six and seven digits of kWh roll over to zero"""
_PHASES = ("l1", "l2", "l3")
_IMPORTS = tuple(f"energies_import_wh.{phase}" for phase in _PHASES)
_EXPORTS = tuple(f"energies_export_wh.{phase}" for phase in _PHASES)
_POWER_HEADROOM = 1.1
"""factor for tolerances of the meter's register and clock"""
_SURGE_FACTOR = 2.0
"""factor by which a momentary power may exceed the highest continuous one"""


class PlausibilityRules(Frozen):
    """Bounds of plausible readings, for the billing meter of a circuit with a power of at most `max_power_w`."""

    max_power_w: float
    register_step_wh: float = 100.0
    """coarsest resolution of registers: 0.1 kWh"""

    @property
    def most_unmoved_wh(self) -> float:
        """Wh that may flow before the import register moves: twice its resolution, since currents are inexact."""
        return 2.0 * self.register_step_wh

    def implausibility(self, reading: Reading) -> str | None:
        """The reason why a meter of this circuit can never show this reading; None if it can."""
        if reading.energy_import_wh is None:
            return "The import register is missing."
        most_w = self.max_power_w * _SURGE_FACTOR
        most_a = self.max_power_w / _LOWEST_VOLTAGE_V
        return _bounds_violation(
            ("energy_import_wh", reading.energy_import_wh, 0.0, _LARGEST_REGISTER_WH),
            ("energy_export_wh", reading.energy_export_wh, 0.0, _LARGEST_REGISTER_WH),
            ("power_w", reading.power_w, -most_w, most_w),
            ("reactive_power_var", reading.reactive_power_var, -most_w, most_w),
            ("reactive_import_varh", reading.reactive_import_varh, 0.0, _LARGEST_REGISTER_WH),
            ("reactive_export_varh", reading.reactive_export_varh, 0.0, _LARGEST_REGISTER_WH),
            ("apparent_vah", reading.apparent_vah, 0.0, _LARGEST_REGISTER_WH),
            ("frequency_hz", reading.frequency_hz, _LOWEST_FREQUENCY_HZ, _HIGHEST_FREQUENCY_HZ),
        ) or _phase_bounds_violation(
            ("energies_import_wh", reading.energies_import_wh, 0.0, _LARGEST_REGISTER_WH),
            ("energies_export_wh", reading.energies_export_wh, 0.0, _LARGEST_REGISTER_WH),
            ("currents_a", reading.currents_a, -most_a, most_a),
            ("voltages_v", reading.voltages_v, 0.0, _HIGHEST_VOLTAGE_V),
            ("powers_w", reading.powers_w, -most_w, most_w),
            ("reactive_powers_var", reading.reactive_powers_var, -most_w, most_w),
        )

    def discontinuity(
        self, previous: Reading, new: Reading, elapsed_s: float | None = None, *, unmoved_wh: float = 0.0
    ) -> str | None:
        """The reason why the registers of `new` cannot follow those of `previous`; None if they can.

        `elapsed_s` is the time between the two by a monotonic clock; without it the wall time is used.
        `unmoved_wh` is the energy that flowed while the register did not move, which it may now count at once.
        """
        pairs = (
            ("energy_import_wh", previous.energy_import_wh, new.energy_import_wh),
            ("energy_export_wh", previous.energy_export_wh, new.energy_export_wh),
            ("reactive_import_varh", previous.reactive_import_varh, new.reactive_import_varh),
            ("reactive_export_varh", previous.reactive_export_varh, new.reactive_export_varh),
            ("apparent_vah", previous.apparent_vah, new.apparent_vah),
            *_phase_registers(_IMPORTS, previous.energies_import_wh, new.energies_import_wh),
            *_phase_registers(_EXPORTS, previous.energies_export_wh, new.energies_export_wh),
        )
        elapsed_h = _elapsed_h(previous, new, elapsed_s)
        most_wh = self.max_power_w * elapsed_h * _POWER_HEADROOM + self.register_step_wh + unmoved_wh
        for name, before_wh, after_wh in pairs:
            if before_wh is None or after_wh is None:
                continue
            if after_wh < before_wh:
                return f"{name} ran backwards, from {before_wh:.10g} to {after_wh:.10g}."
            # Negative: the wall time was set back, so the time between both is not known.
            if elapsed_h >= 0.0 and after_wh - before_wh > most_wh:
                return f"{name} jumped from {before_wh:.10g} to {after_wh:.10g}; {most_wh:.0f} Wh are possible."
        return None

    def rolled_over(self, previous: Reading, new: Reading, elapsed_s: float | None = None) -> bool:
        """Return whether the import register of `new` is lower because it has rolled over, by a plausible amount."""
        before_wh, after_wh = previous.energy_import_wh, new.energy_import_wh
        if before_wh is None or after_wh is None:
            return False
        elapsed_h = _elapsed_h(previous, new, elapsed_s)
        most_wh = self.max_power_w * max(0.0, elapsed_h) * _POWER_HEADROOM + self.register_step_wh
        # At most an hour at full power, so that a long silence does not make any lower register a roll-over.
        most_wh = min(most_wh, self.max_power_w + self.register_step_wh)
        return any(
            before_wh < width and 0.0 <= width - before_wh + after_wh <= most_wh for width in _ROLLOVER_WIDTHS_WH
        )


# The next three run at each reading of each meter: so they do not iterate over phases that no meter reports.


def _bounds_violation(*values: tuple[str, float | None, float, float]) -> str | None:
    """The reason to reject the first of these values that is outside its bounds (name, value, bounds); None: none."""
    for name, value, lowest, highest in values:
        if value is not None and not lowest <= value <= highest:  # NaN is not between anything
            return f"{name} shows {value:g}, which is not between {lowest:g} and {highest:g}."
    return None


def _phase_bounds_violation(*rows: tuple[str, Phases[float | None], float, float]) -> str | None:
    """The reason to reject the first value of any phase that is outside its bounds (name, values, bounds), or None."""
    for name, values, lowest, highest in rows:
        if values is UNKNOWN_PHASES:
            continue
        if (
            reason := _bounds_violation(
                *((f"{name}.{phase}", value, lowest, highest) for phase, value in zip(_PHASES, values, strict=True))
            )
        ) is not None:
            return reason
    return None


def _phase_registers(
    names: tuple[str, ...], before: Phases[float | None], after: Phases[float | None]
) -> Iterator[tuple[str, float | None, float | None]]:
    """Name, earlier and later value of the register of each phase; none if neither reading has them."""
    if before is UNKNOWN_PHASES and after is UNKNOWN_PHASES:
        return iter(())
    return zip(names, before, after, strict=True)


class _TimedReading(Frozen):
    """A reading with its time in the present run of the program."""

    reading: Reading
    at_s: float | None = None
    """monotonic time before it was read, in s; None: from an earlier run"""

    def elapsed_s(self, now_s: float) -> float | None:
        """The longest time since the reading; None if it is from an earlier run."""
        return now_s - self.at_s if self.at_s is not None else None


class PlausibleMeter:
    """Wraps a billing meter: checks its readings against earlier ones, and raises an error for implausible ones.

    The energy that the fuse allows is computed with `monotonic`, in seconds: a wall time set forward has no effect.

    A register that ran backwards or jumped is a transmission error, or another meter. The error is over when the
    old count continues. A count that continues from the doubtful reading is another meter: it is rejected, even
    after it has passed the old count, until somebody confirms that the meter was exchanged.

    A register that does not move while the meter shows a current is accepted up to `most_unmoved_wh`. Beyond that every
    reading is rejected, also with the contactor open and after a power cut, until the register moves.

    If a meter reports its serial number, it is read at first and after each failure. Another number means another
    meter, whatever its register.
    """

    def __init__(self, meter: Meter, rules: PlausibilityRules, monotonic: Callable[[], float]) -> None:
        self._meter = meter
        self._rules = rules
        self._monotonic = monotonic
        self._accepted_reading: _TimedReading | None = None
        self._doubted_reading: _TimedReading | None = None
        self._serial_number: str | None = None
        self._reading_confirmed = False
        """another reading has confirmed the doubtful one"""
        self._rolled_over = False
        self._identified = False
        """whether the serial number was read since the last failure, or the meter reports none"""
        self._uncounted = UncountedEnergy()

    @property
    def rolled_over(self) -> bool:
        """Whether the doubtful reading is a roll-over of the register, which is accepted once nobody charges."""
        return self._rolled_over

    def accept_roll_over(self) -> None:
        """Accept a roll-over: the count continues from the doubtful reading. Does nothing unless `rolled_over`.

        To be called when nobody charges.
        """
        if self._rolled_over:
            self._accepted_reading, self._doubted_reading, self._rolled_over = self._doubted_reading, None, False

    @property
    def serial_number(self) -> str | None:
        """The serial number of the accepted meter; None if it reports none, or was not read yet."""
        return self._serial_number

    @property
    def last_accepted(self) -> Reading | None:
        """The last accepted reading, also of an earlier run of the program (`restore`); None before the first."""
        return self._accepted_reading.reading if self._accepted_reading is not None else None

    @property
    def last_doubted(self) -> Reading | None:
        """The doubtful reading, rejected because it does not continue the accepted ones; None if there is no doubt."""
        return self._doubted_reading.reading if self._doubted_reading is not None else None

    @property
    def uncounted_energy(self) -> UncountedEnergy:
        """The estimated energy that has flowed since the import register last moved."""
        return self._uncounted

    def restore(
        self,
        accepted: Reading | None,
        doubted: Reading | None = None,
        serial_number: str | None = None,
        uncounted_energy: UncountedEnergy | None = None,
    ) -> None:
        """Set the state that the caller has loaded from disk: last accepted reading, open doubt, and serial number.

        `uncounted_energy` is that of a register that was rejected as stuck.
        """
        self._accepted_reading = _TimedReading(accepted) if accepted is not None else None
        self._doubted_reading, self._reading_confirmed = (
            _TimedReading(doubted) if doubted is not None else None,
            doubted is not None,
        )
        self._serial_number = serial_number
        self._uncounted = uncounted_energy or UncountedEnergy()

    def accept_exchange(self) -> None:
        """Accept an exchanged meter: forget all earlier readings, so that the next possible one starts a new count."""
        self._accepted_reading = None
        self._doubted_reading = None
        self._serial_number = None
        self._identified = self._rolled_over = self._reading_confirmed = False
        self._uncounted = UncountedEnergy()

    def example_reading(self) -> Reading | None:
        """Make a reading with invented values for the quantities that the meter can report; None if not known which."""
        return self._meter.example_reading() if isinstance(self._meter, DescribedMeter) else None

    async def read(self) -> Reading:
        """Read from the meter the quantities that charging needs, and check them.

        Raises:
            MeterError: no reading, or an implausible one. A doubt is transient when it is new, and
            permanent once a second reading confirms it.
        """
        return await self._read_plausible(self._meter.read)

    async def read_all(self) -> Reading:
        """Read from the meter all quantities that it reports, and check them.

        Raises:
            MeterError: as `read`.
        """
        return await self._read_plausible(
            self._meter.read_all if isinstance(self._meter, DetailedMeter) else self._meter.read
        )

    async def _read_plausible(self, read: Callable[[], Awaitable[Reading]]) -> Reading:
        try:
            if not self._identified:
                await self._identify()
            requested_s = self._monotonic()  # the register was read at some moment from now on
            reading, now_s = await read(), self._monotonic()
        except MeterError:
            self._identified = False  # the next answer may come from another meter
            raise
        repeats = self._repeats_accepted(reading)  # as an idle meter does each second
        if not repeats:
            self._check(reading, requested_s, now_s)
        if not repeats or self._register_may_be_stuck(reading):
            self._reject_stuck_register(reading, requested_s)
        self._accepted_reading, self._doubted_reading, self._reading_confirmed = (
            _TimedReading(reading, requested_s),
            None,
            False,
        )
        return reading

    def _repeats_accepted(self, reading: Reading) -> bool:
        """Return whether a reading has the values of the one accepted before in this run, and nothing is in doubt."""
        accepted = self._accepted_reading
        if accepted is None or accepted.at_s is None or self._doubted_reading is not None:
            return False
        return reading.repeats(accepted.reading)

    def _check(self, reading: Reading, requested_s: float, now_s: float) -> None:
        """Raise an error for a reading that is not possible, or does not continue the accepted ones."""
        if (reason := self._rules.implausibility(reading)) is not None:
            raise ImplausibleReadingError(reason)
        if self._accepted_reading is not None:
            before, elapsed_s = self._accepted_reading.reading, self._accepted_reading.elapsed_s(now_s)
            reason = self._rules.discontinuity(before, reading, elapsed_s, unmoved_wh=self._uncounted.unmoved_wh)
            self._rolled_over = reason is not None and self._rules.rolled_over(before, reading, elapsed_s)
        confirmed = self._confirms_doubted(reading, now_s, fits=reason is None)
        if confirmed and reason is None:
            reason = "The registers continue from a rejected reading; an exchange of the meter was not confirmed."
        if self._rolled_over:
            reason = f"The register has rolled over: {reason}"
        if reason is not None:
            self._doubted_reading = _TimedReading(reading, requested_s)
            self._reading_confirmed = confirmed
            foreign = confirmed and not self._rolled_over
            raise ImplausibleReadingError(reason, transient=not confirmed, foreign=foreign)

    def _register_may_be_stuck(self, reading: Reading) -> bool:
        """Return whether a reading that repeats the accepted one must be checked for a register that does not count.

        Not if `uncounted_energy` is that of the accepted reading, at which no power flowed. It is of another reading
        after one that was rejected because of a stuck register, and after `accept_roll_over`.
        """
        motion = self._uncounted
        return not motion.is_at_rest(reading.energy_import_wh) or motion.unmoved_wh > self._rules.most_unmoved_wh

    def _reject_stuck_register(self, reading: Reading, requested_s: float) -> None:
        """Raise an error if the import register did not move while more than `most_unmoved_wh` flowed."""
        self._uncounted = self._uncounted.after(reading, requested_s)
        if self._uncounted.unmoved_wh > self._rules.most_unmoved_wh:
            raise ImplausibleReadingError(
                f"The import register does not count: it remains at {self._uncounted.register_wh:.10g} Wh, although"
                f" {self._uncounted.unmoved_wh:.0f} Wh flowed according to the meter's currents.",
                transient=False,
                register_stuck=True,
            )

    def _confirms_doubted(self, reading: Reading, now_s: float, *, fits: bool) -> bool:
        """Return whether a reading continues the doubtful one; `fits`: it also continues the accepted one.

        In that case, after a single doubtful reading, the nearer of the two counts: a small step back is soon made up.
        """
        doubt, accepted = self._doubted_reading, self._accepted_reading
        if doubt is None or self._rules.discontinuity(doubt.reading, reading, doubt.elapsed_s(now_s)) is not None:
            return False
        if not fits or self._reading_confirmed or accepted is None:
            return True
        return _distance_wh(doubt.reading, reading) < _distance_wh(accepted.reading, reading)

    async def _identify(self) -> None:
        if not isinstance(self._meter, IdentifiedMeter):
            self._identified = True
            return
        try:
            found = (await self._meter.identity()).serial_number
        except MeterError as error:
            if error.transient or self._serial_number is not None:
                raise
            self._identified = True  # a variant of the model without serial number
            return
        if self._serial_number is not None and found != self._serial_number:
            raise ImplausibleReadingError(
                f"This is another meter: its serial number is {found}, not {self._serial_number};"
                " an exchange of the meter was not confirmed.",
                transient=False,
                foreign=True,
            )
        self._serial_number = found
        self._identified = True

    async def close(self) -> None:
        """Release the wire of the wrapped meter."""
        await self._meter.close()


def _elapsed_h(previous: Reading, new: Reading, elapsed_s: float | None) -> float:
    if elapsed_s is None:
        elapsed_s = (new.taken_at - previous.taken_at).total_seconds()
    return elapsed_s / 3600.0


def _distance_wh(first: Reading, second: Reading) -> float:
    """The largest difference between the registers of two readings."""
    pairs = (
        (first.energy_import_wh, second.energy_import_wh),
        (first.energy_export_wh, second.energy_export_wh),
        *zip(first.energies_import_wh, second.energies_import_wh, strict=True),
        *zip(first.energies_export_wh, second.energies_export_wh, strict=True),
    )
    return max(
        (abs(after - before) for before, after in pairs if before is not None and after is not None), default=0.0
    )
