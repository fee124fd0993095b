"""Variable monitoring (OCPP 2.0.1, N02 to N08): monitors of variables, and the events that they trigger."""
