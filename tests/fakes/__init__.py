"""Scripted stand-ins for the world outside: real servers on loopback that fail as told."""
