"""The signals. Each also carries ``run``, the :class:`~django_rclone_admin.models.BackupRun`.

A receiver of a ``pre_*`` signal may veto by raising: the run then fails with that message and changes nothing. All
other signals are sent robustly: an error in a receiver is only logged.
"""

from django.dispatch import Signal

pre_db_backup = Signal()
"""``database``: the alias."""
post_db_backup = Signal()
"""``database``; ``path``: the path of the backup, relative to the remote."""
pre_db_restore = Signal()
"""``database``: the alias that will be overwritten; ``path``."""
post_db_restore = Signal()
"""``database``."""
pre_media_backup = Signal()
post_media_backup = Signal()
pre_media_restore = Signal()
post_media_restore = Signal()

run_started = Signal()
run_finished = Signal()
"""The run succeeded."""
run_failed = Signal()
"""``exception``: why it failed or was stopped."""
