"""The size of the parts in which a stream goes to object storage.

There can be only so many parts. With their usual size that ends at 48 GiB on S3, hours after the upload has begun.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

MIB = 1 << 20
MOST_PARTS = 10_000
"""Parts of an upload on S3, and at least so many on the others."""
PARTS = {"S3": (MOST_PARTS, 5), "OOS": (MOST_PARTS, 5), "QINGSTOR": (MOST_PARTS, 4), "AZUREBLOB": (50_000, 4)}
"""By rclone's backend: the most parts of an upload, and how many MiB each usually has."""
CONFIGURED = re.compile("chunk.size", re.IGNORECASE)


def part_sizes(expected: int | None, configuration: Iterable[str]) -> dict[str, str]:
    """Return the variables of rclone by which twice as many bytes as are expected have room.

    None are needed where the usual size will do, or where the configuration says a size itself.

    :param configuration: the remote, the flags and the names of the variables of the settings.
    """
    if not expected or any(CONFIGURED.search(each) for each in configuration):
        return {}
    found = {}
    for backend, (count, usual) in PARTS.items():
        mebibytes = 2 * expected // count // MIB + 1
        if mebibytes > usual:
            found[f"RCLONE_{backend}_CHUNK_SIZE"] = f"{mebibytes}Mi"
            found[f"RCLONE_{backend}_UPLOAD_CONCURRENCY"] = "2"  # each part is in memory
    return found
