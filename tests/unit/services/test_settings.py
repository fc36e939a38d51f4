"""xstreamer.toml and the environment become one set of settings."""

from collections.abc import Callable
from pathlib import Path

import pytest

from services.settings import Settings, SettingsError

pytestmark = pytest.mark.unit

WriteConfig = Callable[..., dict[str, str]]


@pytest.fixture
def write_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> WriteConfig:
    """Write a configuration file and return the environment that names it."""

    def write(text: str, **variables: str) -> dict[str, str]:
        file = tmp_path / "xstreamer.toml"
        file.write_text(text)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        return {"XSTREAMER_CONFIG": str(file), **variables}

    return write


def test_the_repository_s_own_file_is_valid() -> None:
    settings = Settings.load({})
    assert settings.preset == "nano"
    assert settings.gateway.port == 8080


def test_the_environment_wins_over_the_file(write_config: WriteConfig) -> None:
    environ = write_config("[gateway]\nport = 9000\n", XSTREAMER_GATEWAY_PORT="9001")
    assert Settings.load(environ).gateway.port == 9001


def test_keys_with_underscores_can_be_set_by_the_environment(write_config: WriteConfig) -> None:
    environ = write_config("", XSTREAMER_LIVEKIT_RTC_TCP_PORT="7999")
    assert Settings.load(environ).livekit.rtc_tcp_port == 7999


def test_a_process_s_own_keys_pass_through_untouched(write_config: WriteConfig) -> None:
    environ = write_config('[thinker]\nbrain = "openai"\nvoices = {en = "kokoro:af_heart"}\n')
    given = Settings.load(environ).thinker.given()
    assert given["brain"] == "openai"
    assert given["voices"] == {"en": "kokoro:af_heart"}


def test_relative_paths_start_at_the_file(write_config: WriteConfig, tmp_path: Path) -> None:
    assert Settings.load(write_config('data = "mine"\n')).data == tmp_path / "mine"


def test_a_wrong_value_is_told_by_both_of_its_names(write_config: WriteConfig) -> None:
    environ = write_config("[gateway]\nport = 99999\n")
    with pytest.raises(SettingsError, match=r"\[gateway\] port .*XSTREAMER_GATEWAY_PORT"):
        Settings.load(environ)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[gatewy]\nport = 1\n", "gatewy"),
        ("[livekit]\nprot = 1\n", "prot"),
        ('preset = "huge"\n', "preset"),
        ("[gateway\n", "not valid TOML"),
    ],
)
def test_typing_errors_are_refused_by_name(
    write_config: WriteConfig, text: str, named: str
) -> None:
    with pytest.raises(SettingsError, match=named):
        Settings.load(write_config(text))


def test_a_configuration_file_that_is_named_must_exist(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="does not exist"):
        Settings.load({"XSTREAMER_CONFIG": str(tmp_path / "none.toml")})


@pytest.mark.parametrize(
    ("host", "local"),
    [("127.0.0.1", True), ("localhost", True), ("::1", True), ("0.0.0.0", False), ("me", False)],
)
def test_only_loopback_hosts_keep_the_page_to_this_machine(
    write_config: WriteConfig, host: str, local: bool
) -> None:
    environ = write_config(f'[gateway]\nhost = "{host}"\n')
    assert Settings.load(environ).gateway.is_local is local


def test_turn_over_tls_without_its_certificate_names_what_is_missing(
    write_config: WriteConfig,
) -> None:
    environ = write_config('[livekit]\nturn_tls_port = 5349\nturn_domain = "turn.example.org"\n')
    with pytest.raises(SettingsError, match="turn_tls_port also needs turn_tls_cert, turn_tls_key"):
        Settings.load(environ)
