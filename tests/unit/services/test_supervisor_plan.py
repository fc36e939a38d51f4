"""What the supervisor tells every process."""

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from rich.console import Console

from actor_server.config import ActorConfig
from proto.wire.curve import CurveClient
from services.display import StartDisplay
from services.provenance import ProvenanceKey
from services.settings import Settings, SettingsError
from services.supervisor.certificates import Certificate
from services.supervisor.credentials import (
    LiveKitKey,
    livekit_key,
    provenance_key,
    provenance_problem,
)
from services.supervisor.directories import AlreadyRunning, Directories, opened
from services.supervisor.known_settings import config_class
from services.supervisor.livekit_config import livekit_config, network_address
from services.supervisor.plan import Machine, ProcessPlan
from services.supervisor.ports import port_uses
from services.supervisor.readiness import EngineProbe, HttpProbe
from thinker_server.config import ThinkerConfig

pytestmark = pytest.mark.unit

KEY = LiveKitKey("key", "secret" * 6)
PROVENANCE = ProvenanceKey.new()
PREFIXES = {
    "thinker": "XSTREAMER_THINKER_",
    "actor": "XSTREAMER_ACTOR_",
    "gateway": "XSTREAMER_GATEWAY_",
    "agent": "XSTREAMER_AGENT_",
}


def machine(
    tmp_path: Path,
    *,
    certificate: Certificate | None = None,
    environ: dict[str, str] | None = None,
    key: ProvenanceKey | None = PROVENANCE,
    page_key: str = "",
    **tables: Any,
) -> Machine:
    return Machine(
        settings=Settings(data=tmp_path, **tables),
        directories=Directories(tmp_path, tmp_path / "run"),
        livekit_program=Path("/bin/livekit-server"),
        livekit_key=KEY,
        provenance_key=key,
        certificate=certificate,
        environ=environ or {},
        page_key=page_key,
    )


def plans(tmp_path: Path, **told: Any) -> dict[str, ProcessPlan]:
    return {plan.name: plan for plan in machine(tmp_path, **told).plans()}


def shown_at_start(tmp_path: Path, started: Machine) -> str:
    with (tmp_path / "console").open("w") as file:
        StartDisplay(Console(file=file, width=40), None).ready(started)
    return (tmp_path / "console").read_text()


