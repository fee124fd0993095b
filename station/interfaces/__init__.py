"""What people and other systems use: page, HTTP API, MQTT, multicast DNS, status light."""
