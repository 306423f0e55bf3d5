"""SQL text as a dump of a site has it, the same at every run: names, addresses, dates, digests, sentences, JSON."""

import random
from pathlib import Path

WORDS = (
    "account address amount article basket before behind between blue bring button cancel carry change coffee colour "
    "country customer deliver discount door early evening every failed garden green handle harbour history invoice "
    "island kitchen letter little machine market meeting minute morning mountain number office order paper parcel "
    "payment people picture please point postcode price product question quiet reason record return river school "
    "season second shipping silver simple station street summer table ticket today together total tower travel under "
    "useful village warehouse water weather weekend window winter without yellow yesterday"
).split()


def write_sql_text(path: Path, megabytes: int) -> Path:
    """Write rows of four kinds, as ``pg_dump`` does in plain format, until the file has that size."""
    rng = random.Random(7)
    names = [f"{rng.choice(WORDS).title()} {rng.choice(WORDS).title()}" for _ in range(3000)]
    with path.open("w") as file:
        for number in range(1_000_000_000):
            file.write(KINDS[number % len(KINDS)](rng, names, number))
            if number % 1000 == 0 and file.tell() >= megabytes << 20:
                break
    return path


def _moment(rng: random.Random) -> str:
    return f"2026-{rng.randint(1, 12):02}-{rng.randint(1, 28):02} {rng.randint(0, 23):02}:{rng.randint(0, 59):02}:{rng.randint(0, 59):02}.{rng.randint(0, 999999):06}+00"


def _customer(rng: random.Random, names: list[str], number: int) -> str:
    name = rng.choice(names)
    street = f"{rng.randint(1, 200)} {rng.choice(WORDS).title()} Street"
    return f"{number}\t{name}\t{name.replace(' ', '.').lower()}@example.com\t{street}\t{_moment(rng)}\n"


def _order(rng: random.Random, names: list[str], number: int) -> str:
    status = rng.choice(["paid", "open", "sent", "void"])
    return f"{number}\t{rng.randint(1, 99999)}\t{rng.random() * 1000:.2f}\t{status}\tt\t\\N\t{_moment(rng)}\n"


def _article(rng: random.Random, names: list[str], number: int) -> str:
    return f"{number}\t{' '.join(rng.choices(WORDS, k=rng.randint(5, 60))).capitalize()}.\n"


def _session(rng: random.Random, names: list[str], number: int) -> str:
    details = f'{{"key": "{rng.choice(WORDS)}", "count": {rng.randint(1, 9999)}, "seen": true}}'
    digest = f"pbkdf2_sha256$600000${rng.getrandbits(128):032x}"
    return f"{rng.getrandbits(128):032x}\t{details}\t{digest}\n"


KINDS = (_customer, _order, _article, _session)
