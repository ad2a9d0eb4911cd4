"""The `stylswap` command: verbs, options, progress, exit codes. Nothing else prints.

Results go to stdout, messages and bars to stderr, so that a pipe sees results only.
"""

from __future__ import annotations

import argparse
import io
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, NoReturn

from rich.console import Console

from stylswap.errors import ConsentError, SettingsError, StylswapError, UsageError, did_you_mean
from stylswap.version import __version__

DONE: Final = 0
COULD_NOT_RUN: Final = 1
WRONG_USAGE: Final = 2
SOME_FAILED: Final = 3
INTERRUPTED: Final = 130

_EXIT_CODES: Final = """\
exit codes:
  0 done   1 could not run   2 wrong usage   3 some photos were not swapped   130 interrupted, finished work is kept
"""


class _Parser(argparse.ArgumentParser):
    """argparse with suggestions for misspelt verbs."""

    def error(self, message: str) -> NoReturn:
        if "invalid choice: '" in message and "choose from" in message:
            word = message.split("invalid choice: '")[1].partition("'")[0]
            known = message.split("choose from ")[1].rstrip(")").replace("'", "").split(", ")
            message += did_you_mean(word, known)
        super().error(message)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb.

    Args:
        arguments: Without the program's name; None takes the process's.

    Returns:
        The exit code.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a file name that is not UTF-8 is no reason to fail after the work
    options = _parser().parse_args(arguments)
    console = Console(stderr=True, quiet=options.quiet, highlight=False, soft_wrap=True, markup=False, emoji=False)
    run: Callable[[argparse.Namespace, Console], int] = options.run
    try:
        return run(options, console)
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


def _parser() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("-q", "--quiet", action="store_true", help="no messages, no bar")
    common.add_argument("-v", "--verbose", action="store_true", help="show where an error came from")
    common.add_argument("--json", action="store_true", help="the result as JSON on stdout")
    parser = _Parser(
        prog="stylswap",
        description="Train one small network for one face, swap it into any photo in one pass.",
        epilog="first steps:\n  stylswap demo\n"
        "  stylswap train --identity PHOTOS --faces FACES --out alice.safetensors --consent self --minutes 10\n"
        "  stylswap swap --identity alice.safetensors holiday/ --out swapped/\n\n" + _EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"stylswap {__version__}")
    verbs = parser.add_subparsers(title="verbs", metavar="VERB", required=True)
    for add in (_add_demo, _add_train, _add_swap, _add_prepare, _add_info, _add_weights):
        add(verbs, common)
    return parser


