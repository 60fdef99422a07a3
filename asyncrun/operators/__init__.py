"""Operators: they validate, launch, defer and resume."""
