"""Drivers of real hardware: boards, token readers, lamps, firmware updaters."""
