"""The `stylswap` command's options: what can be asked for, and the help that says so."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, Final, NoReturn

from stylswap.errors import did_you_mean
from stylswap.names import BEYOND_POSE, CONSENTS, DETAILS, FOREHEADS, GLASSES, JOIN_BLENDS, JOIN_COLOURS, MASKS
from stylswap.version import __version__

STYLE: Final = "style"
WARP: Final = "warp"

_EXIT_CODES: Final = """\
exit codes:
  0 done   1 could not run   2 wrong usage   3 some photos were not swapped   130 interrupted, finished work is kept
"""


class _Parser(argparse.ArgumentParser):
    """argparse with suggestions for misspelt verbs; options are written out, so that a new one changes nobody's script."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**{**arguments, "allow_abbrev": False})

    def error(self, message: str) -> NoReturn:
        if "invalid choice: '" in message and "choose from" in message:
            word = message.split("invalid choice: '")[1].partition("'")[0]
            known = message.split("choose from ")[1].rstrip(")").replace("'", "").split(", ")
            message += did_you_mean(word, known)
        super().error(message)


def parser() -> argparse.ArgumentParser:
    """Parser of all verbs; the chosen one's name is `verb`."""
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("-q", "--quiet", action="store_true", help="no messages, no bar")
    common.add_argument("-v", "--verbose", action="store_true", help="show where an error came from")
    common.add_argument("--json", action="store_true", help="the result as JSON on stdout")
    root = _Parser(
        prog="stylswap",
        description="Train one small network for one face, swap it into any photo in one pass.",
        epilog="first steps:\n  stylswap demo\n"
        "  stylswap train --identity PHOTOS --faces FACES --out alice.safetensors --consent self --minutes 5 --set network.start=base\n"
        "  stylswap swap --identity alice.safetensors holiday/ --out swapped/\n\n" + _EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    root.add_argument("--version", action="version", version=f"stylswap {__version__}")
    verbs = root.add_subparsers(title="verbs", metavar="VERB", required=True)
    for add in (_add_demo, _add_train, _add_swap, _add_evaluate, _add_faces, _add_prepare, _add_info, _add_weights, _add_doctor):
        add(verbs, common)
    return root


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


def _add_consent(parser: Any) -> None:
    parser.add_argument("--consent", choices=CONSENTS, help="who allowed this face to be used; or write identity.toml into the folder")
    parser.add_argument("--consent-note", metavar="TEXT", help="where the consent can be found, what it covers")
    parser.add_argument("--name", help="the identity's name (default: identity.toml, else the folder's name)")


def _add_device(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--device", metavar="NAME", help="auto (default), cpu, cuda or mps")


def _add_train(verbs: Any, common: argparse.ArgumentParser) -> None:
    parser = _verb(
        verbs,
        common,
        "train",
        "train a network for one identity",
        "  stylswap train --identity alice/ --faces faces/ --out alice.safetensors --consent self --minutes 5 --set network.start=base\n"
        "  stylswap train --resume alice.run",
    )
    parser.add_argument("--identity", type=Path, metavar="DIR", help="30 to 300 photos of one person")
    parser.add_argument("--faces", type=Path, metavar="DIR", help="faces of many people, some hundreds or more")
    parser.add_argument("--out", type=Path, metavar="FILE", help="the identity file to write, NAME.safetensors")
    parser.add_argument("--run", dest="run_folder", type=Path, metavar="DIR", help="run folder (default: NAME.run beside --out)")
    parser.add_argument("--resume", type=Path, metavar="RUN_DIR", help="go on with an interrupted training")
    parser.add_argument(
        "--minutes",
        type=float,
        metavar="M",
        help="time budget instead of training.steps; preparing photos comes on top. With --resume: in all, earlier sittings included",
    )
    _add_consent(parser)
    _add_settings(parser)
    _add_device(parser)
    parser.set_defaults(verb="train")


def _add_swap(verbs: Any, common: argparse.ArgumentParser) -> None:
    parser = _verb(
        verbs,
        common,
        "swap",
        "swap an identity into photos",
        "  stylswap swap --identity alice.safetensors holiday/ portrait.jpg --out swapped/\n"
        "  stylswap swap --identity ada group.png --faces all --out swapped/\n"
        "  stylswap swap --identity ada party/ --like bride.jpg --out swapped/\n"
        "  stylswap swap --engine warp --identity alice/ holiday/ --out pasted/ --consent self\n\n"
        "Running the same command again does only what is missing or changed.",
    )
    parser.add_argument("photos", nargs="+", type=Path, metavar="PHOTO_OR_DIR")
    parser.add_argument(
        "--identity", required=True, metavar="WHO", help="a file, or a shipped name: ada or ada-256; with --engine warp a folder"
    )
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="where the results, stylswap.jsonl and report.html go")
    engine = parser.add_argument_group("engine")
    engine.add_argument(
        "--engine", choices=(STYLE, WARP), default=STYLE, help="style (default): a trained network; warp: paste photos, no training"
    )
    _add_consent(engine)
    which = parser.add_argument_group("which faces")
    _add_choice(which)
    which.add_argument("--choices", type=Path, metavar="CSV", help="faces of single photos: columns photo and faces")
    which.add_argument("--beyond-pose", choices=BEYOND_POSE, default="warn", help="faces turned further than the identity's photos")
    how = parser.add_argument_group("how")
    _add_joining(how)
    how.add_argument("--label", nargs="?", const="", metavar="TEXT", help="a visible label in a corner of every swapped photo")
    how.add_argument("--sign", type=Path, metavar="CERT", help="sign outputs with this certificate chain (PEM; C2PA); needs --key")
    how.add_argument("--key", type=Path, metavar="KEY", help="the private key for --sign (PEM)")
    run = parser.add_argument_group("the run")
    run.add_argument("--force", action="store_true", help="do everything again, whatever was done before")
    run.add_argument("--max-failures", type=int, metavar="N", help="stop when more than N photos have failed (default: never)")
    run.add_argument("--workers", type=int, metavar="N", help="processes (default: one a core, 16 at most; 0: everything in one process)")
    run.add_argument("--size-limit", type=float, default=100.0, metavar="MP", help="refuse photos of more megapixels (default 100)")
    run.add_argument("--no-report", action="store_true", help="do not write report.html")
    run.add_argument("--dry-run", action="store_true", help="show what would be written, swap nothing")
    _add_device(parser)
    parser.set_defaults(verb="swap")


def _add_choice(group: Any) -> None:
    group.add_argument("--faces", metavar="WHICH", help="largest (default), all, or numbers such as 1,3; `stylswap faces` shows them")
    group.add_argument("--like", type=Path, action="append", default=[], metavar="PHOTO", help="only who is on this photo; may be repeated")
    group.add_argument("--like-distance", type=float, metavar="D", help="how unlike is still the same person (default 0.6)")
    group.add_argument("--min-size", type=float, default=0.0, metavar="PX", help="leave out faces whose box is smaller")


def _add_joining(group: Any) -> None:
    group.add_argument("--blend", choices=JOIN_BLENDS, default="auto", help="how the face joins the photo (default auto: feather)")
    group.add_argument("--colour", choices=JOIN_COLOURS, help="how its colours are matched (default auto: the least seam; warp: skin)")
    group.add_argument("--detail", choices=DETAILS, default=DETAILS[0], help=f"sharpen, carry the photo's detail (default {DETAILS[0]})")
    group.add_argument("--mask", choices=MASKS, default="auto", help="parsing keeps what covers a face (default auto: where it is there)")
    group.add_argument(
        "--glasses",
        choices=GLASSES,
        default="auto",
        help="keep them with the eyes behind them, keep the rims, or let the network draw all (default auto: as it was trained)",
    )
    group.add_argument("--forehead", choices=FOREHEADS, default="auto", help="high ones no further than the identity's own, or whole")


def _add_evaluate(verbs: Any, common: argparse.ArgumentParser) -> None:
    parser = _verb(
        verbs,
        common,
        "evaluate",
        "measure an identity on photos that its training did not see",
        "  stylswap evaluate --identity ada --photos held_out/ --out evaluation/\n"
        "  stylswap evaluate --identity alice.safetensors --identity-photos alice/ --photos held_out/ --out evaluation/ --json\n\n"
        "Two rows that need no training stand beside it: returning the input, and pasting the identity's nearest photo.",
    )
    parser.add_argument("--identity", required=True, metavar="FILE_OR_NAME", help="a file, or a shipped name: ada or ada-256")
    parser.add_argument("--photos", required=True, nargs="+", type=Path, metavar="PHOTO_OR_DIR", help="photos to swap into")
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="where evaluation.json, photos.csv and report.html go")
    parser.add_argument("--identity-photos", type=Path, metavar="DIR", help="its own photos (default: where it was trained from)")
    parser.add_argument("--first", type=int, metavar="N", help="only the first N photos in name order")
    _add_joining(parser.add_argument_group("how"))
    _add_device(parser)
    parser.set_defaults(verb="evaluate")


