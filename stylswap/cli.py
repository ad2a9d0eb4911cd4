"""The `stylswap` command: verbs and exit codes. Nothing else prints.

Results go to stdout, messages and bars to stderr, so that a pipe sees results only.
"""

from __future__ import annotations

import argparse
import io
import json
import sys
from collections.abc import Callable, Sequence
from typing import Any, Final

from rich.console import Console

from stylswap.errors import ConsentError, SettingsError, StylswapError, UsageError
from stylswap.options import parser

DONE: Final = 0
COULD_NOT_RUN: Final = 1
WRONG_USAGE: Final = 2
SOME_FAILED: Final = 3
INTERRUPTED: Final = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb.

    Args:
        arguments: Without the program's name; None takes the process's.

    Returns:
        The exit code.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a file name that is not UTF-8 is no reason to fail after the work
    options = parser().parse_args(arguments)
    console = Console(stderr=True, quiet=options.quiet, highlight=False, soft_wrap=True, markup=False, emoji=False)
    try:
        return VERBS[options.verb](options, console)
    except KeyboardInterrupt:
        _complain("interrupted")
        return INTERRUPTED
    except (SettingsError, UsageError, ConsentError) as error:
        _complain(str(error))
        return WRONG_USAGE
    except StylswapError as error:
        if options.verbose:
            raise
        _complain(str(error))
        return COULD_NOT_RUN
    except OSError as error:  # a disk that fills up or goes away under the journal
        if options.verbose:
            raise
        _complain(f"{error.filename or 'a file'}: {error.strerror}")
        return COULD_NOT_RUN


def _complain(message: str) -> None:
    # Not through rich: an error is shown whole, unwrapped and also with --quiet.
    print(f"stylswap: {message}", file=sys.stderr)


def _show(facts: Any) -> None:
    print(json.dumps(facts, indent=1, ensure_ascii=False))


def _train(options: argparse.Namespace, console: Console) -> int:
    from stylswap.jobs.train import train
    from stylswap.progress import TrainDisplay, begin_line, end_lines
    from stylswap.train_arguments import request_of

    resume = options.resume is not None
    request = request_of(options)
    console.print(begin_line(request))
    with TrainDisplay(console) as display:
        trained = train(request, display.events, resume=resume)
    if options.json:
        _show({"identity_file": str(trained.out) if trained.out else None, "run": str(trained.run), "steps": trained.steps,
               "seconds": round(trained.seconds, 1), "interrupted": trained.interrupted, "terms": trained.last})  # fmt: skip
    elif trained.out is not None:
        print(trained.out)
    for line in end_lines(trained):
        console.print(line)
    return INTERRUPTED if trained.interrupted else DONE


def _swap(options: argparse.Namespace, console: Console) -> int:
    from stylswap.jobs.swap import SwapRequest, dry_run, swap_photos
    from stylswap.jobs.swap_plan import check_out_folder, plan
    from stylswap.progress import SwapDisplay, TrainDisplay
    from stylswap.swap_arguments import mask_in_words, signer_of, swap_options_of, swapper_of

    pairs = plan(options.photos, options.out)
    check_out_folder(options.out, report=not options.no_report)  # before an identity is loaded, or prepared for minutes
    request = SwapRequest(
        options.photos, options.out, options.force, options.max_failures, options.workers, signer_of(options), not options.no_report
    )
    swap_options = swap_options_of(options, [photo for photo, _ in pairs])
    with TrainDisplay(console) as preparing:
        on_photo = preparing.on_photo_of("identity")
        swapper = swapper_of(options, swap_options, on_photo=on_photo, on_prepared=preparing.on_prepared)
    console.print(f"{swapper.identity.card.name} on {swapper.device}; {mask_in_words(swapper)}")
    if options.dry_run:
        return _show_plan(dry_run(swapper, request), options)
    with SwapDisplay(console) as display:
        summary = swap_photos(swapper, request, on_photo=display.on_photo, on_interrupt=display.on_interrupt)
    if options.json:
        _show({"counts": dict(summary.counts), "done_earlier": summary.num_cached, "seconds": round(summary.seconds, 2),
               "out": str(options.out), "report": str(summary.report) if summary.report else None, "stopped": summary.stopped,
               "interrupted": summary.interrupted,
               "photos": [{**result.as_json(), "cached": result.cached} for result in summary.results]})  # fmt: skip
    else:
        for result in summary.results:
            print(f"{result.status}\t{result.photo}\t{result.output or result.reason}")
    display.summarise(summary, options.out)
    if summary.interrupted:
        return INTERRUPTED
    return DONE if summary.complete else SOME_FAILED


def _show_plan(planned: Sequence[Any], options: argparse.Namespace) -> int:
    """What a swap would do, a line a photo; the exit code says whether some would fail unseen."""
    if options.json:
        _show([photo.as_json() for photo in planned])
    else:
        for photo in planned:
            told = f"{photo.photo}: {', '.join(filter(None, [photo.status, photo.reason]))}"
            print(f"{photo.photo} -> {photo.output}" if photo.status == "planned" else told)
    return SOME_FAILED if any(photo.status == "failed" for photo in planned) else DONE


