"""The report of a swap: what became of every photo, worst first."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from stylswap.report import swap_sections
from stylswap.report.page import Card, Figures, Section, Table, write_report
from stylswap.report.swap_run import SwapRecords, SwapRun
from stylswap.report.swap_sections import STATUS_WORDS
from stylswap.report.training import REPORT_FILE, duration, leaves


def write_swap_report(out: Path, run: SwapRun, *, most: int = 60) -> Path:
    """Write ``report.html`` into the output folder of a swap.

    Args:
        out: The folder; it must exist.
        run: What happened. Photos that are shown are read again; one that has vanished meanwhile is a placeholder.
        most: Pairs of thumbnails at most, which decide the size of the file: 70 KB a pair at most, about half of it usually.

    Returns:
        The report's path.

    Raises:
        StylswapError: If it cannot be written.
    """
    photos = SwapRecords(run)
    sections = [
        swap_sections.reasons(photos),
        swap_sections.pairs(photos, most),
        swap_sections.charts(photos),
        swap_sections.without_face(photos),
        swap_sections.poses(photos),
        swap_sections.covered(photos),
        swap_sections.failures(photos),
    ]
    write_report(
        out / REPORT_FILE,
        title=f"Swap of {run.identity}",
        lead=_lead(photos),
        figures=_figures(photos),
        sections=[*(section for section in sections if section is not None), _how(photos)],
    )
    return out / REPORT_FILE


def _lead(photos: SwapRecords) -> str:
    where = f" from the folder {photos.folder}" if photos.folder not in ("", ".") else ""
    count = len(photos.all)
    parts = [f"{_count(count, 'photo')}{where}." if count else "There were no photos."]
    if photos.run.interrupted:
        parts.append("The run was interrupted: the same command again does the rest.")
    if photos.run.finished:
        parts.append(f"Finished {photos.run.finished}.")
    parts.append("Every result carries a machine-readable mark that says that it was swapped." if photos.of("swapped") else "")
    return " ".join(part for part in parts if part)


def _figures(photos: SwapRecords) -> Figures:
    run, counts = photos.run, Counter(record.status for record in photos.all)
    num_faces, num_new = len(photos.faces), len(photos.new)
    cards = [Card("swapped", f"{counts['swapped']:,}", _count(num_faces, "face"))]
    cards += [Card(word, f"{counts[status]:,}") for status, word in STATUS_WORDS.items() if status != "swapped"]
    cards += [Card(status, f"{count:,}") for status, count in counts.items() if status not in STATUS_WORDS]
    cards.append(Card("unchanged", f"{len(photos.all) - num_new:,}", "done in an earlier run"))
    cards.append(Card("time", duration(run.seconds), f"{_count(num_new, 'photo')} done"))
    cards.append(Card("speed", f"{num_new / run.seconds:.1f}" if num_new and run.seconds > 0 else "–", "photos a second"))
    cards.append(Card("identity", run.identity, f"sha256 {run.identity_sha256[:12]}" if run.identity_sha256 else ""))
    cards.append(Card("device", run.device))
    cards.append(Card("face parsing", *(("on", "what covers a face stays") if run.parsing else ("off", "landmark masks only"))))
    return Figures(tuple(cards))


def _how(photos: SwapRecords) -> Section:
    run = photos.run
    rows = [("identity", run.identity), ("identity sha256", run.identity_sha256), ("device", run.device)]
    rows += [("face parsing", "on" if run.parsing else "off"), *leaves(run.options)]
    for what in ("blend", "colour"):
        taken = Counter(getattr(face, what) for _, face in photos.faces if getattr(face, what))
        if taken:
            rows.append((f"{what} taken", ", ".join(f"{name}: {_count(count, 'face')}" for name, count in taken.most_common())))
    return Section("How it was run", "", (Table(("setting", "value"), tuple(rows)),))


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"
