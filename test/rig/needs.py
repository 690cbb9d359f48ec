"""What the machine must have for the lanes that run on hosts of their own."""

from __future__ import annotations

#: Debian packages for the netns and the host lane.
APT = [
    "bird2",
    "debian-archive-keyring",
    "fping",
    "iproute2",
    "iputils-arping",
    "iputils-ping",
    "keepalived",
    "mmdebstrap",
    "nftables",
    "procps",
    "shellcheck",
    "systemd-container",
    "util-linux",
]

#: Programs of the netns lane.
NETNS_PROGRAMS = ["ip", "nsenter", "unshare", "mount", "nft", "arping", "keepalived"]

#: Programs of the host lane, on top of those of the netns lane.
HOST_PROGRAMS = ["systemd-nspawn", "chroot", "cp"]

#: Programs to build the root of a suite; not needed once it lies in the cache.
ROOT_PROGRAMS = ["mmdebstrap", "apt-get"]


if __name__ == "__main__":
    print(" ".join(APT))