def _evaluate(options: argparse.Namespace, console: Console) -> int:
    from stylswap.jobs.evaluate_run import EvaluateRequest, evaluate_identity
    from stylswap.jobs.swap_options import SwapOptions
    from stylswap.progress import SwapDisplay, evaluation_lines
    from stylswap.swap_arguments import check_glasses

    check_glasses(options)
    colour = options.colour or SwapOptions().colour
    joining = SwapOptions(options.blend, colour, options.detail, mask=options.mask, glasses=options.glasses, forehead=options.forehead)
    request = EvaluateRequest(
        options.identity, options.photos, options.out, options.identity_photos, joining, options.first, options.device or "auto"
    )
    with SwapDisplay(console) as display:
        evaluation = evaluate_identity(request, on_photo=display.on_measured, on_interrupt=display.on_interrupt)
    if options.json:
        _show(evaluation.as_json())
    else:
        print("\n".join(evaluation_lines(evaluation)))
    for note in evaluation.notes:
        console.print(note)
    console.print(f"open {options.out / 'report.html'}")
    if evaluation.interrupted:
        return INTERRUPTED
    return DONE if not evaluation.skipped else SOME_FAILED


def _faces(options: argparse.Namespace, console: Console) -> int:
    from stylswap.jobs.list_faces import list_faces
    from stylswap.progress import SwapDisplay, face_lines
    from stylswap.swap_arguments import choice_of

    with SwapDisplay(console) as display:
        listed = list_faces(
            options.photos,
            choice=choice_of(options, {}),
            preview=options.preview,
            choices=options.csv,
            size_limit_mp=options.size_limit,
            on_photo=display.on_listed,
        )
    if options.json:
        _show([photo.as_json() for photo in listed])
    else:
        print("\n".join(line for photo in listed for line in face_lines(photo)))
    return DONE if all(photo.status == "faces" for photo in listed) else SOME_FAILED


def _doctor(options: argparse.Namespace, console: Console) -> int:
    from stylswap.jobs.doctor import diagnose

    diagnosis = diagnose(device=options.device or "auto")
    if options.json:
        _show(diagnosis.as_json())
    else:
        width = 1 + max((len(row.name) for row in diagnosis.rows), default=0)
        for row in diagnosis.rows:
            mend = f"\n{'':{8 + width}}-> {row.mend}" if row.mend else ""
            print(f"{row.status:8}{row.name:{width}}{row.found}{mend}")
    return DONE if diagnosis.healthy else COULD_NOT_RUN


def _prepare(options: argparse.Namespace, console: Console) -> int:
    from stylswap.jobs.prepare import outline_of_training, prepare_identity, prepare_inputs
    from stylswap.progress import TrainDisplay, report_lines
    from stylswap.train_arguments import settings_of

    prepare = prepare_identity if options.kind == "identity" else prepare_inputs
    with TrainDisplay(console) as display:
        settings = settings_of(options)
        on_photo = display.on_photo_of(options.kind)
        _, report = prepare(options.folder, settings, on_photo=on_photo, outline=outline_of_training(settings))
    if options.json:
        _show(report.as_json())
    else:
        print("\n".join(report_lines(report)))
    return DONE


def _info(options: argparse.Namespace, console: Console) -> int:
    from stylswap.identity_file import read_identity_file
    from stylswap.jobs.identity_facts import identity_facts, identity_lines
    from stylswap.jobs.swapper import find_identity

    path = find_identity(options.identity)
    facts = identity_facts(path, read_identity_file(path), descriptor=options.descriptor)
    _show(facts) if options.json else print("\n".join(identity_lines(facts)))
    return DONE


def _weights(options: argparse.Namespace, console: Console) -> int:
    from stylswap.weights import fetch_weights, list_weights, verify_weights, weights_entry

    if options.action == "fetch":
        if options.name is None:
            raise UsageError("fetch needs a name; `stylswap weights list` shows them")
        path = str(fetch_weights(options.name))
        if weights_entry(options.name).artefact is None:
            console.print(f"{options.name} ships with stylswap and is here, there is nothing to fetch")
        _show({"path": path}) if options.json else print(path)
        return DONE
    if options.name is not None:
        if options.action == "list":
            raise UsageError("list takes no name: it shows all; `stylswap weights verify NAME` checks one")
        weights_entry(options.name)  # it exists
    rows = verify_weights() if options.action == "verify" else [(entry, "") for entry in list_weights()]
    rows = [(entry, status) for entry, status in rows if options.name in (None, entry.name)]
    if options.json:
        _show([{"name": entry.name, "file": entry.file, "bytes": entry.bytes, "licence": entry.licence, "kind": entry.kind,
                "sha256": entry.sha256, "status": status or None} for entry, status in rows])  # fmt: skip
    else:
        for entry, status in rows:
            print("\t".join(filter(None, (status, entry.name, entry.kind, f"{entry.bytes / 1e6:.1f} MB", entry.licence))))
    return DONE if all(status in ("", "ok", "not fetched") for _, status in rows) else COULD_NOT_RUN


def _demo(options: argparse.Namespace, console: Console) -> int:
    from stylswap.jobs.demo import demo
    from stylswap.progress import SwapDisplay, TrainDisplay

    with SwapDisplay(console) as swaps, TrainDisplay(console) as training:
        device = options.device or "auto"
        report = demo(options.out, minutes=options.minutes, device=device, on_photo=swaps.on_photo, events=training.events)
    _show({"report": str(report)}) if options.json else print(report)
    console.print("open it in a browser. next, with your own photos:\n"
                  "  stylswap train --identity PHOTOS --faces FACES --out alice.safetensors --consent self --minutes 5 "
                  "--set network.start=base")  # fmt: skip
    return DONE


VERBS: Final[dict[str, Callable[[argparse.Namespace, Console], int]]] = {
    "demo": _demo,
    "train": _train,
    "swap": _swap,
    "evaluate": _evaluate,
    "faces": _faces,
    "prepare": _prepare,
    "info": _info,
    "weights": _weights,
    "doctor": _doctor,
}


if __name__ == "__main__":
    sys.exit(main())
