"""What the templates say and draw: times, sizes, and two small charts as SVG, without any style or script inside."""

from __future__ import annotations

from collections.abc import Sequence

from django import template
from django.utils.formats import date_format
from django.utils.html import format_html, format_html_join
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from .. import wording
from ..health import Day

register = template.Library()

WIDTH, HEIGHT = 300, 40


register.filter("ago", wording.ago)
register.filter("bytes", wording.size)
register.filter("files", wording.files)
register.filter("objects", wording.objects)
register.filter("moment", wording.time)
register.filter("span", wording.span)


@register.simple_tag
def trend(sizes: Sequence[int]) -> str:
    """Draw the sizes of the last backups, oldest first, as a line."""
    if len(sizes) < 2:
        return ""
    top, step = max(sizes) or 1, WIDTH / (len(sizes) - 1)
    points = " ".join(
        f"{index * step:.1f},{HEIGHT - 2 - size / top * (HEIGHT - 6):.1f}" for index, size in enumerate(sizes)
    )
    label = ngettext("Size of the last %(count)d backup", "Size of the last %(count)d backups", len(sizes))
    return format_html(
        '<svg class="dra-trend" viewBox="0 0 {w} {h}" preserveAspectRatio="none" role="img" aria-label="{label}">'
        '<polygon points="0,{h} {points} {w},{h}"/><polyline points="{points}"/></svg>',
        w=WIDTH,
        h=HEIGHT,
        points=points,
        label=label % {"count": len(sizes)},
    )


@register.simple_tag
def strip(days: Sequence[Day]) -> str:
    """Draw one small box a day."""
    words = {"ok": _("backed up"), "failed": _("failed"), "none": _("no backup")}
    good = sum(each.state == "ok" for each in days)
    label = _("Backed up on %(good)d of the last %(all)d days") % {"good": good, "all": len(days)}
    boxes = format_html_join(
        "",
        '<i class="dra-day dra-{}" title="{}: {}"></i>',
        ((each.state, date_format(each.day), words[each.state]) for each in days),
    )
    return format_html('<div class="dra-strip" role="img" aria-label="{}">{}</div>', label, boxes)
