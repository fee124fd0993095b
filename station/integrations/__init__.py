"""Who else in the house may know and ask: MQTT, Home Assistant, multicast DNS."""
