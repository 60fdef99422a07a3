"""Measurements beside upstream: ``python -m benchmarks``. Not part of the product."""
