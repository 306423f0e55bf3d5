"""Template filters: times, sizes, and two small charts as SVG, without inline styles or scripts."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import TYPE_CHECKING

from django import template
from django.utils.formats import date_format
from django.utils.html import format_html, format_html_join
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from .. import wording

if TYPE_CHECKING:
    from django.contrib.admin.views.main import ChangeList

    from ..health.facts import Day, PartFacts
    from ..health.verdict import Health

register = template.Library()

WIDTH, HEIGHT = 300, 40
RESTORED = ("restore", "site")
"""The levels of checks that restore a backup."""


register.filter("ago", wording.ago)
register.filter("level", wording.level)
register.filter("bytes", wording.size)
register.filter("engine", wording.engine)
register.filter("files", wording.files)
register.filter("objects", wording.objects)
register.filter("number", wording.number)
register.filter("signed", wording.signed)
register.filter("moment", wording.time)
register.filter("span", wording.span)
register.filter("when", wording.when)


@register.simple_tag
def trend(sizes: Sequence[int]) -> str:
    """Draw the sizes of the last backups, oldest first, as a line above an axis."""
    if len(sizes) < 2:
        return ""
    top, step = max(sizes) or 1, WIDTH / (len(sizes) - 1)
    points = " ".join(
        f"{index * step:.1f},{HEIGHT - 2 - size / top * (HEIGHT - 6):.1f}" for index, size in enumerate(sizes)
    )
    label = ngettext("Size of the last %(count)d backup", "Size of the last %(count)d backups", len(sizes))
    label %= {"count": len(sizes)}
    return format_html(
        '<svg class="dra-trend" viewBox="0 0 {w} {h}" preserveAspectRatio="none" role="img" aria-label="{label}">'
        '<polygon points="0,{h} {points} {w},{h}"/><polyline points="{points}"/></svg>'
        '<p class="dra-axis"><span>{label}</span><bdi>0 – {top}</bdi></p>',
        w=WIDTH,
        h=HEIGHT,
        points=points,
        label=label,
        top=wording.size(max(sizes)),
    )


@register.simple_tag
def strip(days: Sequence[Day]) -> str:
    """Draw one small box a day above an axis, with a legend if there is more than one kind.

    Days before the first backup, or the first attempt, are not failures.
    """
    words = {
        "ok": _("backed up"),
        "failed": _("failed"),
        "none": _("no backup"),
        "before": _("not yet in use"),
    }
    first = next((index for index, each in enumerate(days) if each.state != "none"), len(days))
    states = [each.state if index >= first else "before" for index, each in enumerate(days)]
    good, lived = states.count("ok"), len(days) - first
    if first and lived:
        label = _("Backed up on %(good)d of the %(all)d days since the first backup")
    else:
        label, lived = _("Backed up on %(good)d of the last %(all)d days"), len(days)
    boxes = format_html_join(
        "",
        '<i class="dra-day dra-{}" title="{}: {}"></i>',
        ((state, date_format(each.day), words[state]) for each, state in zip(days, states, strict=True)),
    )
    shown = [state for state in ("ok", "failed", "none") if state in states]
    keys = format_html_join(
        "",
        '<span class="dra-key"><i class="dra-day dra-{}"></i> {}</span>',
        ((each, words[each]) for each in shown),
    )
    return format_html(
        '<div class="dra-strip" role="img" aria-label="{}">{}</div>'
        '<p class="dra-axis"><bdi>{}</bdi>{}<bdi>{}</bdi></p>',
        label % {"good": good, "all": lived},
        boxes,
        ngettext("%(count)d day ago", "%(count)d days ago", len(days) - 1) % {"count": len(days) - 1},
        keys if len(shown) > 1 else "",
        _("today"),
    )


@register.filter
def counting(changelist: ChangeList, plural: str) -> ChangeList:
    """Return a list for its pagination, which counts its rows as ``plural``: the name of the model is that of the list."""
    counted = copy.copy(changelist)
    counted.opts = copy.copy(changelist.opts)
    counted.opts.verbose_name_plural = plural
    return counted


@register.filter
def outlook(health: Health) -> str:
    """Return the time of the last successful test restore, and of the next backup."""
    facts = [each.facts for each in health.parts]
    proven = [
        each.proven_at
        for each in facts
        if each.kind == "database" and each.proven_at and each.proven_level in RESTORED
    ]
    coming = [each.next_run_at for each in facts if each.next_run_at]
    found = []
    if proven:
        found.append(_("The last test restore passed %(time)s.") % {"time": wording.ago(max(proven))})
    if coming:
        found.append(_("Next backup: %(time)s.") % {"time": wording.when(min(coming))})
    return " ".join(found)


@register.filter
def stored(facts: PartFacts) -> str:
    """Return the size of a database's backups, or of the media backups, on the remote."""
    count = ngettext("%(count)s backup", "%(count)s backups", facts.count)
    count %= {"count": wording.number(facts.count)}
    if facts.kind == "media":  # most of their files belong to many backups
        return count
    return _("%(size)s in %(backups)s") % {"size": wording.size(facts.stored), "backups": count}
