"""How long the backup list takes with ten thousand backups on the remote: `make bench`."""

from datetime import timedelta
from time import thread_time

import pytest
from django.urls import reverse

from tests.support.backups import DAY

BACKUPS = 10_000
LIMIT = 0.3
"""Seconds of our own work that a page may take once the listing is known."""

LIST = "admin:django_rclone_admin_backup_changelist"

QUESTIONS = {
    "list": {},
    "second page": {"p": "2"},
    "one database": {"database": "analytics"},
    "by size": {"o": "-4"},
    "one month": {"taken_at__year": "2026", "taken_at__month": "3"},
    "search": {"q": "before the move"},
    "by state": {"o": "5"},
    "complete ones": {"state__exact": "complete"},
    "with counts": {"_facets": "True"},
}
"""Query of each page, by what it shows. From the search on, they need every manifest."""

pytestmark = pytest.mark.django_db(databases=["default", "analytics"])


@pytest.fixture
def many_backups(backups, tmp_path):
    for number in range(BACKUPS):
        backups.put(
            DAY - timedelta(hours=number),
            database=("default", "analytics")[number % 2],
            size=number % 1000 + 1,
            label="before the move" if number % 100 == 0 else "",
            pinned=number % 50 == 0,
        )
    backups.configure(LISTING_CACHE_SECONDS=3600)
    backups.count_calls(tmp_path)
    return backups


def test_listing_of_ten_thousand_backups(admin_client, many_backups):
    address, warm = reverse(LIST), {}
    print(f"\n{BACKUPS:,} backups            cold     warm   calls of rclone")
    for name, query in QUESTIONS.items():
        cold = time_page(admin_client, address, query)
        calls = many_backups.calls()
        warm[name] = min(time_page(admin_client, address, query) for _ in range(3))
        assert many_backups.calls() == []
        assert calls in ([], ["lsjson", "lsjson", "cat"], ["cat"])
        print(f"{name:<24}{cold:7.3f}s {warm[name]:7.3f}s   {' '.join(calls) or '-'}")
    assert max(warm.values()) < LIMIT


def time_page(client, address, query) -> float:
    """Return the seconds of our own work on a page: rclone's, and waiting for it, do not count."""
    started = thread_time()
    response = client.get(address, query)
    assert response.status_code == 200
    assert b"dra-badge" in response.content
    return thread_time() - started
