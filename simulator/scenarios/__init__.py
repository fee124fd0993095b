"""Scenarios: steps and expectations for one station at a CSMS, with a verdict."""
