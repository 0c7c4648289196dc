"""The listening sockets: a set for each slot, all on one port, bound before any worker starts and kept to the end.

The kernel deals new connections out among the sockets of a port (SO_REUSEPORT). Were they the workers' own, a worker's
end would reset every connection that waits to be accepted. They are the fleet's, so such connections wait for the
successor, which takes over the same socket. `listen` is left to the worker: before that, nobody connects.
"""

import socket
from contextlib import ExitStack
from dataclasses import dataclass

from proxy.app import AddressInUse
from proxy.config.value import Address


@dataclass(frozen=True, slots=True)
class Place:
    """A host's address of one family, without a port."""

    family: int
    host: str


def bind(address: Address, slots: int) -> list[list[socket.socket]]:
    """For each slot a socket for every address of the host, all on one port. Raises AddressInUse."""
    with ExitStack() as unless_bound:
        try:
            places = _places(address.host)
            _refuse_company(places, address.port)
            first = _bind_all(places, address.port, unless_bound)
            port = first[0].getsockname()[1]
            shares = [first, *(_bind_all(places, port, unless_bound) for _ in range(slots - 1))]
        except OSError as error:
            raise AddressInUse(address, error) from error
        unless_bound.pop_all()
    return shares


def release(sockets: list[socket.socket]) -> None:
    """Stop listening, as far as this process goes."""
    for listener in sockets:
        listener.close()


def _places(host: str) -> list[Place]:
    """No host is every interface, as for asyncio's servers, also where the machine has one family only."""
    found = socket.getaddrinfo(host or None, 0, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    places = dict.fromkeys(Place(family, str(where[0])) for family, _, _, _, where in found)
    return list(places) if host else [place for place in places if _is_here(place)]


def _is_here(place: Place) -> bool:
    try:
        with _socket(place) as probe:
            probe.bind((place.host, 0))
    except OSError:
        return False
    return True


def _refuse_company(places: list[Place], port: int) -> None:
    """SO_REUSEPORT would let a second fleet of the same user take a share of this one's connections, unnoticed."""
    for place in places:
        with _socket(place) as probe:
            probe.bind((place.host, port))


def _bind_all(places: list[Place], port: int, unless_bound: ExitStack) -> list[socket.socket]:
    """A port of 0 is picked for the first and holds for the others."""
    listeners: list[socket.socket] = []
    for place in places:
        listener = unless_bound.enter_context(_socket(place))
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind((place.host, port))
        port = listener.getsockname()[1]
        listeners.append(listener)
    return listeners


def _socket(place: Place) -> socket.socket:
    made = socket.socket(place.family, socket.SOCK_STREAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if place.family == socket.AF_INET6:
        made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    return made
