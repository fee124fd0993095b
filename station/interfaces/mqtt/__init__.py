"""Publishing the station's state to an MQTT broker, with Home Assistant discovery."""
