"""SQL text as a dump of a site has it, the same at every run: names, addresses, dates, digests, sentences, JSON."""

import random
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from pathlib import Path

OPENED = datetime(2026, 1, 1, tzinfo=UTC)
SYLLABLES = [
    "an",
    "ber",
    "co",
    "de",
    "er",
    "fi",
    "gra",
    "ing",
    "ka",
    "lo",
    "men",
    "ni",
    "or",
    "per",
    "ra",
    "so",
    "ter",
    "ur",
]
VOCABULARY = 5_000


def write_sql_text(path: Path, megabytes: int) -> Path:
    """Write rows of four kinds, as ``pg_dump`` does in plain format, until the file has that size."""
    rng = random.Random(7)
    text = Text(rng, vocabulary(rng))
    with path.open("w") as file:
        for number in range(1_000_000_000):
            file.write(KINDS[number % len(KINDS)](text, number))
            if number % 1000 == 0 and file.tell() >= megabytes << 20:
                break
    return path


def vocabulary(rng: random.Random) -> list[str]:
    """Return the words of a language that nobody speaks."""
    return ["".join(rng.choices(SYLLABLES, k=rng.randint(1, 4))) for _ in range(VOCABULARY)]


class Text:
    """Gives words as often as a language does: the second one half as often as the first, and so on (Zipf's law)."""

    def __init__(self, rng: random.Random, words: list[str]) -> None:
        self.rng, self._words = rng, words
        self._weights = list(accumulate(1 / rank for rank in range(1, len(words) + 1)))
        self.names = [" ".join(self.some(2)).title() for _ in range(3000)]

    def some(self, count: int) -> list[str]:
        return self.rng.choices(self._words, cum_weights=self._weights, k=count)

    def moment(self) -> str:
        when = OPENED + timedelta(
            seconds=self.rng.randint(0, 28_000_000), microseconds=self.rng.randint(0, 999_999)
        )
        return when.isoformat(" ")


def _customer(text: Text, number: int) -> str:
    name = text.rng.choice(text.names)
    street = f"{text.rng.randint(1, 200)} {text.some(1)[0].title()} Street"
    return f"{number}\t{name}\t{name.replace(' ', '.').lower()}@example.com\t{street}\t{text.moment()}\n"


def _order(text: Text, number: int) -> str:
    status = text.rng.choice(["paid", "open", "sent", "void"])
    price = f"{text.rng.random() * 1000:.2f}"
    return f"{number}\t{text.rng.randint(1, 99999)}\t{price}\t{status}\tt\t\\N\t{text.moment()}\n"


def _article(text: Text, number: int) -> str:
    return f"{number}\t{' '.join(text.some(text.rng.randint(5, 60))).capitalize()}.\n"


def _session(text: Text, number: int) -> str:
    details = f'{{"key": "{text.some(1)[0]}", "count": {text.rng.randint(1, 9999)}, "seen": true}}'
    digest = f"pbkdf2_sha256$600000${text.rng.getrandbits(128):032x}"
    return f"{text.rng.getrandbits(128):032x}\t{details}\t{digest}\n"


KINDS = (_customer, _order, _article, _session)
