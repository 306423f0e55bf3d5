"""Savepoints for queries that may fail inside of the caller's transaction."""

from contextlib import AbstractContextManager, nullcontext
from typing import Any

from django.db import connections, transaction


def savepoint(alias: str) -> AbstractContextManager[Any]:
    """Return a context that keeps a failed query from breaking the caller's transaction.

    Outside of a transaction it does nothing: it does not begin one.
    """
    return transaction.atomic(using=alias) if connections[alias].in_atomic_block else nullcontext()
