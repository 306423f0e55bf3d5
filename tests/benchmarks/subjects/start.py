"""What a site pays at each start for having the app installed."""

from tests.benchmarks.bench import Bench
from tests.benchmarks.environments import Site
from tests.benchmarks.measuring import Contestant, Result, race

WITH, WITHOUT = "manage.py check with the app", "manage.py check without it"


def run(bench: Bench) -> list[Result]:
    with bench.place("start") as place:
        database = {"ENGINE": "django.db.backends.sqlite3", "NAME": str(place / "db.sqlite3")}
        with_app = bench.site("this package", database, "-start")
        without = Site(
            package="none",
            python=with_app.python,
            home=with_app.home,
            settings={**with_app.settings, "package": "none"},
        )
        contestants = [
            Contestant(name=WITH, run=with_app.manage("check")),
            Contestant(name=WITHOUT, run=without.manage("check")),
        ]
        for each in contestants:
            each.run()  # the first start compiles
        result = race("Start", contestants, 4 * bench.rounds)
        least = {name: min(each.cpu for each in samples) for name, samples in result.samples.items()}
        added = 1000 * (least[WITH] - least[WITHOUT])
        note = f"added processor time, by the fastest start of each: {added:.0f} ms, at most 50 wanted"
        return [Result(title=result.title, samples=result.samples, note=note)]
