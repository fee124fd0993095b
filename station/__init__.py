"""The charging station. It works without a CSMS and knows neither OCPP messages nor simulated hardware."""
