"""Which addresses a request for a client may reach."""

import pytest

from jobs.outbound.addresses import Addresses

PUBLIC = ["1.1.1.1", "93.184.216.34", "2606:4700:4700::1111", "::ffff:8.8.8.8"]
CLOSED = {
    "loopback": ["127.0.0.1", "127.255.255.254", "::1"],
    "unspecified": ["0.0.0.0", "::"],
    "this network": ["0.1.2.3"],
    "private": ["10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "fc00::1", "fd12:3456::1"],
    "carrier-grade NAT": ["100.64.0.1", "100.100.100.200", "100.127.255.255"],
    "link-local": ["169.254.0.1", "fe80::1", "fe80::1%1"],
    "metadata": ["169.254.169.254", "fd00:ec2::254", "168.63.129.16"],
    "multicast": ["224.0.0.1", "239.255.255.255", "ff02::1"],
    "reserved": ["240.0.0.1", "255.255.255.255", "192.0.0.8"],
    "examples": ["192.0.2.1", "198.51.100.1", "203.0.113.1", "2001:db8::1"],
    "benchmarks": ["198.18.0.1"],
    "IPv4 in IPv6": [
        "::ffff:127.0.0.1",
        "::ffff:a9fe:a9fe",
        "::127.0.0.1",
        "64:ff9b::7f00:1",
        "64:ff9b:1::a9fe:a9fe",
        "2002:7f00:1::",
        "2001:0:53aa:64c::",
    ],
    "deprecated": ["fec0::1", "192.88.99.1"],
    "none": ["", "localhost", "127.1", "2130706433", "0x7f.1", "1.1.1.1 ", "[::1]"],
}


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_allowed(address: str) -> None:
    assert Addresses(None).allow(address)


@pytest.mark.parametrize("kind", CLOSED)
def test_all_others_are_closed(kind: str) -> None:
    assert [address for address in CLOSED[kind] if Addresses(None).allow(address)] == []


def test_networks_of_the_operator_are_allowed() -> None:
    addresses = Addresses("10.1.0.0/16, 127.0.0.1,fd00::/8")
    allowed = ("10.1.2.3", "127.0.0.1", "::ffff:127.0.0.1", "fd00::7", "1.1.1.1")
    assert all(map(addresses.allow, allowed))
    assert not any(map(addresses.allow, ("10.2.0.1", "127.0.0.2", "::1", "169.254.169.254")))
