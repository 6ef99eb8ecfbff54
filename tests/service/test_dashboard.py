"""The page at `/` as the service hands it out: its headers and its files."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urljoin

import pytest
from fastapi.testclient import TestClient

from service.app import create_app
from storage.settings import Settings
from tests.service.conftest import check_problem

FOLDER = Path(__file__).parents[2] / "service" / "static" / "dashboard"
FILES = sorted(file.name for file in FOLDER.iterdir())
MEDIA_TYPES = {".js": "text/javascript", ".css": "text/css", ".html": "text/html", ".svg": "image/svg+xml"}


class Page(HTMLParser):
    """What the browser would load, and all that a policy against injected scripts forbids."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.inside: list[str] = []
        self._tag = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self._tag = tag
        for name, value in attributes:
            if (tag, name) in {("script", "src"), ("link", "href"), ("img", "src")}:
                self.addresses.append(value or "")
            if name == "style" or name.startswith("on"):
                self.inside.append(f"{tag} {name}")

    def handle_data(self, data: str) -> None:
        if self._tag in {"script", "style"} and data.strip():
            self.inside.append(data)


def read_policy(header: str) -> dict[str, list[str]]:
    """Directive → its sources."""
    directives = (directive.split() for directive in header.split(";"))
    return {name: sources for name, *sources in directives}


def test_the_start_page_is_the_dashboard_under_a_policy_without_a_hole(client: TestClient) -> None:
    answer = client.get("/", headers={"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}, follow_redirects=False)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    policy = read_policy(answer.headers["content-security-policy"])
    assert policy["default-src"] == ["'none'"]
    # Everything is fetched from here, a picture may be bytes that were; no script or style is inside the page.
    fetched = {name: sources for name, sources in policy.items() if name.endswith("-src") and name != "default-src"}
    assert fetched.pop("img-src") == ["'self'", "blob:"]
    assert fetched == {"script-src": ["'self'"], "style-src": ["'self'"], "connect-src": ["'self'"]}
    for forbidden in ("base-uri", "form-action", "frame-ancestors", "trusted-types"):
        assert policy[forbidden] == ["'none'"]
    assert policy["require-trusted-types-for"] == ["'script'"]
    headers = {name: answer.headers[name] for name in ("x-content-type-options", "x-frame-options", "referrer-policy")}
    assert headers == {"x-content-type-options": "nosniff", "x-frame-options": "DENY", "referrer-policy": "no-referrer"}


def test_head_tells_what_get_would(client: TestClient) -> None:
    head, get = client.head("/"), client.get("/")
    own = {"x-request-id", "date"}
    assert {name: value for name, value in head.headers.items() if name not in own} == {
        name: value for name, value in get.headers.items() if name not in own
    }
    assert head.content == b""
    assert int(head.headers["content-length"]) == len(get.content)


@pytest.mark.parametrize(
    ("accept", "leads_to"),
    [
        ("text/html", None),
        ("*/*", None),
        ("", None),
        ("application/json, text/html;q=0.1", None),
        ("application/json", "/openapi.json"),
        ("text/html;q=0, */*", "/openapi.json"),
    ],
)
def test_who_reads_no_pages_is_led_to_the_description(accept: str, leads_to: str | None, client: TestClient) -> None:
    answer = client.get("/", headers={"Accept": accept}, follow_redirects=False)
    assert answer.headers.get("location") == leads_to
    assert answer.headers["vary"] == "Accept"
    if leads_to is not None:
        assert client.get(leads_to, headers={"Accept": accept}).json()["openapi"].startswith("3.")


def test_the_page_and_its_files_need_no_key(settings: Settings) -> None:
    with TestClient(create_app(settings.model_copy(update={"require_key": True}))) as client:
        assert client.get("/v1/jobs").status_code == 401
        assert client.get("/").status_code == 200
        for name in FILES:
            assert client.get(f"/static/dashboard/{name}").status_code == 200, name


def test_every_file_is_reached_from_the_page_and_nothing_else_is(client: TestClient) -> None:
    page = Page(client.get("/").text)
    waiting, reached = list(page.addresses), {"/static/dashboard/index.html"}
    while waiting:
        address = waiting.pop()
        if address in reached:
            continue
        reached.add(address)
        answer = client.get(address)
        assert answer.status_code == 200, address
        assert answer.headers["content-type"].split(";")[0] == MEDIA_TYPES[Path(address).suffix]
        assert answer.headers["x-content-type-options"] == "nosniff"
        if address.endswith(".js"):
            imported = re.findall(
                r"""^(?:import|export)\b[^;="']*["']([^"']+)["'];$""", answer.text, flags=re.MULTILINE
            )
            waiting += [urljoin(address, module) for module in imported]
    assert reached == {f"/static/dashboard/{name}" for name in FILES}


@pytest.mark.parametrize("name", FILES)
def test_no_file_names_another_server(name: str) -> None:
    text = (FOLDER / name).read_text("utf-8").replace("http://www.w3.org/2000/svg", "")
    assert re.findall(r"\b(?:https?|wss?|ftp)://\S*|[\"'(=]\s*(?://|data:)\S+|@import.*", text) == []


@pytest.mark.parametrize("name", [name for name in FILES if name.endswith(".js")])
def test_no_script_makes_html_or_code_of_text_or_keeps_a_key_beyond_its_tab(name: str) -> None:
    text = (FOLDER / name).read_text("utf-8")
    ways = r"\w*(?:innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|createContextualFragment|srcdoc)"
    assert re.findall(rf"{ways}|\beval\(|\bFunction\(|localStorage|indexedDB|\bcookie\b", text) == []


def test_the_page_holds_no_script_and_no_style(client: TestClient) -> None:
    assert Page(client.get("/").text).inside == []


@pytest.mark.parametrize("name", FILES)
def test_a_file_of_the_page_can_be_read_in_one_sitting(name: str) -> None:
    assert len((FOLDER / name).read_text("utf-8").splitlines()) <= 400


def test_a_file_that_did_not_change_is_not_sent_again(client: TestClient) -> None:
    first = client.get("/static/dashboard/app.js")
    assert first.headers["cache-control"] == "no-cache"
    again = client.get("/static/dashboard/app.js", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize("path", ["nothing.js", "../../app.py", "%2e%2e/%2e%2e/app.py", "", "."])
def test_what_is_no_file_of_the_page_is_404(path: str, client: TestClient) -> None:
    check_problem(client.get(f"/static/dashboard/{path}"), 404, "not_found")


def test_the_system_names_its_own_version(client: TestClient) -> None:
    assert client.get("/v1/system").json()["versions"]["tonok"] == client.get("/openapi.json").json()["info"]["version"]
