"""Tests, and before anything is imported for them, a hook by which none reaches the network."""

import sys

HERE = ("127.0.0.1", "::1", "localhost")


def refuse_the_network(event: str, arguments: tuple) -> None:
    """An audit hook: what imports or tests would ask of another machine is an error."""
    if event == "socket.connect" and isinstance(arguments[1], tuple):
        host = arguments[1][0]
    elif event == "socket.getaddrinfo":
        host = arguments[0]
    else:
        return
    if host not in HERE:
        raise PermissionError(f"Tests need no network, but one asks for {host!r}.")


sys.addaudithook(refuse_the_network)
