from django.db import models
from django.utils import timezone


class PageView(models.Model):
    """One page that somebody looked at; kept in a second database."""

    path = models.CharField(max_length=200)
    seconds = models.FloatField(default=0)
    viewed_at = models.DateTimeField(default=timezone.now, db_index=True)

    class Meta:
        ordering = ["-viewed_at"]

    def __str__(self) -> str:
        return self.path
