"""Fetching a model file and proving that it is the right one."""
