"""Slow and obvious Python twins of the native parts: what the tests hold them against."""
