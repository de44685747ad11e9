"""Addresses that requests of clients may reach."""

import ipaddress

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

CLOSED: tuple[Network, ...] = tuple(
    map(
        ipaddress.ip_network,
        (
            "64:ff9b::/96",  # NAT64: leads to any IPv4 address
            "64:ff9b:1::/48",
            "2002::/16",  # 6to4, likewise
            "192.88.99.0/24",
            "2001::/32",  # Teredo, likewise
            "::/96",  # IPv4 addresses as IPv6 addresses, in the deprecated form
            "fec0::/10",  # site-local, deprecated
            "192.0.0.0/24",  # of protocols; some versions of Python know only a part of it
            "100::/64",  # discarded
            "3fff::/20",  # of examples
            "5f00::/16",  # of segment routing
            "168.63.129.16/32",  # of Azure, to its machines: a public address, but not a public host
        ),
    )
)
"""Networks that are closed although Python calls some of their addresses global."""


class Addresses:
    """Decides about addresses."""

    def __init__(self, networks: str | None) -> None:
        """`networks`: closed addresses and networks that are allowed, separated by commas."""
        self._networks = [
            ipaddress.ip_network(network.strip(), strict=False)
            for network in (networks or "").split(",")
            if network.strip()
        ]

    def allow(self, text: str) -> bool:
        """Whether a request may go to the address: a public one, or one of the operator's networks."""
        try:
            address: Address = ipaddress.ip_address(text)
        except ValueError:
            return False
        if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        return any(address in network for network in self._networks) or _is_public(address)


def _is_public(address: Address) -> bool:
    closed = (
        address.is_private
        or address.is_loopback
        or address.is_link_local  # 169.254.169.254 has the metadata of cloud machines
        or address.is_multicast
        or address.is_reserved
        or address.is_unspecified
        or any(address in network for network in CLOSED)
    )
    return address.is_global and not closed
