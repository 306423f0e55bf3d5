"""The one table of all results, as text in Markdown."""

from collections.abc import Sequence
from statistics import median

from tests.benchmarks.measuring import Goal, Result, Sample

MEGABYTE = 1_000_000


def render(results: Sequence[Result]) -> str:
    """Return all results as one table, with the goals of each subject below its rows."""
    lines = [
        "| | seconds (spread) | processor s | memory, MB | stored, MB |",
        "|---|---|---|---|---|",
    ]
    for result in results:
        lines.append(f"| **{result.title}** | | | | |")
        lines += [_row(name, samples) for name, samples in result.samples.items()]
        lines += [_goal(result, goal) for goal in result.goals]
        if result.note:
            lines.append(f"| *{result.note}* | | | | |")
    return "\n".join(lines) + "\n"


def _row(name: str, samples: Sequence[Sample]) -> str:
    times = [each.seconds for each in samples]
    stored = next((each.stored for each in samples if each.stored is not None), None)
    cells = [
        name,
        f"{median(times):.2f} ({min(times):.2f} to {max(times):.2f})",
        f"{median(each.cpu for each in samples):.2f}" if any(each.cpu for each in samples) else "",
        _memory(samples),
        f"{stored / MEGABYTE:.0f}" if stored is not None else "",
    ]
    return f"| {' | '.join(cells)} |"


def _memory(samples: Sequence[Sample]) -> str:
    peaks: dict[str, int] = {}
    for sample in samples:
        for name, size in sample.memory.items():
            peaks[name] = max(size, peaks.get(name, 0))
    shown = sorted(peaks.items(), key=lambda pair: -pair[1])[:3]
    return ", ".join(f"{name} {size / MEGABYTE:.0f}" for name, size in shown)


def _goal(result: Result, goal: Goal) -> str:
    found = result.ratio(goal)
    what = "" if goal.what == "seconds" else f" ({goal.what})"
    name = f"{goal.name}, as a multiple of {goal.other}{what}"
    return f"| → {name} | {found:.2f}, goal at most {goal.most} | | | |"
