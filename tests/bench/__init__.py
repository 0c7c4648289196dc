"""The project's own benchmark: the proxy against going direct, in one run. `python -m tests.bench --help`.

Everything is on loopback: a mock upstream in a process of its own, the proxy pinned to the last core, mock and driver
on the first. Delays of events are one-way: an event carries the time at which the mock sent it.
"""
