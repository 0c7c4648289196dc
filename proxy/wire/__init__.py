"""Bytes: what the protocols say. Pure functions and small readers; nothing here opens or waits."""
