"""Boards of EVSEs that are external controllers on Modbus."""
