"""“Nothing was changed” is said only where that is known.

Whoever raises an error knows what its own step has done, but not what the run had done before. So the claim stands at the
beginning of a hint, where the run takes it out if it had changed something that stays (``BackupError.changed``); or
whoever says it knows the whole of it, and the reason is below.
"""

import ast
import re
from collections.abc import Iterator

import pytest

from django_rclone_admin import wording
from django_rclone_admin.exceptions import NOTHING_CHANGED, BackupError, Cancelled
from tests.support import programs
from tests.support.backups import antedate
from tests.support.code import PACKAGE, nodes
from tests.support.site import Shop

TEMPLATES = PACKAGE.parent / "templates"

CLAIM = re.compile(
    r"nothing (was|is|has|has been|had) (changed|touched|done|stored|kept|committed|restored|removed|deleted)"
    r"|changed nothing|as it was before",
    re.IGNORECASE,
)

KNOWN = {
    # -- the run had not begun its work ---------------------------------------------------------------------------------
    "Nothing was done. Check that the service behind EXECUTOR": "the run was still queued when it was closed",
    "Nothing was done. Run it again.": "the run was still queued when it was closed",
    "Nothing was done. Check that a worker": "the run was still queued when it was closed",
    # -- the step that would have changed something was not taken -------------------------------------------------------
    "Nothing was stored.": "the dump failed: no end-of-file was sent, and the upload is removed",
    "pg_restore did not end as expected, so nothing was committed": "the COMMIT is ours, and was not sent",
    "There are no media files, but the backup has": "refused before the first file was copied",
    # -- what will be, before anything begins ---------------------------------------------------------------------------
    "What the retention rules of the settings remove, and when": "the page is a preview, and takes nothing but GET",
    # -- the fence ------------------------------------------------------------------------------------------------------
    "It changed nothing after that.": "the fence is asked before each step that can't be taken back",
    # -- all or nothing -------------------------------------------------------------------------------------------------
    "The database is as it was before": "a database restore that failed and has no “unfinished” mark",
    "Finished databases are kept. The unfinished one changed nothing.": "no run was at work when Ctrl-C was pressed",
}
"""The beginnings of other texts that say so, and why it is known there."""


def texts() -> Iterator[tuple[str, str]]:
    """Give every text of the package that is not a docstring, and where it stands."""
    for path in PACKAGE.rglob("*.py"):
        docs = {
            id(node.body[0].value)
            for node in nodes(path)
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
            and node.body
            and isinstance(node.body[0], ast.Expr)
        }
        bare = {id(node.value) for node in nodes(path) if isinstance(node, ast.Expr)}
        for node in nodes(path):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docs | bare:
                yield node.value, f"{path.relative_to(PACKAGE)}:{node.lineno}"
    for path in TEMPLATES.rglob("*.html"):
        for text in re.findall(r'translate "([^"]*)"|%}([^{%]+){% endblocktranslate', path.read_text()):
            yield "".join(text), str(path.relative_to(TEMPLATES))


def test_every_place_that_says_it_is_one_where_it_is_known():
    every = list(texts())
    said = [(text, place) for text, place in every if CLAIM.search(text)]
    assert len(said) > 50  # the walk sees them
    unknown = [
        (text, place)
        for text, place in said
        if not (text.startswith(NOTHING_CHANGED) and not CLAIM.search(text[len(NOTHING_CHANGED) :]))
        and not any(text.startswith(beginning) for beginning in KNOWN)
    ]
    assert unknown == []
    gone = [beginning for beginning in KNOWN if not any(text.startswith(beginning) for text, _place in every)]
    assert gone == []


def test_claim_is_taken_out_of_the_hint_where_something_was_changed():
    error = BackupError("It failed.", hint="Nothing was changed. Try %(name)s.", name="again")
    error.changed = "Some of it was removed."
    assert (error.hint, wording.describe(error)[1]) == ("Some of it was removed. Try again.",) * 2
    stop = Cancelled("Stopped.")
    stop.changed = "Some of it was removed."
    assert stop.hint == "Some of it was removed."


@pytest.mark.slow
def test_clean_up_that_fails_after_its_first_delete_does_not_say_that_nothing_was_changed(
    make_shop, tmp_path, rclone_binary
):
    shop: Shop = make_shop("sqlite", backed_up=True)
    for day in "2026-09-01", "2026-09-02":
        antedate(shop, day)
    count = tmp_path / "count"
    body = f"""
if "deletefile" in arguments:
    with open({str(count)!r}, "a") as file:
        file.write("x")
    if os.path.getsize({str(count)!r}) > 2:
        print("ERROR : permission denied", file=sys.stderr)
        sys.exit(1)
"""
    program = programs.wrapper(tmp_path / "bin", "rclone", rclone_binary, body)
    shop.settings["DJANGO_RCLONE"] |= {"RCLONE_BINARY": str(program), "DB_CLEANUP_KEEP": 1}
    result = shop.manage("prunebackups", "--database=default")
    assert result.code == 1
    assert "Nothing was changed" not in result.err
    assert "Hint: Some backups may have been removed before that." in result.err


@pytest.mark.slow
def test_media_backup_that_is_stopped_in_the_middle_does_not_say_that_nothing_was_changed(
    make_shop, tmp_path, rclone_binary
):
    shop: Shop = make_shop("sqlite")
    media = tmp_path / "media"
    media.mkdir()
    (media / "photo.jpg").write_bytes(b"a photo")
    shop.settings["MEDIA_ROOT"] = str(media)
    body = """
if "sync" in arguments:
    start().wait()
    os.kill(os.getppid(), signal.SIGTERM)
    signal.pause()
"""
    program = programs.wrapper(tmp_path / "bin", "rclone", rclone_binary, body)
    shop.settings["DJANGO_RCLONE"]["RCLONE_BINARY"] = str(program)
    result = shop.manage("mediabackup")
    assert result.code == 1
    assert "Nothing was changed" not in result.err
    assert "Hint: Some files may be in the mirror already" in result.err