def _verb(verbs: Any, common: argparse.ArgumentParser, name: str, summary: str, example: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = verbs.add_parser(
        name,
        help=summary,
        parents=[common],
        usage=f"stylswap {name} [options] ...",  # in full it would push the examples out of sight
        description=f"{summary[0].upper()}{summary[1:]}.\n\nexample:\n{example}",
        epilog=_EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    return parser


def _add_settings(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", type=Path, metavar="FILE", help="settings as TOML; `settings.toml` of any run folder is one")
    parser.add_argument("--set", action="append", default=[], metavar="A.B=C", help="one setting, for instance loss.weights.style=40")
    parser.add_argument("--size", type=int, metavar="PX", help="side of the crop (default 128); short for --set size=PX")
    parser.add_argument("--seed", type=int, metavar="N", help="short for --set seed=N")


def _add_device(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--device", metavar="NAME", help="auto (default), cpu, cuda or mps")


def _add_train(verbs: Any, common: argparse.ArgumentParser) -> None:
    from stylswap.identity_file import CONSENTS

    parser = _verb(
        verbs,
        common,
        "train",
        "train a network for one identity",
        "  stylswap train --identity alice/ --faces faces/ --out alice.safetensors --consent self --minutes 10\n"
        "  stylswap train --resume alice.run",
    )
    parser.add_argument("--identity", type=Path, metavar="DIR", help="30 to 300 photos of one person")
    parser.add_argument("--faces", type=Path, metavar="DIR", help="faces of many people, some hundreds or more")
    parser.add_argument("--out", type=Path, metavar="FILE", help="the identity file to write, NAME.safetensors")
    parser.add_argument("--run", dest="run_folder", type=Path, metavar="DIR", help="run folder (default: NAME.run beside --out)")
    parser.add_argument("--resume", type=Path, metavar="RUN_DIR", help="go on with an interrupted training")
    parser.add_argument("--minutes", type=float, metavar="M", help="time budget instead of training.steps; preparing photos comes on top")
    parser.add_argument("--consent", choices=CONSENTS, help="who allowed this face to be used; or write identity.toml into the folder")
    parser.add_argument("--consent-note", metavar="TEXT", help="where the consent can be found, what it covers")
    parser.add_argument("--name", help="the identity's name (default: identity.toml, else the folder's name)")
    _add_settings(parser)
    _add_device(parser)
    parser.set_defaults(run=_train)


def _add_swap(verbs: Any, common: argparse.ArgumentParser) -> None:
    from stylswap.faces.blend import BLENDS
    from stylswap.jobs.swapper import COLOURS, FACES

    parser = _verb(
        verbs,
        common,
        "swap",
        "swap a trained identity into photos",
        "  stylswap swap --identity alice.safetensors holiday/ portrait.jpg --out swapped/\n"
        "  stylswap swap --identity ada group.png --faces all --out swapped/",
    )
    parser.add_argument("photos", nargs="+", type=Path, metavar="PHOTO_OR_DIR")
    parser.add_argument("--identity", required=True, metavar="FILE_OR_NAME", help="a file, or a name from `stylswap weights list`")
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="where the results and stylswap.jsonl go")
    parser.add_argument("--blend", choices=BLENDS, default="poisson", help="how the face joins the photo (default poisson)")
    parser.add_argument("--colour", choices=COLOURS, default="none", help="skin: match the photo's skin colour first (default none)")
    parser.add_argument("--faces", choices=FACES, default="largest", help="which faces of a photo (default largest)")
    parser.add_argument("--size-limit", type=float, default=100.0, metavar="MP", help="refuse photos of more megapixels (default 100)")
    parser.add_argument("--dry-run", action="store_true", help="show what would be written, swap nothing")
    _add_device(parser)
    parser.set_defaults(run=_swap)


def _add_prepare(verbs: Any, common: argparse.ArgumentParser) -> None:
    parser = _verb(
        verbs,
        common,
        "prepare",
        "report what a folder of photos offers for training",
        "  stylswap prepare alice/\n  stylswap prepare faces/ --kind faces",
    )
    parser.add_argument("folder", type=Path, metavar="DIR")
    parser.add_argument("--kind", choices=("identity", "faces"), default="identity", help="one person's photos, or faces of many people")
    _add_settings(parser)
    parser.set_defaults(run=_prepare)


def _add_info(verbs: Any, common: argparse.ArgumentParser) -> None:
    parser = _verb(verbs, common, "info", "show what an identity file holds", "  stylswap info alice.safetensors\n  stylswap info ada")
    parser.add_argument("identity", metavar="FILE_OR_NAME")
    parser.set_defaults(run=_info)


def _add_weights(verbs: Any, common: argparse.ArgumentParser) -> None:
    parser = _verb(
        verbs,
        common,
        "weights",
        "list, verify or fetch network weights",
        "  stylswap weights list\n  stylswap weights verify\n  stylswap weights fetch vgg19-relu4_2",
    )
    parser.add_argument("action", choices=("list", "verify", "fetch"))
    parser.add_argument("name", nargs="?", metavar="NAME", help="for fetch")
    parser.set_defaults(run=_weights)


def _add_demo(verbs: Any, common: argparse.ArgumentParser) -> None:
    parser = _verb(
        verbs,
        common,
        "demo",
        "see it work: swap with the shipped identity, train a fresh one for two minutes, leave a report",
        "  stylswap demo --out demo/",
    )
    parser.add_argument("--out", type=Path, default=Path("stylswap-demo"), metavar="DIR", help="default stylswap-demo")
    parser.add_argument("--minutes", type=float, default=2.0, metavar="M", help="length of the fresh training (default 2; 0: none)")
    _add_device(parser)
    parser.set_defaults(run=_demo)


def _settings_of(options: argparse.Namespace) -> Any:
    from stylswap.config import load_settings

    short = [f"{name}={value}" for name in ("size", "seed") if (value := getattr(options, name)) is not None]
    return load_settings(options.config, [*options.set, *short])


def _train(options: argparse.Namespace, console: Console) -> int:
    from stylswap.identity_file import read_card
    from stylswap.jobs.run_folder import TrainRequest, request_from_run
    from stylswap.jobs.train import train
    from stylswap.progress import TrainDisplay

    if options.resume is not None:
        _refuse_with_resume(options)
        request = request_from_run(options.resume, minutes=options.minutes, device=options.device, overrides=options.set)
    else:
        missing = [f"--{name}" for name in ("identity", "faces", "out") if getattr(options, name) is None]
        if missing:
            raise UsageError(f"train needs {', '.join(missing)} (or --resume RUN_DIR); see `stylswap train --help`")
        if options.out.is_dir() or not options.out.name:
            raise UsageError(f"--out {options.out} is a folder; give the identity file to write, for instance alice.safetensors")
        out = options.out if options.out.suffix == ".safetensors" else options.out.with_name(options.out.name + ".safetensors")
        card = read_card(options.identity, name=options.name, consent=options.consent, note=options.consent_note)
        run, device = options.run_folder or out.with_suffix(".run"), options.device or "auto"
        request = TrainRequest(options.identity, options.faces, out, card, _settings_of(options), run, options.minutes, device)
    with TrainDisplay(console) as display:
        trained = train(request, display.events, resume=options.resume is not None)
    if options.json:
        _show({"identity_file": str(trained.out) if trained.out else None, "run": str(trained.run), "steps": trained.steps,
               "seconds": round(trained.seconds, 1), "interrupted": trained.interrupted, "terms": trained.last})  # fmt: skip
    elif trained.out is not None:
        print(trained.out)
    if trained.interrupted:
        console.print(f"interrupted after {trained.steps} steps, saved; go on with\n  stylswap train --resume {trained.run}")
        return INTERRUPTED
    console.print(f"next:\n  stylswap swap --identity {trained.out} PHOTO_OR_DIR --out swapped/")
    return DONE


def _refuse_with_resume(options: argparse.Namespace) -> None:
    names = ("identity", "faces", "out", "run_folder", "consent", "consent_note", "name", "config", "size", "seed")
    given = [f"--{name.removesuffix('_folder').replace('_', '-')}" for name in names if getattr(options, name) is not None]
    given += [f"--set {text}" for text in options.set if not text.startswith("training.")]
    if given:
        raise UsageError(f"{', '.join(given)} cannot change on --resume: the run goes on as it was started (--set training.* may)")


def _swap(options: argparse.Namespace, console: Console) -> int:
    from stylswap.jobs.swap import plan, swap_photos
    from stylswap.jobs.swapper import SwapOptions, Swapper
    from stylswap.progress import SwapDisplay

    if options.dry_run:
        pairs = plan(options.photos, options.out)
        if options.json:
            _show([{"photo": str(photo), "output": str(output)} for photo, output in pairs])
        else:
            print("\n".join(f"{photo} -> {output}" for photo, output in pairs))
        return DONE
    swap_options = SwapOptions(options.blend, options.colour, options.faces, options.size_limit)
    swapper = Swapper.load(options.identity, options=swap_options, device=options.device or "auto")
    with SwapDisplay(console) as display:
        summary = swap_photos(swapper, options.photos, options.out, on_photo=display.on_photo)
    if options.json:
        _show({"counts": dict(summary.counts), "seconds": round(summary.seconds, 2), "out": str(options.out),
               "photos": [result.as_json() for result in summary.results]})  # fmt: skip
    else:
        for result in summary.results:
            print(f"{result.status}\t{result.photo}\t{result.output or result.reason}")
    display.summarise(summary, options.out)
    if summary.interrupted:
        return INTERRUPTED
    return DONE if summary.complete else SOME_FAILED


def _prepare(options: argparse.Namespace, console: Console) -> int:
    from stylswap.jobs.prepare import prepare_identity, prepare_inputs
    from stylswap.progress import TrainDisplay, report_lines

    prepare = prepare_identity if options.kind == "identity" else prepare_inputs
    with TrainDisplay(console) as display:
        _, report = prepare(options.folder, _settings_of(options), on_photo=display.on_photo_of(options.kind))
    if options.json:
        _show(report.as_json())
    else:
        print("\n".join(report_lines(report)))
    return DONE


def _info(options: argparse.Namespace, console: Console) -> int:
    from stylswap.identity_file import read_identity_file
    from stylswap.jobs.swapper import find_identity

    path = find_identity(options.identity)
    identity = read_identity_file(path)
    facts = {"file": str(path), "sha256": identity.sha256, **identity.header()}
    facts.pop("reference")  # 136 numbers that nobody reads
    facts["parameters"] = sum(tensor.numel() for tensor in identity.tensors.values())
    _show(facts)
    return DONE


def _weights(options: argparse.Namespace, console: Console) -> int:
    from stylswap.weights import fetch_weights, list_weights, verify_weights

    if options.action == "fetch":
        if options.name is None:
            raise UsageError("fetch needs a name; `stylswap weights list` shows them")
        path = str(fetch_weights(options.name))
        _show({"path": path}) if options.json else print(path)
        return DONE
    rows = verify_weights() if options.action == "verify" else [(entry, "") for entry in list_weights()]
    if options.json:
        _show([{"name": entry.name, "file": entry.file, "bytes": entry.bytes, "licence": entry.licence, "kind": entry.kind,
                "sha256": entry.sha256, "status": status or None} for entry, status in rows])  # fmt: skip
    else:
        for entry, status in rows:
            print("\t".join(filter(None, (status, entry.name, entry.kind, f"{entry.bytes / 1e6:.1f} MB", entry.licence))))
    return DONE if all(status in ("", "ok") for _, status in rows) else COULD_NOT_RUN


def _demo(options: argparse.Namespace, console: Console) -> int:
    from stylswap.jobs.demo import demo
    from stylswap.progress import SwapDisplay, TrainDisplay

    with SwapDisplay(console) as swaps, TrainDisplay(console) as training:
        device = options.device or "auto"
        report = demo(options.out, minutes=options.minutes, device=device, on_photo=swaps.on_photo, events=training.events)
    _show({"report": str(report)}) if options.json else print(report)
    console.print("open it in a browser. next, with your own photos:\n"
                  "  stylswap train --identity PHOTOS --faces FACES --out alice.safetensors --consent self --minutes 10")  # fmt: skip
    return DONE


if __name__ == "__main__":
    sys.exit(main())