@pytest.mark.parametrize("process", sorted(PREFIXES))
def test_a_process_understands_everything_it_is_told(
    tmp_path: Path, process: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = plans(tmp_path)[process]
    told = {k: v for k, v in plan.env.items() if k.startswith(PREFIXES[process])}
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    config = config_class(process)()
    assert told
    for name in told:
        assert hasattr(config, name.removeprefix(PREFIXES[process]).lower())


@pytest.mark.parametrize("preset", ["glm4voice", "tiny-glm", "glm4voice-18b", "tiny-18b"])
def test_engines_of_glm4voice_read_the_same_weights_and_speak_the_same_codes(
    tmp_path: Path, preset: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, plan in plans(tmp_path, preset=preset, cache=tmp_path).items():
        if name in ("thinker", "actor"):
            for variable, value in plan.env.items():
                monkeypatch.setenv(variable, value)
    thinker, actor = ThinkerConfig(), ActorConfig()
    assert (thinker.backend, actor.speech) == ("glm4voice", "glm4voice")
    assert tmp_path in thinker.glm4voice_model.parents
    assert thinker.glm4voice_speech_tokenizer.parent == actor.speech_directory.parent
    # Who thinks for a face that is moved by thoughts sends them.
    assert thinker.glm4voice_states == (actor.codec == "ltx") == preset.endswith("18b")


def test_a_preset_gives_way_to_what_a_user_sets(tmp_path: Path) -> None:
    own = {"speech_device": "cuda:1", "speech_weights": "/own"}
    env = plans(tmp_path, preset="tiny-glm", actor=own)["actor"].env
    assert env["XSTREAMER_ACTOR_SPEECH_DEVICE"] == "cuda:1"
    assert env["XSTREAMER_ACTOR_SPEECH_WEIGHTS"] == "/own"


def test_preset_nano_says_nothing_of_speech(tmp_path: Path) -> None:
    found = plans(tmp_path)
    assert not any("SPEECH" in key for key in found["actor"].env)
    assert not any("GLM4VOICE" in key for key in found["thinker"].env)


@pytest.mark.parametrize(
    ("places", "tables"),
    [
        (4, {"preset": "nano"}),
        (2, {"preset": "glm4voice"}),
        (2, {"preset": "tiny-glm"}),
        (2, {"preset": "glm4voice", "agent": {"max_calls": 6}}),
        (4, {"preset": "glm4voice", "thinker": {"max_sessions": 8}}),
        (3, {"preset": "nano", "agent": {"max_calls": 3}}),
        (7, {"agent": {"max_calls": "8"}, "actor": {"max_sessions": "7"}}),
    ],
)
def test_an_agent_takes_no_more_calls_than_its_engines_have_sessions(
    tmp_path: Path, places: int, tables: Any
) -> None:
    env = plans(tmp_path, cache=tmp_path, **tables)["agent"].env
    assert env["XSTREAMER_AGENT_MAX_CALLS"] == str(places)


def test_engines_of_other_machines_do_not_limit_an_agent(tmp_path: Path) -> None:
    elsewhere = dict.fromkeys(("thinker_endpoint", "actor_endpoint"), "tcp://10.0.0.2:5555")
    agent = {"max_calls": 9, **elsewhere}
    env = plans(tmp_path, preset="glm4voice", only="livekit,agent", agent=agent)["agent"].env
    assert env["XSTREAMER_AGENT_MAX_CALLS"] == "9"


def test_a_number_of_calls_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"\[thinker\] max_sessions is 'many'"):
        plans(tmp_path, thinker={"max_sessions": "many"})


def test_all_processes_agree_on_addresses_and_keys(tmp_path: Path) -> None:
    env = {name: plan.env for name, plan in plans(tmp_path).items()}
    for process in ("agent", "gateway"):
        prefix = PREFIXES[process]
        for engine in ("thinker", "actor"):
            bound = env[engine][f"XSTREAMER_{engine.upper()}_ENDPOINT"]
            assert env[process][f"{prefix}{engine.upper()}_ENDPOINT"] == bound
        assert env[process][f"{prefix}LIVEKIT_API_SECRET"] == KEY.api_secret


def test_what_a_user_sets_for_a_process_reaches_it(tmp_path: Path) -> None:
    thinker = plans(tmp_path, thinker={"brain": "openai", "voices": {"en": "hibari"}})["thinker"]
    assert thinker.env["XSTREAMER_THINKER_BRAIN"] == "openai"
    assert json.loads(thinker.env["XSTREAMER_THINKER_VOICES"]) == {"en": "hibari"}


def test_an_engine_that_lets_in_known_keys_only_is_asked_with_its_own(tmp_path: Path) -> None:
    keys = {"curve_public_key": "public", "curve_secret_key": "secret"}
    found = plans(tmp_path, thinker=keys)
    asked = found["thinker"].probe
    assert isinstance(asked, EngineProbe)
    assert asked.curve == CurveClient("public", "secret", "public")
    assert found["actor"].probe == EngineProbe(f"ipc://{tmp_path}/run/actor.sock")


@pytest.mark.parametrize(
    "mistake", [{"actor": {"theads": 2}}, {"environ": {"XSTREAMER_ACTOR_THEADS": "2"}}]
)
def test_a_key_that_a_process_does_not_know_is_refused(tmp_path: Path, mistake: Any) -> None:
    with pytest.raises(SettingsError, match=r"theads.*It knows: .*threads"):
        plans(tmp_path, **mistake)


def test_a_local_page_talks_to_livekit_directly_and_others_through_the_gateway(
    tmp_path: Path,
) -> None:
    public = "XSTREAMER_GATEWAY_LIVEKIT_PUBLIC_URL"
    assert plans(tmp_path)["gateway"].env[public] == "ws://127.0.0.1:7880"
    assert public not in plans(tmp_path, gateway={"host": "0.0.0.0"})["gateway"].env


def test_a_certificate_makes_the_gateway_serve_https(tmp_path: Path) -> None:
    certificate = Certificate(tmp_path / "a.pem", tmp_path / "a.key")
    plan = plans(tmp_path, certificate=certificate)["gateway"]
    assert plan.env["XSTREAMER_GATEWAY_TLS_CERT"] == str(certificate.file)
    assert plan.probe == HttpProbe("https://127.0.0.1:8080/readyz")


def test_livekit_of_a_local_page_stays_on_loopback() -> None:
    settings = Settings()
    config = json.loads(livekit_config(settings.livekit, settings.gateway, KEY))
    assert config["rtc"]["node_ip"] == "127.0.0.1"
    assert config["rtc"]["interfaces"] == {"includes": ["lo"]}
    assert config["room"]["sync_streams"] is True
    assert config["keys"] == {KEY.api_key: KEY.api_secret}


def test_livekit_of_an_open_page_offers_the_configured_address() -> None:
    settings = Settings(gateway={"host": "0.0.0.0"}, livekit={"node_ip": "192.168.1.7"})
    config = json.loads(livekit_config(settings.livekit, settings.gateway, KEY))
    assert config["rtc"]["node_ip"] == "192.168.1.7"
    assert "interfaces" not in config["rtc"]
    assert "enable_loopback_candidate" not in config["rtc"]


def test_media_are_awaited_only_on_the_address_that_callers_are_told() -> None:
    """LiveKit announced loopback, too, as that address, and then answered nobody from elsewhere."""
    ours = network_address()
    if ours == "127.0.0.1":
        pytest.skip("this machine has no network")
    settings = Settings(gateway={"host": "0.0.0.0"}, livekit={"node_ip": ours})
    config = json.loads(livekit_config(settings.livekit, settings.gateway, KEY))
    assert config["rtc"]["ips"] == {"includes": [f"{ours}/32"]}


def test_turn_carries_packets_to_this_server_only() -> None:
    livekit = {"node_ip": "192.168.1.7", "turn_udp_port": 443}
    settings = Settings(gateway={"host": "0.0.0.0"}, livekit=livekit)
    config = json.loads(livekit_config(settings.livekit, settings.gateway, KEY))
    assert config["turn"] == {
        "enabled": True,
        "udp_port": 443,
        "allow_restricted_peer_cidrs": ["192.168.1.7/32"],
    }
    plain = Settings()
    assert "turn" not in json.loads(livekit_config(plain.livekit, plain.gateway, KEY))


def test_turn_over_tls_has_its_certificate() -> None:
    tls = {"turn_domain": "turn.example.org", "turn_tls_cert": "c.pem", "turn_tls_key": "k.pem"}
    settings = Settings(livekit={"node_ip": "9.9.9.9", "turn_tls_port": 5349, **tls})
    turn = json.loads(livekit_config(settings.livekit, settings.gateway, KEY))["turn"]
    assert turn == {
        "enabled": True,
        "tls_port": 5349,
        "domain": "turn.example.org",
        "cert_file": "c.pem",
        "key_file": "k.pem",
    }


def test_pages_ask_the_turn_server_only_where_there_is_one(tmp_path: Path) -> None:
    variable = "XSTREAMER_GATEWAY_LIVEKIT_LOCAL"
    turned = plans(tmp_path, livekit={"turn_udp_port": 3478})["gateway"].env[variable]
    assert json.loads(turned.lower()) is False
    assert variable not in plans(tmp_path)["gateway"].env


@pytest.mark.parametrize(
    ("host", "target"), [("0.0.0.0", "127.0.0.1:8080"), ("192.168.1.7", "192.168.1.7:8080")]
)
def test_livekit_tells_the_gateway_who_comes_and_goes(host: str, target: str) -> None:
    settings = Settings(gateway={"host": host})
    config = json.loads(livekit_config(settings.livekit, settings.gateway, KEY))
    assert config["webhook"]["urls"] == [f"http://{target}/api/livekit/webhook"]
    assert config["webhook"]["api_key"] == KEY.api_key


def test_livekit_sends_no_webhooks_to_a_certificate_that_it_does_not_know() -> None:
    settings = Settings()
    config = json.loads(livekit_config(settings.livekit, settings.gateway, KEY, tls=True))
    assert "webhook" not in config


def test_a_machine_for_calls_runs_the_agent_with_its_engines_against_a_livekit_elsewhere(
    tmp_path: Path,
) -> None:
    elsewhere = {"url": "ws://10.0.0.1:7880"}
    agent = {"gateway_url": "http://10.0.0.1:8080", "drain_timeout_s": 3600}
    found = plans(tmp_path, only="agent,thinker,actor", livekit=elsewhere, agent=agent)
    assert list(found) == ["thinker", "actor", "agent"]
    env = found["agent"].env
    assert env["XSTREAMER_AGENT_LIVEKIT_URL"] == "ws://10.0.0.1:7880"
    assert env["XSTREAMER_AGENT_GATEWAY_URL"] == "http://10.0.0.1:8080"
    assert env["XSTREAMER_AGENT_DRAIN_TIMEOUT_S"] == "3600"
    assert found["agent"].stop_s > 3600
    settings = Settings(only=("agent", "thinker", "actor"))
    assert {use.table for use in port_uses(settings)} == {"agent", "thinker", "actor"}


def test_a_gateway_asks_nothing_of_engines_and_agents_that_run_elsewhere(tmp_path: Path) -> None:
    env = plans(tmp_path, only="livekit,gateway,actor")["gateway"].env
    assert env["XSTREAMER_GATEWAY_ACTOR_ENDPOINT"]
    assert env["XSTREAMER_GATEWAY_THINKER_ENDPOINT"] == ""
    assert env["XSTREAMER_GATEWAY_AGENT_HEALTH_URL"] == ""


@pytest.mark.parametrize(
    ("only", "way_out"),
    [
        ("agent,thinker,actor", r"`url` in \[livekit\]"),
        ("livekit,agent,thinker", "--only agent,actor"),
        ("livekit,gateway", "--only gateway,actor"),
    ],
)
def test_what_a_part_of_the_processes_lacks_is_named(
    tmp_path: Path, only: str, way_out: str
) -> None:
    with pytest.raises(SettingsError, match=way_out):
        plans(tmp_path, only=only)


def test_a_machine_without_livekit_must_be_told_its_key(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="api_secret"):
        livekit_key(Settings(data=tmp_path, only="agent,thinker,actor"))


def test_a_process_that_nobody_knows_is_refused() -> None:
    with pytest.raises(ValidationError, match="'thinker'"):
        Settings(only="agent,thniker")


def test_servers_that_share_rooms_are_told_their_redis_and_listen_to_their_network() -> None:
    own = {"redis": "redis://:p%40ss@10.0.0.9/2", "host": "10.0.0.1"}
    settings = Settings(livekit=own)
    config = json.loads(livekit_config(settings.livekit, settings.gateway, KEY))
    assert config["redis"] == {"address": "10.0.0.9:6379", "password": "p@ss", "db": 2}
    assert config["bind_addresses"] == ["10.0.0.1", "127.0.0.1"]
    with pytest.raises(ValidationError, match="redis://"):
        Settings(livekit={"redis": "10.0.0.9:6379"})


def test_the_livekit_key_is_made_once_and_private(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path)
    first = livekit_key(settings)
    assert livekit_key(settings) == first
    assert len(first.api_secret) >= 32
    assert (tmp_path / "livekit-key.json").stat().st_mode & 0o777 == 0o600


def test_the_provenance_key_is_made_once_and_private(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path)
    first = provenance_key(settings)
    assert first is not None
    assert provenance_key(settings) == first
    assert (tmp_path / "provenance.key").stat().st_mode & 0o777 == 0o600
    own = ProvenanceKey.new()
    configured = Settings(data=tmp_path, agent={"provenance_key": own.text})
    assert provenance_key(configured) == own


@pytest.mark.parametrize("only", ["agent,thinker,actor", "livekit,gateway,actor"])
def test_a_machine_without_agent_or_gateway_makes_no_provenance_key_of_its_own(
    tmp_path: Path, only: str
) -> None:
    settings = Settings(data=tmp_path, only=only)
    assert provenance_key(settings) is None
    assert not (tmp_path / "provenance.key").exists()
    assert "privacy.md" in provenance_problem(settings, None)
    (tmp_path / "provenance.key").write_text(f"{PROVENANCE.text}\n")
    assert provenance_key(settings) == PROVENANCE
    assert provenance_problem(settings, PROVENANCE) == ""


def test_a_gateway_may_know_only_the_public_key_of_its_agents(tmp_path: Path) -> None:
    told = {"provenance_public_key": PROVENANCE.public_text}
    settings = Settings(data=tmp_path, only="livekit,gateway,actor", gateway=told)
    assert provenance_problem(settings, provenance_key(settings)) == ""


def test_engines_alone_need_no_provenance_key(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path, only="thinker,actor")
    assert provenance_key(settings) is None
    assert provenance_problem(settings, None) == ""


def test_without_a_provenance_key_nothing_is_signed_and_the_start_says_so(tmp_path: Path) -> None:
    elsewhere = {"url": "ws://10.0.0.1:7880"}
    agents = machine(tmp_path, key=None, only="agent,thinker,actor", livekit=elsewhere)
    gateway = machine(tmp_path, key=None, only="livekit,gateway,actor")
    for found in (agents, gateway):
        assert not any("PROVENANCE" in name for plan in found.plans() for name in plan.env)
        assert "not signed" in shown_at_start(tmp_path, found)
    assert "not signed" not in shown_at_start(tmp_path, machine(tmp_path))


def test_only_the_agent_is_told_the_private_provenance_key(tmp_path: Path) -> None:
    told = plans(tmp_path)
    assert told["agent"].env["XSTREAMER_AGENT_PROVENANCE_KEY"] == PROVENANCE.text
    public = told["gateway"].env["XSTREAMER_GATEWAY_PROVENANCE_PUBLIC_KEY"]
    assert public == PROVENANCE.public_text
    for name in told.keys() - {"agent"}:
        assert PROVENANCE.text not in told[name].env.values()


def test_two_supervisors_cannot_share_a_data_directory(tmp_path: Path) -> None:
    refused = pytest.raises(AlreadyRunning, match="XSTREAMER_DATA")
    with opened(tmp_path, {}), refused, opened(tmp_path, {}):
        pytest.fail("both got it")


def test_the_runtime_directory_is_short_private_and_removed(tmp_path: Path) -> None:
    long = tmp_path / ("x" * 90)
    long.mkdir()
    with opened(tmp_path, {"XDG_RUNTIME_DIR": str(long)}) as places:
        endpoint = places.endpoint("thinker")
        assert len(endpoint.removeprefix("ipc://")) < 100
        assert places.runtime.stat().st_mode & 0o777 == 0o700
    assert not places.runtime.exists()


def test_a_gateway_that_others_reach_is_told_the_key_of_the_printed_address(
    tmp_path: Path,
) -> None:
    open_one = machine(tmp_path, gateway={"host": "0.0.0.0"}, page_key="xs_" + "k" * 43)
    environments = {plan.name: plan.env for plan in open_one.plans()}
    assert environments["gateway"]["XSTREAMER_GATEWAY_ADMIN_KEY"] == open_one.page_key
    assert open_one.page_key not in str([v for k, v in environments.items() if k != "gateway"])
    told = shown_at_start(tmp_path, open_one)
    assert f"Open http://127.0.0.1:8080/#key={open_one.page_key}\n" in told
