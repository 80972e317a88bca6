"""Sockets in, the store out; never a sink."""
