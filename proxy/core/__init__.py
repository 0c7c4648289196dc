"""Decisions. Facts go in, actions come out; nothing here opens, waits, measures time or rolls dice."""
