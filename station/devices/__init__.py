"""Drivers of real hardware: boards, token readers, status lights, firmware updaters."""
