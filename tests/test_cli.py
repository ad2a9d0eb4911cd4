"""The command line: verbs, streams, exit codes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from stylswap.cli import COULD_NOT_RUN, DONE, SOME_FAILED, WRONG_USAGE, main
from stylswap.identity_file import read_identity_file
from stylswap.jobs.diagnosis import Diagnosis, Row
from tests.jobs.conftest import EXAMPLES, TINY, folders, home, tiny_identity, tiny_settings  # noqa: F401 - fixtures

PHOTO = sorted((EXAMPLES / "photos").glob("*.jpg"))[0]
Capture = pytest.CaptureFixture[str]


def tiny_overrides() -> list[str]:
    return [part for text in TINY for part in ("--set", text)]


def test_help_shows_examples_first(capsys: Capture) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["swap", "--help"])
    assert stop.value.code == 0
    text = capsys.readouterr().out
    assert text.index("example:") < text.index("--blend")
    assert "exit codes" in text


def test_misspelt_verb(capsys: Capture) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["trian"])
    assert stop.value.code == WRONG_USAGE
    assert "Did you mean 'train'?" in capsys.readouterr().err


def test_train_and_swap(folders, tmp_path: Path, capsys: Capture) -> None:  # noqa: F811
    out = tmp_path / "alice.safetensors"
    code = main(["train", "--identity", str(folders[0]), "--faces", str(folders[1]), "--out", str(out), "--consent", "synthetic",
                 "--consent-note", "for tests", "--device", "cpu", *tiny_overrides()])  # fmt: skip
    streams = capsys.readouterr()
    assert code == DONE
    assert streams.out.strip() == str(out)  # stdout is the result, nothing else
    assert "6 photos used" in streams.err
    assert "stylswap swap --identity" in streams.err
    assert read_identity_file(out).card.note == "for tests"

    code = main(["swap", "--identity", str(out), str(PHOTO), "--out", str(tmp_path / "out"), "--device", "cpu", "--json"])
    streams = capsys.readouterr()
    assert code == DONE
    assert json.loads(streams.out)["counts"] == {"swapped": 1}

    assert main(["info", str(out), "--json"]) == DONE
    facts = json.loads(capsys.readouterr().out)
    assert facts["card"]["name"] == folders[0].name
    assert facts["parameters"] > 1000
    assert "mean_descriptor" not in facts["data"]["identity"]


def test_info_is_a_screenful_without_biometric_numbers(tiny_identity: Path, capsys: Capture) -> None:  # noqa: F811
    assert main(["info", str(tiny_identity)]) == DONE
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["name", "tiny"]
    assert len(lines) < 20 and "descriptor" not in "".join(lines)
    assert main(["info", str(tiny_identity), "--descriptor", "--json"]) == DONE
    assert len(json.loads(capsys.readouterr().out)["data"]["identity"]["mean_descriptor"]) == 128


def test_info_on_other_weights_says_what_they_are(capsys: Capture) -> None:
    assert main(["info", str(EXAMPLES.parent / "weights" / "vgg19-relu4_2.safetensors")]) == COULD_NOT_RUN
    error = capsys.readouterr().err
    assert "holds no identity" in error and "damaged" not in error


@pytest.mark.parametrize("verb", ["swap", "evaluate"])
def test_help_names_the_identities_that_ship(verb: str, capsys: Capture) -> None:
    with pytest.raises(SystemExit):
        main([verb, "--help"])
    text = " ".join(capsys.readouterr().out.split())
    assert "a file, or a shipped name: ada or ada-256" in text
    assert "weights list" not in text


def test_training_without_consent_says_how(folders, tmp_path: Path, capsys: Capture) -> None:  # noqa: F811
    code = main(["train", "--identity", str(folders[0]), "--faces", str(folders[1]), "--out", str(tmp_path / "a.safetensors")])
    assert code == WRONG_USAGE
    assert "identity.toml" in (error := capsys.readouterr().err)
    assert "--consent" in error
    assert not list(tmp_path.iterdir())


def test_missing_arguments_and_unknown_settings(capsys: Capture) -> None:
    assert main(["train"]) == WRONG_USAGE
    assert "--identity, --faces, --out" in capsys.readouterr().err
    code = main(["train", "--identity", "a", "--faces", "b", "--out", "c", "--consent", "self", "--set", "loss.weights.stile=3"])
    assert code == WRONG_USAGE
    assert "Did you mean 'style'?" in capsys.readouterr().err


def test_swap_reports_what_was_not_swapped(tiny_identity: Path, tmp_path: Path, capsys: Capture) -> None:  # noqa: F811
    (tmp_path / "in").mkdir()
    shutil.copyfile(PHOTO, tmp_path / "in" / "good.jpg")
    (tmp_path / "in" / "bad.jpg").write_text("no picture")
    code = main(["swap", "--identity", str(tiny_identity), str(tmp_path / "in"), "--out", str(tmp_path / "out"), "--device", "cpu"])
    streams = capsys.readouterr()
    assert code == SOME_FAILED
    statuses = [line.split("\t")[0] for line in streams.out.splitlines()]
    assert sorted(statuses) == ["failed", "swapped"]
    assert "1 swapped, 1 failed" in streams.err
    assert (tmp_path / "out" / "good.jpg").is_file()


def test_quiet_and_dry_run(tiny_identity: Path, tmp_path: Path, capsys: Capture) -> None:  # noqa: F811
    command = ["swap", "--identity", str(tiny_identity), str(PHOTO), "--out", str(tmp_path / "out"), "--quiet"]
    assert main([*command, "--dry-run"]) == DONE
    streams = capsys.readouterr()
    assert streams.out.strip() == f"{PHOTO} -> {tmp_path / 'out' / PHOTO.name}"
    assert streams.err == ""
    assert not (tmp_path / "out").exists()


def test_a_dry_run_refuses_what_the_run_would_refuse(tiny_identity: Path, tmp_path: Path, capsys: Capture) -> None:  # noqa: F811
    out = tmp_path / "out"
    command = ["swap", str(PHOTO), "--mask", "landmarks", "--workers", "0", "--quiet", "--out", str(out), "--identity"]
    assert main([*command, "nobody", "--dry-run"]) == COULD_NOT_RUN
    assert main([*command, str(tiny_identity), "--dry-run", "--faces", "larges"]) == WRONG_USAGE
    assert main([*command, str(tiny_identity)]) == DONE
    capsys.readouterr()
    assert main([*command, str(tiny_identity), "--dry-run"]) == DONE
    assert capsys.readouterr().out == f"{PHOTO}: done\n"
    (out / PHOTO.name).write_bytes(b"retouched")
    assert main([*command, str(tiny_identity), "--dry-run", "--json"]) == SOME_FAILED
    planned = json.loads(capsys.readouterr().out)[0]
    assert planned["status"] == "failed" and "was edited since" in planned["reason"]
    assert main([*command, str(tiny_identity)]) == SOME_FAILED
    assert (out / PHOTO.name).read_bytes() == b"retouched"
    capsys.readouterr()
    (out / "stylswap.jsonl").unlink()
    for more in (["--dry-run"], []):
        assert main([*command, str(tiny_identity), "--no-report", *more]) == WRONG_USAGE
        assert f"{PHOTO.name} would be overwritten" in capsys.readouterr().err
        assert not (out / "stylswap.jsonl").exists()


def test_a_report_that_no_swap_wrote_is_not_replaced(tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "report.html").write_text("mine")
    assert main(["swap", "--identity", "nobody", str(PHOTO), "--out", str(tmp_path)]) == WRONG_USAGE
    assert "report.html would be replaced, and no swap wrote it" in capsys.readouterr().err
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("report.html", "mine")]


def damaged(identity: Path, out: Path) -> Path:
    out.write_bytes(identity.read_bytes()[:-1000])
    return out


def newer(identity: Path, out: Path) -> Path:
    header = {**read_identity_file(identity).header(), "format": 99, "version": "9.0"}
    save_file({"weight": torch.zeros(1)}, out, metadata={"stylswap": json.dumps(header)})
    return out


@pytest.mark.parametrize(("make", "message"), [(damaged, "damaged"), (newer, "upgrade")])
def test_identity_files_that_cannot_be_used(tiny_identity: Path, tmp_path: Path, capsys: Capture, make, message: str) -> None:  # noqa: F811
    identity = make(tiny_identity, tmp_path / "broken.safetensors")
    assert main(["swap", "--identity", str(identity), str(PHOTO), "--out", str(tmp_path / "out")]) == COULD_NOT_RUN
    assert message in capsys.readouterr().err


def test_unknown_identity_name(tmp_path: Path, capsys: Capture) -> None:
    assert main(["swap", "--identity", "nobody", str(PHOTO), "--out", str(tmp_path)]) == COULD_NOT_RUN
    assert "neither an identity file nor the name" in capsys.readouterr().err
    assert main(["swap", "--identity", "base", str(PHOTO), "--out", str(tmp_path)]) == COULD_NOT_RUN
    assert "base is no identity but a network to start from: `stylswap train ... --set network.start=base`" in capsys.readouterr().err


def test_weights_list_and_verify(capsys: Capture) -> None:
    assert main(["weights", "list"]) == DONE
    assert "vgg19-relu4_2" in capsys.readouterr().out
    assert main(["weights", "verify", "--json"]) == DONE
    status = {row["name"]: row["status"] for row in json.loads(capsys.readouterr().out)}
    for name in ("parsing", "sface", "lpips-vgg16", "face-landmarker"):
        assert status.pop(name) in ("ok", "not fetched"), f"{name} does not ship"
    assert set(status.values()) == {"ok"}
    assert main(["weights", "fetch"]) == WRONG_USAGE
    capsys.readouterr()
    assert main(["weights", "verify", "ada"]) == DONE
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("ok\tada\t")
    assert main(["weights", "verify", "adaa"]) == COULD_NOT_RUN
    assert "Did you mean 'ada'" in capsys.readouterr().err
    assert main(["weights", "list", "ada"]) == WRONG_USAGE


def test_fetching_what_ships_says_that_it_is_here(capsys: Capture) -> None:
    assert main(["weights", "fetch", "lighting"]) == DONE
    streams = capsys.readouterr()
    assert streams.out.strip().endswith("lighting.safetensors")
    assert "lighting ships with stylswap and is here" in streams.err


def test_prepare_reports(folders, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    assert main(["prepare", str(folders[0]), "--json", "--set", "size=64", "--set", "prepare.min_photos=5"]) == DONE
    report = json.loads(capsys.readouterr().out)
    assert report["used"] == 6
    assert report["warnings"]  # fewer than 40
    assert main(["prepare", str(folders[0])]) == COULD_NOT_RUN
    assert "at least 20" in capsys.readouterr().err


def test_reasons_with_brackets_are_shown_as_they_are(tiny_identity: Path, tmp_path: Path, capsys: Capture) -> None:  # noqa: F811
    (tmp_path / "IMG [copy].jpg").write_text("[/INST] no picture")
    code = main(["swap", "--identity", str(tiny_identity), str(tmp_path / "IMG [copy].jpg"), "--out", str(tmp_path / "out")])
    assert code == SOME_FAILED
    assert "IMG [copy].jpg" in capsys.readouterr().err


def test_a_training_that_is_done_says_so(tiny_identity: Path, tmp_path: Path, capsys: Capture) -> None:  # noqa: F811
    run = tmp_path / "tiny.run"
    shutil.copytree(tiny_identity.with_suffix(".run"), run)
    shutil.copyfile(tiny_identity, tmp_path / "tiny.safetensors")
    facts = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps({**facts, "out": str(tmp_path / "tiny.safetensors")}))
    assert main(["train", "--resume", str(run)]) == DONE
    said = capsys.readouterr().err
    assert "tiny on cpu, 64 px, network residual\n" in said
    assert "nothing was left to do after 2 steps" in said
    assert "give a larger --minutes, or --set training.steps=N" in said
    assert f"report {run / 'report.html'}" in said
    assert main(["train", "--resume", str(run), "--set", "training.steps=3"]) == DONE
    assert "nothing was left" not in capsys.readouterr().err


def test_what_cannot_change_on_resume_is_refused(tmp_path: Path, capsys: Capture) -> None:
    assert main(["train", "--resume", str(tmp_path), "--size", "64", "--set", "loss.weights.style=3"]) == WRONG_USAGE
    assert "--size, --set loss.weights.style=3 cannot change" in capsys.readouterr().err
    assert main(["train", "--resume", str(tmp_path), "--set", "training.held_out = 9", "--set", "training.steps=9"]) == WRONG_USAGE
    assert "--set training.held_out = 9 cannot change" in capsys.readouterr().err
    assert main(["train", "--identity", "a", "--faces", "b", "--out", str(tmp_path), "--consent", "self"]) == WRONG_USAGE
    assert "is a folder" in capsys.readouterr().err


@pytest.fixture
def group(tmp_path: Path) -> Path:
    """Three faces beside each other."""
    tiles = [np.asarray(Image.open(path).convert("RGB")) for path in sorted((EXAMPLES / "photos").glob("*.jpg"))[:3]]
    path = tmp_path / "in" / "group.png"
    path.parent.mkdir()
    Image.fromarray(np.concatenate(tiles, axis=1)).save(path)
    return path


def test_faces_are_numbered_and_swapped_by_number(tiny_identity: Path, group: Path, tmp_path: Path, capsys: Capture) -> None:  # noqa: F811
    csv = tmp_path / "choices.csv"
    assert main(["faces", str(group), "--preview", str(tmp_path / "preview"), "--csv", str(csv), "--faces", "all"]) == DONE
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("\t")[1] for line in lines] == ["1", "2", "3"]
    assert len(list((tmp_path / "preview").iterdir())) == 1
    csv.write_text(csv.read_text(encoding="utf-8-sig").replace("1 2 3", "2"), encoding="utf-8")
    swap = ["swap", "--identity", str(tiny_identity), str(group), "--mask", "landmarks", "--json", "--no-report", "--out"]
    assert main([*swap, str(tmp_path / "by-csv"), "--choices", str(csv)]) == DONE
    by_csv = json.loads(capsys.readouterr().out)["photos"][0]
    assert main([*swap, str(tmp_path / "by-number"), "--faces", "2,7"]) == DONE
    by_number = json.loads(capsys.readouterr().out)["photos"][0]
    assert [face["number"] for face in by_csv["faces"]] == [face["number"] for face in by_number["faces"]] == [2]
    assert by_csv["output_sha256"] == by_number["output_sha256"]
    assert "face 7 was asked for, 3 were found" in by_number["reason"]
    assert by_csv["left_out"] == {"1": "not asked for", "3": "not asked for"}


def test_faces_beyond_the_identitys_poses_can_be_skipped(
    tiny_identity: Path, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch  # noqa: F811
) -> None:
    monkeypatch.setattr("stylswap.jobs.align_photo.beyond", lambda _pose, _coverage: "turned too far")
    command = ["swap", "--identity", str(tiny_identity), str(PHOTO), "--mask", "landmarks", "--no-report", "--workers", "0", "--json"]
    assert main([*command, "--out", str(tmp_path / "warned")]) == DONE
    streams = capsys.readouterr()
    assert json.loads(streams.out)["photos"][0]["faces"][0]["warning"] == "turned too far"
    assert "turned too far" in streams.err
    assert main([*command, "--out", str(tmp_path / "skipped"), "--beyond-pose", "skip"]) == SOME_FAILED
    skipped = json.loads(capsys.readouterr().out)["photos"][0]
    assert skipped["status"] == "skipped"
    assert "turned too far" in skipped["reason"]
    assert not (tmp_path / "skipped" / PHOTO.name).exists()


def test_running_again_does_nothing_and_a_label_is_another_run(tiny_identity: Path, tmp_path: Path, capsys: Capture) -> None:  # noqa: F811
    command = ["swap", "--identity", str(tiny_identity), str(PHOTO), "--out", str(tmp_path / "out"), "--mask", "landmarks", "--json"]
    done_earlier = []
    for more in ([], [], ["--label"], ["--label", "--force"]):
        assert main([*command, *more]) == DONE
        done_earlier.append(json.loads(capsys.readouterr().out)["done_earlier"])
    assert done_earlier == [0, 1, 0, 0]
    assert (tmp_path / "out" / "report.html").is_file()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--sign", "cert.pem"], "--sign CERT and --key KEY belong together"),
        (["--faces", "larges"], "Did you mean 'largest'"),
        (["--like", "nowhere.jpg"], "nowhere.jpg"),
        (["--choices", "nowhere.csv"], "nowhere.csv"),
        (["--max-failures", "-1"], "max_failures must be 0 or more"),
        (["--label", "\U0001f600"], "label"),
    ],
)
def test_swap_options_that_cannot_be(tiny_identity: Path, tmp_path: Path, capsys: Capture, options, message: str) -> None:  # noqa: F811
    code = main(["swap", "--identity", str(tiny_identity), str(PHOTO), "--out", str(tmp_path / "out"), *options])
    assert code in (WRONG_USAGE, COULD_NOT_RUN)
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_doctor_prints_a_row_for_each_check_and_its_verdict(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = (Row("torch", "ok", "2.11"), Row("dlib", "error", "not there", "pip install dlib-bin"))
    monkeypatch.setattr("stylswap.jobs.doctor.diagnose", lambda **_: Diagnosis(rows))
    assert main(["doctor"]) == COULD_NOT_RUN
    text = capsys.readouterr().out
    assert "pip install dlib-bin" in text
    long = Row("weights face-landmarker", "ok", "not fetched", "stylswap weights fetch face-landmarker")
    monkeypatch.setattr("stylswap.jobs.doctor.diagnose", lambda **_: Diagnosis((*rows[:1], long)))
    assert main(["doctor"]) == DONE
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split() == ["ok", "weights", "face-landmarker", "not", "fetched"]
    assert lines[0].index("2.11") == lines[1].index("not fetched") == lines[2].index("->")
    monkeypatch.setattr("stylswap.jobs.doctor.diagnose", lambda **_: Diagnosis(rows[:1]))
    assert main(["doctor", "--json"]) == DONE
    assert json.loads(capsys.readouterr().out)["rows"][0]["name"] == "torch"
