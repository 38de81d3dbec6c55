import hashlib
import shutil
from pathlib import Path

import pytest
from model_server import ModelServer

from kuleshov import Inference, settings_files
from kuleshov.apps.cli.main import main
from kuleshov.settings import Settings
from kuleshov.tools.errors import KuleshovError


def test_precedence_argument_environment_file_default(tmp_path, monkeypatch):
    file = tmp_path / "mine.toml"
    file.write_text('model = "file"\nfaces = "file"\nlabels = "file"\n')
    monkeypatch.setenv("KULESHOV_MODEL", "environment")
    monkeypatch.setenv("KULESHOV_FACES", "environment")
    settings = Settings.load(file, model="argument", faces=None)
    assert (settings.model, settings.faces, settings.labels, settings.seed) == (
        "argument",
        "environment",
        "file",
        0,
    )


def test_the_file_in_this_folder_comes_before_the_users_own(tmp_path, monkeypatch):
    own = tmp_path / "config" / "kuleshov"
    own.mkdir(parents=True)
    (own / "kuleshov.toml").write_text("seed = 1\n")
    monkeypatch.chdir(tmp_path)
    assert Settings.load().seed == 1
    (tmp_path / "kuleshov.toml").write_text("seed = 2\n")
    assert Settings.load().seed == 2


@pytest.mark.parametrize(
    ("toml", "sentence"),
    [
        ('modle = "x"\n', "there is no setting 'modle' (did you mean model?)."),
        (
            'fusion = "bays"\n',
            "setting fusion: Input should be 'auto', 'people', 'text', 'bayes', 'face', "
            "'context' or 'mllm', got 'bays'.",
        ),
        ("seed = -1\n", "setting seed: Input should be greater than or equal to 0, got -1."),
    ],
)
def test_a_bad_setting_gets_one_sentence(tmp_path, toml, sentence):
    file = tmp_path / "mine.toml"
    file.write_text(toml)
    with pytest.raises(KuleshovError) as caught:
        Settings.load(file)
    assert str(caught.value) == sentence


def test_a_file_that_is_not_toml(tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text("seed: 3\n")
    with pytest.raises(KuleshovError, match=r"mine\.toml is not TOML: Expected '='"):
        Settings.load(file)


def test_a_missing_file_is_named():
    with pytest.raises(KuleshovError, match=r"no settings file nowhere\.toml"):
        Settings.load("nowhere.toml")


# ------------------------------------------------------------------ a file that lies beside data


def test_every_setting_is_decided():
    """A new setting counts from a data folder's file only once somebody has thought about it."""
    assert set(settings_files.HARMLESS) == set(Settings.model_fields)


HARMFUL = {
    "model": '"http://127.0.0.1:9/v1#m"',
    "speech": '"./whisper"',
    "faces": '"openface:result.csv"',
    "paths": '{ openface = "./run.sh" }',
    "allow_remote": "true",
    "max_pixels": "100000000000",
    "concurrency": "1000",
    "requests_per_minute": "100000",
    "price_in": "0",
    "price_out": "0",
}


@pytest.mark.parametrize("name", HARMFUL)
def test_what_can_do_harm_counts_only_where_the_user_wrote_it(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "kuleshov.toml"
    file.write_text(f'labels = "ekman-6"\n{name} = {HARMFUL[name]}\n')
    with pytest.raises(KuleshovError) as told:
        Settings.load()
    assert str(told.value).startswith(f"kuleshov.toml in this folder sets {name}, which could")
    assert "--settings kuleshov.toml" in str(told.value)
    assert "\n" not in str(told.value)
    named = Settings.load("kuleshov.toml")
    assert named.labels == "ekman-6"
    own = tmp_path / "config" / "kuleshov"
    own.mkdir(parents=True)
    file.rename(own / "kuleshov.toml")
    assert Settings.load().model_dump() == named.model_dump()
    assert getattr(Settings.load(), name) == getattr(named, name)
    monkeypatch.chdir(own)  # the user's own file is his own wherever he stands
    assert Settings.load().labels == "ekman-6"


@pytest.mark.parametrize(
    "line",
    [
        'model = "./weights"',
        'model = "/srv/weights"',
        'model = "somebody/unknown"',
        'model = ["pocket"]',
        'faces = "pocket+openface:a.csv"',
        'faces = "../tool"',
        "max_pixels = inf",
    ],
)
def test_other_ways_to_say_it(line, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "kuleshov.toml").write_text(line)
    with pytest.raises(KuleshovError, match="in this folder sets"):
        Settings.load()


def test_a_folder_by_the_name_of_a_known_model_is_not_loaded_unasked(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "kuleshov.toml").write_text('model = "llava-hf/llava-1.5-7b-hf"\n')
    assert Settings.load().model == "llava-hf/llava-1.5-7b-hf"
    (tmp_path / "llava-hf" / "llava-1.5-7b-hf").mkdir(parents=True)
    with pytest.raises(KuleshovError, match="in this folder sets model"):
        Settings.load()


def test_the_users_own_file_counts_beside_that_of_the_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    own = tmp_path / "config" / "kuleshov"
    own.mkdir(parents=True)
    (own / "kuleshov.toml").write_text('model = "/my/weights"\nseed = 1\n')
    (tmp_path / "kuleshov.toml").write_text('seed = 2\nlabels = "ekman-6"\nmax_pixels = 1000\n')
    found = Settings.load()
    assert (found.model, found.seed, found.labels) == ("/my/weights", 2, "ekman-6")
    assert [file.path for file in found.files] == ["kuleshov.toml", str(own / "kuleshov.toml")]
    digests = [hashlib.sha256(Path(file.path).read_bytes()).hexdigest() for file in found.files]
    assert [file.sha256 for file in found.files] == digests
    assert found.changed(seed=3).files == found.files
    (file,) = Settings.load("kuleshov.toml").files  # named: this one alone
    assert file.path == "kuleshov.toml"


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b'labels = "\xe4"\n', "is not UTF-8 text"),
        (b"labels = " + b"[" * 100_000, "is nested too deeply|is not TOML"),
    ],
)
def test_a_damaged_file_is_one_sentence(data, sentence, tmp_path):
    (tmp_path / "mine.toml").write_bytes(data)
    with pytest.raises(KuleshovError, match=sentence):
        Settings.load(tmp_path / "mine.toml")


