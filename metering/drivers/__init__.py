"""The drivers of billing meters, and the Modbus wires that they share."""
