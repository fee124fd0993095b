"""Sources of grid readings and grid orders: Linky, P1, Modbus meters, current transformers, dry contacts."""
