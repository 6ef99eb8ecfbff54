"""The dashboard as somebody meets it: in a real browser, over a service that really runs."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from service.demo.server import run_service
from storage.attempts import Lease, claim_job, finish_succeeded, record_progress
from storage.database import Database
from storage.jobs import MetricPoint
from storage.keys import create_key
from storage.settings import Settings
from tests.needs import NO_CHROMIUM, find_chromium
from tests.service.conftest import Workshop
from tests.service.processes import CHECKOUT, PATIENCE_S, answers, find_free_port, wait_for
from tests.service.test_brought_models import build_onnx

pytest.importorskip("playwright.sync_api", reason="needs the Python package playwright")
from playwright.sync_api import Browser, Page, expect, sync_playwright  # after the question whether it is there

CHROMIUM = find_chromium()
PATIENCE_MS = PATIENCE_S * 1000
DEVICE = {
    "board": "mps2-an386",
    "core": "Cortex-M4",
    "compiler": "gcc",
    "emulator": "QEMU",
    "flash_bytes": 20_480,
    "ram_bytes": 3072,
    "stack_bytes": 252,
    "instructions_per_picture": 1_234_567,
    "set_up_instructions": None,
    "num_examples": 100,
    "num_asked_examples": 100,
    "num_identical": 100,
}
HOSTILE = """<img src=x onerror="window.broken=1"><script>window.broken=1</script>&amp;"""

pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason=NO_CHROMIUM)]


class Visit:
    """A page of the dashboard, and all that went wrong in it or left for another server."""

    def __init__(self, page: Page, origin: str) -> None:
        self.page = page
        self.errors: list[str] = []
        self.strangers: list[str] = []
        page.set_default_timeout(PATIENCE_MS)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", lambda message: self._note(message.type, message.text))
        page.on("request", lambda request: self._look(request.url, origin))
        page.goto(f"{origin}/")

    def _note(self, kind: str, text: str) -> None:
        # Chromium logs every 4xx by itself; what the page makes of them is asserted where they are asked for.
        if kind in {"error", "warning"} and not text.startswith("Failed to load resource"):
            self.errors.append(text)

    def _look(self, url: str, origin: str) -> None:
        if urlsplit(url).scheme != "blob" and not url.startswith(f"{origin}/"):
            self.strangers.append(url)

    def check(self) -> None:
        assert self.errors == []
        assert self.strangers == []


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        # No sandbox: as root, which CI often is, Chromium starts in no other way. And it asks nobody for anything.
        arguments = ["--no-sandbox", "--disable-background-networking", "--disable-component-update"]
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments, timeout=PATIENCE_MS)
        yield browser
        browser.close()


def test_a_training_is_submitted_by_the_form_followed_live_and_found_again(browser: Browser, tmp_path: Path) -> None:
    expect.set_options(timeout=PATIENCE_MS)
    with run_service(Settings(data_dir=tmp_path), tmp_path) as service:
        origin = service.client.base_url
        visit = Visit(browser.new_page(viewport={"width": 360, "height": 740}), origin)
        page = visit.page
        expect(page.locator("#system .ready")).to_contain_text("ready")

        # The first step is told to who comes first, and a mistake beside its field.
        page.get_by_role("link", name="Open the form, filled in").click()
        page.get_by_label("name", exact=True).fill(HOSTILE)
        page.get_by_label("epochs", exact=True).fill("0")
        page.get_by_role("button", name="Submit the train job").click()
        expect(page.locator("#field-epochs-error")).to_have_text("Input should be greater than or equal to 1")
        expect(page.get_by_label("epochs", exact=True)).to_be_focused()
        assert list(service.client.jobs()) == []

        # Submitted, it is followed on its own page, which nobody loads again.
        page.evaluate("window.sinceTheFirstLoad = true")
        page.get_by_label("epochs", exact=True).fill("3")
        page.get_by_role("button", name="Submit the train job").click()
        expect(page.locator("h1")).to_contain_text(HOSTILE)
        # A training and its plots: minutes where other programs keep the processor busy.
        expect(page.locator("h1 .status")).to_contain_text("succeeded", timeout=3 * PATIENCE_MS)
        assert page.evaluate("window.sinceTheFirstLoad") is True
        [job] = service.client.jobs()
        assert page.url == f"{origin}/#/jobs/{job.id}"

        # The curve ends where the API says that it ends.
        series = job.metrics["validation_accuracy"]
        last = f"{100 * series[-1][1]:.2f} %"
        curve = page.get_by_role("img", name=re.compile("^Accuracy: "))
        expect(curve).to_have_accessible_name(re.compile(f"validation {last} at epoch 3, 3 points"))
        plot = page.get_by_role("img", name=re.compile("^Plot: .*training"))
        plot.scroll_into_view_if_needed()  # pictures are fetched when they come near
        expect(plot).to_have_js_property("complete", True)
        assert plot.evaluate("picture => picture.naturalWidth") > 0
        expect(page.get_by_label("Log of events")).to_contain_text("epoch 3 of 3")

        model = job.model
        # The digits of test are not all as many: each class counted the same is another number.
        assert model.evaluation is not None
        assert model.evaluation.test is not None
        accuracy, balanced = (
            f"{100 * (share or 0):.2f} %" for share in (model.accuracy, model.evaluation.test.balanced_accuracy)
        )
        figure = page.locator(".figures .figure", has_text="Balanced accuracy, test")
        expect(figure.locator("b")).to_have_text([] if balanced == accuracy else [balanced])

        # It is in the lists, by a name that is text and nothing else, on a page that fits.
        check_width(page)
        for address, shown in (
            ("jobs", HOSTILE),
            ("models", f"{100 * (model.accuracy or 0):.2f} %"),
            ("new", "Submit the train job"),
        ):
            page.goto(f"{origin}/#/{address}")
            expect(page.locator("main")).to_contain_text(shown)
            check_width(page)
        assert page.evaluate("'broken' in window") is False
        assert page.locator("img[src=x]").count() == 0
        visit.check()
        page.close()


def test_a_network_of_other_classes_is_brought_by_the_form_and_fine_tuned_from_its_page(
    browser: Browser, tmp_path: Path
) -> None:
    expect.set_options(timeout=PATIENCE_MS)
    with run_service(Settings(data_dir=tmp_path), tmp_path) as service:
        origin = service.client.base_url
        visit = Visit(browser.new_page(viewport={"width": 360, "height": 740}), origin)
        page = visit.page
        page.goto(f"{origin}/#/bring")
        button = page.get_by_role("button", name="Bring it")
        button.click()
        expect(page.locator(".problem")).to_have_count(1)  # there is no file yet

        # What the service says of a field stands beside it.
        network = build_onnx(channels=3, side=32, num_classes=37)
        page.get_by_label("file").set_input_files(
            {"name": "model.onnx", "mimeType": "application/octet-stream", "buffer": network}
        )
        page.get_by_label("measure").uncheck()
        button.click()
        expect(page.locator("#field-mean-error")).not_to_have_text("")
        check_width(page)
        page.get_by_label("mean", exact=True).fill("0.485,0.456,0.406")
        page.get_by_label("std", exact=True).fill("0.229,0.224,0.225")
        button.click()
        expect(page.locator("h1 .status")).to_contain_text("succeeded")
        [model] = service.client.models()
        model_id = model.id
        assert model.not_measured == "no_dataset"

        # No job is offered that would refuse it.
        page.goto(f"{origin}/#/models/{model_id}")
        expect(page.locator(".warning")).to_have_count(1)
        expect(page.locator(".title .actions a")).to_have_count(1)
        check_width(page)
        page.locator(".title .actions a").click()
        expect(page.get_by_label("initial model id")).to_have_value(model_id)
        page.goto(f"{origin}/#/new/prune")
        expect(page.locator("#field-model_id option")).to_have_count(1)  # `latest`
        visit.check()
        page.close()


def check_width(page: Page) -> None:
    """Nothing has to be scrolled sideways at 360 px."""
    expect(page.locator(".page[aria-busy]")).to_have_count(0)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_what_an_export_takes_on_a_device_stands_on_its_page(
    browser: Browser, workshop: Workshop, settings: Settings
) -> None:
    expect.set_options(timeout=PATIENCE_MS)
    job_ids = list[str]()
    for device in (DEVICE, None):
        model_id = workshop.compress(workshop.train(), bit_width=4)
        job_ids.append(workshop.submit("export", model_id=model_id, target="c"))
        result: dict[str, Any] = {
            "model_id": model_id,
            "target": "c",
            "format": "c",
            "num_bytes": 2048,
            "weight_type": None,
        }
        result |= {"memory": None, "run": None, "device": device, "environment": {}}
        lease = workshop.claim()
        with workshop.database.transaction() as session:
            finish_succeeded(session, lease, result=result, output_model_id=None, artifacts=[], models=[])
    with run_service(settings, settings.data_dir) as service:
        visit = Visit(browser.new_page(viewport={"width": 360, "height": 740}), service.client.base_url)
        page = visit.page
        page.goto(f"{service.client.base_url}/#/jobs/{job_ids[0]}")
        expect(page.locator(".figures dt")).to_have_text(["File", "Flash", "RAM", "Instructions per picture"])
        expect(page.locator(".figures b")).to_have_text(["2.00 KB", "20.00 KB", "3.00 KB", "1,234,567"])
        expect(page.locator(".figures small")).to_have_text(
            [
                "code and constants; Cortex-M4, emulated",
                "252 bytes of it stack",
                "100 of 100 pictures with the very numbers",
            ]
        )
        check_width(page)
        page.goto(f"{service.client.base_url}/#/jobs/{job_ids[1]}")
        expect(page.locator(".figures dt")).to_have_text(["File"])
        visit.check()
        page.close()


@dataclass(frozen=True)
class Guarded:
    """An API without a worker, which asks for a key."""

    origin: str
    secret: str


@pytest.fixture
def guarded(settings: Settings, database: Database) -> Iterator[Guarded]:
    with database.transaction() as session:
        secret = create_key(session, "alice").secret
    port = find_free_port()
    environment = os.environ | {
        "TONOK_DATA_DIR": str(settings.data_dir),
        "TONOK_PORT": str(port),
        "TONOK_REQUIRE_KEY": "true",
    }
    process = subprocess.Popen([sys.executable, "-m", "service"], cwd=CHECKOUT, env=environment)
    try:
        wait_for(lambda: answers(port, "/healthz"))
        yield Guarded(f"http://127.0.0.1:{port}", secret)
    finally:
        process.terminate()
        process.wait(timeout=PATIENCE_S)


def report(database: Database, lease: Lease, **progress: Any) -> None:
    """An epoch's end, as a worker writes it."""
    with database.transaction() as session:
        record_progress(
            session,
            lease,
            progress={"total_epochs": 4, **progress},
            phase="training",
            message=f"epoch {progress['epoch']}",
            metrics={"validation_accuracy": [MetricPoint(progress["epoch"], 0.8)]},
        )


