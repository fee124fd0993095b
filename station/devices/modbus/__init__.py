"""Boards of EVSEs behind a controller on Modbus."""
