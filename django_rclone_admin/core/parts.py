"""The part size of multipart uploads to object storage.

The number of parts is limited. With the default size that ends at 48 GiB on S3, hours after the upload began.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

MIB = 1 << 20
MOST_PARTS = 10_000
"""The most parts of an upload on S3; the other storages allow at least as many."""
PARTS = {"S3": (MOST_PARTS, 5), "OOS": (MOST_PARTS, 5), "QINGSTOR": (MOST_PARTS, 4), "AZUREBLOB": (50_000, 4)}
"""By rclone's backend: the most parts of an upload, and the default size of each in MiB."""
CONFIGURED = re.compile("chunk.size", re.IGNORECASE)


def part_sizes(expected: int | None, configuration: Iterable[str]) -> dict[str, str]:
    """Return the rclone variables that leave room for twice the expected bytes.

    None are needed where the default size suffices, or where the configuration sets a size.

    :param configuration: the remote, the flags and the variable names of the settings.
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
