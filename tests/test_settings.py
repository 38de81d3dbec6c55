import pytest

from kuleshov.settings import Settings
from kuleshov.tools.types import KuleshovError


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
            "setting fusion: Input should be 'auto', 'text', 'bayes', 'face', "
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
