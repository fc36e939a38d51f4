"""The built page, its caching, and what is said when it is missing."""

from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from gateway.settings import GatewaySettings

pytestmark = pytest.mark.unit


@pytest.fixture
def built(settings: GatewaySettings) -> Path:
    app_dir = settings.app_dir
    for name in ("index.html", "assets/app-1f.js", "swagger/swagger-ui.css", "favicon.svg"):
        (app_dir / name).parent.mkdir(parents=True, exist_ok=True)
        (app_dir / name).write_text(f"content of {name}")
    (app_dir.parent / "secret.txt").write_text("not for browsers")
    return app_dir


@pytest.mark.parametrize("path", ["/", "/call/call-1f", "/docs"])
def test_a_missing_page_names_the_command_that_builds_it(client: TestClient, path: str):
    answer = client.get(path)
    assert answer.status_code == 503
    assert "<code>make setup</code>" in answer.text


@pytest.mark.usefixtures("built")
@pytest.mark.parametrize("path", ["/", "/call/call-1f"])
def test_every_page_address_serves_the_one_page_fresh(client: TestClient, path: str):
    answer = client.get(path)
    assert answer.text == "content of index.html"
    assert answer.headers["cache-control"] == "no-cache"


@pytest.mark.usefixtures("built")
def test_hashed_assets_are_kept_for_good(client: TestClient):
    answer = client.get("/assets/app-1f.js")
    assert answer.text == "content of assets/app-1f.js"
    assert "immutable" in answer.headers["cache-control"]
    assert client.get("/favicon.svg").headers["cache-control"] == "no-cache"


@pytest.mark.usefixtures("built")
@pytest.mark.parametrize(
    "path", ["/assets/..%2f..%2fsecret.txt", "/swagger/%2e%2e/%2e%2e/secret.txt"]
)
def test_nothing_outside_the_built_page_is_served(client: TestClient, path: str):
    answer = client.get(path)
    assert answer.status_code == 404
    assert "not for browsers" not in answer.text


@pytest.mark.usefixtures("built")
def test_the_rest_documentation_needs_no_other_server(client: TestClient):
    page = client.get("/docs").text
    assert "http://" not in page
    assert "https://" not in page
    assert client.get("/swagger/swagger-ui.css").status_code == 200


def test_the_rest_document_lists_every_answer_that_a_route_may_give(client: TestClient):
    paths = client.get("/openapi.json").json()["paths"]
    upload = paths["/api/avatars"]["post"]
    refusals = {"400", "401", "403", "408", "413", "415", "421", "422", "429", "503"}
    assert set(upload["responses"]) == {"201", *refusals}
    assert "multipart/form-data" in upload["requestBody"]["content"]
    room = paths["/api/rooms"]["post"]
    assert set(room["requestBody"]["content"]) == {"application/json", "multipart/form-data"}
    assert set(paths["/api/rooms/{room}"]) == {"get", "delete"}
    assert set(paths["/api/rooms/{room}/mood"]) == {"put"}
    for read_by_hand in (paths["/api/rooms/{room}/mood"]["put"], paths["/api/keys"]["post"]):
        assert list(read_by_hand["requestBody"]["content"]) == ["application/json"]
        assert {"408", "413", "415", "421"} <= set(read_by_hand["responses"])
    assert "/api/livekit/webhook" not in paths


def test_every_reference_in_the_rest_document_leads_somewhere(client: TestClient):
    document = client.get("/openapi.json")
    schemas = document.json()["components"]["schemas"]
    parts = document.text.split('"#/components/schemas/')[1:]
    assert {part.partition('"')[0] for part in parts} <= set(schemas)


def test_problems_are_documented_as_problem_json(client: TestClient):
    paths = client.get("/openapi.json").json()["paths"]
    for operations in paths.values():
        for operation in operations.values():
            errors = {s: r for s, r in operation["responses"].items() if s >= "400"}
            for answer in errors.values():
                assert list(answer["content"]) == ["application/problem+json"]