def test_without_a_home_there_is_no_file_of_the_user(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("XDG_CONFIG_HOME")
    monkeypatch.setattr(Path, "expanduser", nobody)
    assert Settings.load().files == ()


def nobody(path: Path) -> Path:
    raise RuntimeError("Could not determine home directory.")


POCKET = ("--model", "pocket", "--faces", "pocket")


@pytest.fixture
def data_set(tmp_path, monkeypatch, feat_data):
    """A folder of pictures that came from elsewhere, and in which the user stands."""
    folder = tmp_path / "set"
    folder.mkdir()
    shutil.copy(feat_data / "single_face.jpg", folder / "s0.jpg")
    monkeypatch.chdir(folder)
    return folder


def test_a_program_named_by_a_data_folder_does_not_run(data_set, capsys):
    program = data_set / "tool.sh"
    program.write_text("#!/bin/sh\ntouch it-ran\n")
    program.chmod(0o755)
    (data_set / "kuleshov.toml").write_text(
        f'faces = "openface3"\n[paths]\nopenface3 = "{program}"\n'
    )
    for command in (["infer", "s0.jpg"], ["doctor"], ["annotate", ".", "--out", "run"]):
        assert main([*command, *(POCKET if command[0] != "doctor" else ())]) == 2
        told = capsys.readouterr()
        assert told.out == ""
        assert told.err.startswith("kuleshov: kuleshov.toml in this folder sets paths, which could")
    assert not (data_set / "it-ran").exists()


def test_picture_and_key_go_only_to_a_server_that_the_user_named(data_set, capsys, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    with ModelServer() as server:
        (data_set / "kuleshov.toml").write_text(f'model = "{server.url}"\nfaces = "pocket"\n')
        assert main(["infer", "s0.jpg"]) == 2
        assert "kuleshov.toml in this folder sets model" in capsys.readouterr().err
        assert (server.bodies, server.seen_keys()) == ([], set())
        assert main(["infer", "s0.jpg", "--json", "--settings", "kuleshov.toml"]) == 0
        told = capsys.readouterr()
        assert "settings: kuleshov.toml\n" in told.err
        (file,) = Inference.from_json(told.out).provenance.settings_files
        assert file.path == "kuleshov.toml"
        assert server.bodies
        assert server.seen_keys() == {"Bearer secret"}


def test_which_file_is_used_is_said_and_recorded(data_set, capsys):
    assert main(["infer", "s0.jpg", "--json", *POCKET]) == 0
    told = capsys.readouterr()
    assert "settings:" not in told.err
    assert Inference.from_json(told.out).provenance.settings_files == ()
    data = b'labels = "ekman-6"\n'
    (data_set / "kuleshov.toml").write_bytes(data)
    assert main(["infer", "s0.jpg", "--json", *POCKET]) == 0
    told = capsys.readouterr()
    assert told.err.startswith("settings: kuleshov.toml\n")
    record = Inference.from_json(told.out)
    assert record.provenance.settings["labels"] == "ekman-6"
    (file,) = record.provenance.settings_files
    assert (file.path, file.sha256) == ("kuleshov.toml", hashlib.sha256(data).hexdigest())


def test_a_run_goes_on_when_the_same_settings_come_from_elsewhere(data_set, capsys):
    (data_set / "kuleshov.toml").write_text('labels = "ekman-6"\n')
    call = ["annotate", "s0.jpg", "--out", "run", *POCKET]
    assert main(call) == 0
    (data_set / "kuleshov.toml").unlink()
    assert main([*call, "--labels", "ekman-6"]) == 0
    assert main([*call]) == 2
    assert "begun with other settings" in capsys.readouterr().err
