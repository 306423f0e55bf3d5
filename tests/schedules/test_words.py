"""Expressions read back in words."""

import pytest
from django.utils import translation

from django_rclone_admin.cron import Cron
from django_rclone_admin.schedules.words import PRESETS, in_words

WORDS = {
    "0 2 * * *": "every night at 02:00",
    "30 14 * * *": "every day at 14:30",
    "0 2,14 * * *": "every day at 02:00 and 14:00",
    "15,45 1-2 * * *": "every night at 01:15, 01:45, 02:15 and 02:45",
    "0 4 * * 0": "Sundays at 04:00",
    "0 4 * * 7": "Sundays at 04:00",
    "0 4 * * sun,WED": "Sundays and Wednesdays at 04:00",
    "0 2 * * 1-5": "Mondays to Fridays at 02:00",
    "0 2 * * MON-FRI": "Mondays to Fridays at 02:00",
    "0 2 * * 0-6": "every day at 02:00",
    "* * * * *": "every minute",
    "*/15 * * * *": "every 15 minutes",
    "0 * * * *": "every hour",
    "17 * * * *": "every hour at minute 17",
    "0 */6 * * *": "every 6 hours",
    "30 */8 * * *": "at 00:30, 08:30 and 16:30",
    "0 */6 * * 0": "Sundays every 6 hours",
    "0 3 1 * *": "on the first day of the month at 03:00",
    "0 3 L * *": "on the last day of the month at 03:00",
    "0 3 LW * *": "on the last weekday of the month at 03:00",
    "0 3 5 * *": "on day 5 of the month at 03:00",
    "0 3 1,15 * *": "on the days 1 and 15 of the month at 03:00",
    "0 3 1 * 1": "on the first day of the month and Mondays at 03:00",
    "0 3 1 1,7 *": "on the first day of the month at 03:00 in January and July",
    "0 3 1 JAN *": "on the first day of the month at 03:00 in January",
    "*/7 * * * *": "at the times of “*/7 * * * *”",
    "* 2 * * *": "at the times of “* 2 * * *”",
    "0 0-23 * * *": "at the times of “0 0-23 * * *”",
    "0 3 * * MON#2": "at the times of “0 3 * * MON#2”",
    "0 3 * * 5L": "at the times of “0 3 * * 5L”",
    "0 3 */2 * *": "at the times of “0 3 */2 * *”",
    "0 3 1-7/2 * *": "at the times of “0 3 1-7/2 * *”",
}


@pytest.mark.parametrize("expression, expected", WORDS.items())
def test_words_say_what_the_expression_means(expression, expected):
    Cron(expression=expression)
    assert in_words(expression) == expected


def test_presets_have_words_of_their_own():
    for expression in PRESETS:
        Cron(expression=expression)
        assert "at the times of" not in in_words(expression)


def test_words_are_translated_when_they_are_asked_for():
    with translation.override("de"):
        assert in_words("0 3 1 1 *").endswith("Januar")  # the months are Django's own
