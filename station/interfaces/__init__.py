"""Interfaces to people and other systems: page, HTTP API, MQTT, multicast DNS, status light."""
