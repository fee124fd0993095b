"""Days of a station's life on the virtual clock: drivers, troubles, and checks of everything that must hold."""