def test_with_keys_the_page_asks_for_one_and_its_stream_sends_it(
    browser: Browser, database: Database, guarded: Guarded
) -> None:
    expect.set_options(timeout=PATIENCE_MS)
    visit = Visit(browser.new_page(), guarded.origin)
    page = visit.page
    field = page.get_by_label("API key", exact=True)
    expect(page.locator("#key-error")).to_have_text("This service asks for a key.")
    field.fill(f"tonok_{'A' * 43}")
    page.get_by_role("button", name="Use this key").click()
    expect(page.locator("#key-error")).not_to_have_text("")
    field.fill(guarded.secret)
    page.get_by_role("button", name="Use this key").click()

    page.get_by_role("link", name="Open the form, filled in").click()
    page.get_by_role("button", name="Submit the train job").click()
    expect(page.locator("h1 .status")).to_contain_text("queued")
    with database.transaction() as session:
        job = claim_job(session, "wrk_test", ttl=PATIENCE_S)
        assert job is not None
        lease = Lease(job.id, job.attempt, "wrk_test")
    for epoch in (1, 2):
        report(database, lease, epoch=epoch, percent=25.0 * epoch, eta_s=10.0 / epoch)
        expect(page.locator(".now .progress-text")).to_have_text(
            f"{25 * epoch} % · training · epoch {epoch} of 4, about {10 / epoch:.1f} s left".replace("10.0 s", "10 s")
        )
        expect(page.get_by_role("progressbar")).to_have_js_property("value", 25 * epoch)
    expect(page.get_by_role("img", name=re.compile("validation 80.00 % at epoch 2, 2 points"))).to_be_visible()
    with database.transaction() as session:
        finish_succeeded(session, lease, result={"epochs": 2}, output_model_id=None, artifacts=[], models=[])
    expect(page.locator("h1 .status")).to_contain_text("succeeded")
    with page.expect_download() as waiting:
        page.get_by_role("link", name="Whole result as JSON").click()
    assert '"epochs":2' in Path(waiting.value.path()).read_text("utf-8")

    # The key is nowhere but in this tab; a deleted job is asked about first.
    assert guarded.secret not in page.content() + page.url
    assert page.evaluate("[localStorage.length, sessionStorage.length, document.cookie]") == [0, 1, ""]
    page.get_by_role("button", name="Delete").click()
    page.get_by_role("dialog").get_by_role("button", name="Keep it").click()
    expect(page.locator("h1 .status")).to_contain_text("succeeded")
    page.get_by_role("button", name="Delete").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete for good").click()
    expect(page.get_by_role("heading", name="Train a first network")).to_be_visible()
    visit.check()
    page.close()
