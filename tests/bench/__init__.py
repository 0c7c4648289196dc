"""The project's own benchmark: the proxy beside its peers, in one run, on loopback. `python -m tests.bench --help`.

The proxy has the last core to itself; mock and driver (C, in src/) share the first, and still offer more than any
proxy can pass on. Delays of events are one-way: an event carries the time at which the mock sent it.
`tests.bench.guard` is the short form that fails when the proxy has become expensive, `tests.bench.curves` shows how its
cost grows with the work.
"""