def _add_faces(verbs: Any, common: argparse.ArgumentParser) -> None:
    parser = _verb(
        verbs,
        common,
        "faces",
        "list the faces of photos, with their numbers",
        "  stylswap faces group.jpg --preview numbered/\n"
        "  stylswap faces party/ --csv choices.csv\n"
        "  stylswap swap --identity ada party/ --choices choices.csv --out swapped/",
    )
    parser.add_argument("photos", nargs="+", type=Path, metavar="PHOTO_OR_DIR")
    _add_choice(parser.add_argument_group("mark as chosen"))
    parser.add_argument("--preview", type=Path, metavar="DIR", help="write a picture with numbered boxes for each photo")
    parser.add_argument("--csv", type=Path, metavar="FILE", help="write choices to be edited, for `stylswap swap --choices`")
    parser.add_argument("--size-limit", type=float, default=100.0, metavar="MP", help="refuse photos of more megapixels (default 100)")
    parser.set_defaults(verb="faces")


def _add_doctor(verbs: Any, common: argparse.ArgumentParser) -> None:
    parser = _verb(verbs, common, "doctor", "say whether everything works here, and how to mend what does not", "  stylswap doctor")
    _add_device(parser)
    parser.set_defaults(verb="doctor")


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
    parser.set_defaults(verb="prepare")


def _add_info(verbs: Any, common: argparse.ArgumentParser) -> None:
    parser = _verb(verbs, common, "info", "show what an identity file holds", "  stylswap info alice.safetensors\n  stylswap info ada")
    parser.add_argument("identity", metavar="FILE_OR_NAME")
    parser.add_argument("--descriptor", action="store_true", help="also the mean face descriptor, which is biometric data")
    parser.set_defaults(verb="info")


def _add_weights(verbs: Any, common: argparse.ArgumentParser) -> None:
    parser = _verb(
        verbs,
        common,
        "weights",
        "list, verify or fetch network weights",
        "  stylswap weights list\n  stylswap weights verify\n  stylswap weights fetch vgg19-relu4_2",
    )
    parser.add_argument("action", choices=("list", "verify", "fetch"))
    parser.add_argument("name", nargs="?", metavar="NAME", help="for fetch; of verify: only this one")
    parser.set_defaults(verb="weights")


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
    parser.set_defaults(verb="demo")
