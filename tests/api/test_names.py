"""The API is imported when it is first asked for, and gives the same names ever after."""

import subprocess
import sys

CODE = """
import django
django.setup()
from django_rclone_admin import api
api.{first}
print([name for name in api.__all__ if getattr(api, name) is not getattr(api.public, name)])
"""


def test_function_is_never_hidden_by_the_module_of_its_name():
    for first in "health", "list_backups":
        code = CODE.format(first=first)
        found = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            env={"DJANGO_SETTINGS_MODULE": "tests.site.settings", "PYTHONPATH": "."},
        )
        assert (found.stdout, found.stderr) == ("[]\n", "")
