"""How many clients a process may hold: each is a descriptor, and some are needed for what is not a client."""

import resource

__all__ = ["DESCRIPTOR_RESERVE", "usable_descriptors"]

DESCRIPTOR_RESERVE = 256  # for what is not a client: database, Redis, files, the event loop


def usable_descriptors() -> int:
    """Raise this process's limit of open files to what the system allows, and return how many may be clients."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = 1 << 20 if hard == resource.RLIM_INFINITY else hard  # the kernel's own bound (fs.nr_open) where none is set
    if soft != most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    return max(64, most - DESCRIPTOR_RESERVE)
