"""Sensors: deferrable, on the same shared watchers as the operators."""
