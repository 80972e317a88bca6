"""The dashboard and /docs in a real browser, against a real server process."""

import json
import re
import shutil
import tempfile
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from running import serving
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.select import Select
from selenium.webdriver.support.ui import WebDriverWait

FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
         "--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage",
         "--window-size=1300,900")  # fmt: skip
EVIL = '<img src=x onerror="document.title=1">'
PATIENCE = 30


@pytest.fixture(scope="module")
def browser() -> Iterator[webdriver.Chrome]:
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or "chromium"
    with tempfile.TemporaryDirectory() as profile:
        for flag in (*FLAGS, f"--user-data-dir={profile}"):
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver") or "chromedriver"))
        yield driver
        driver.quit()


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serving(tmp_path_factory.mktemp("server")) as running:
        yield f"http://{running.http}"


def post(url: str, content: Any) -> None:
    request = urllib.request.Request(url, json.dumps(content).encode(), {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
        assert answer.status == 200


def texts(browser: webdriver.Chrome, selector: str) -> list[str]:
    """In one step: the page replaces its rows every second."""
    script = "return [...document.querySelectorAll(arguments[0])].map(e => e.textContent)"
    return list(browser.execute_script(script, selector))


def names(browser: webdriver.Chrome) -> list[str]:
    return texts(browser, "#top td:first-child")


def complaints(browser: webdriver.Chrome) -> list[str]:
    return [entry["message"] for entry in browser.get_log("browser")]


def test_dashboard(browser: webdriver.Chrome, address: str) -> None:
    browser.get(address)
    wait = WebDriverWait(browser, PATIENCE, poll_frequency=0.1)
    wait.until(lambda _: browser.find_element(By.ID, "counters").text == "0")
    assert browser.find_element(By.ID, "top-empty").is_displayed()
    many = [
        {"type": "hits", "id": EVIL, "delta": 2**53 + 1},
        {"type": "hits", "id": "/b", "member": "kim"},
        {"type": "hits", "id": "/b", "member": "lee"},
        {"type": "likes", "id": "ä"},
    ]
    post(f"{address}/v1/increments", many)
    wait.until(lambda _: names(browser) == [EVIL, "/b"])
    assert texts(browser, "#top td.number") == ["9,007,199,254,740,993", "0", "2", "2"]
    assert browser.title == "fastcount"
    assert not browser.find_elements(By.CSS_SELECTOR, "#top img")
    assert browser.find_element(By.ID, "counters").text == "3"
    Select(browser.find_element(By.ID, "by")).select_by_visible_text("uniques")
    wait.until(lambda _: names(browser) == ["/b"])  # nobody was seen at the other one
    few = [{"type": "hits", "id": EVIL, "delta": 0, "member": f"user_{i}"} for i in range(3000)]
    post(f"{address}/v1/increments", few)
    wait.until(lambda _: names(browser) == [EVIL, "/b"])
    numbers = texts(browser, "#top td.number")
    assert numbers[0] == "9,007,199,254,740,993"
    assert re.fullmatch(r"≈ [23],\d{3}", numbers[1])
    assert numbers[2:] == ["2", "2"]
    Select(browser.find_element(By.ID, "by")).select_by_visible_text("total")
    assert not browser.find_element(By.ID, "top-empty").is_displayed()
    Select(browser.find_element(By.ID, "type")).select_by_visible_text("likes")
    wait.until(lambda _: names(browser) == ["ä"])
    assert "http 127.0.0.1" in texts(browser, "#sources td")
    assert browser.find_element(By.CSS_SELECTOR, "#chart canvas").size["width"] > 300
    wait.until(lambda _: browser.find_element(By.ID, "rate").text != "–")
    assert complaints(browser) == []


def test_docs(browser: webdriver.Chrome, address: str) -> None:
    browser.get(f"{address}/docs")
    WebDriverWait(browser, PATIENCE, poll_frequency=0.1).until(
        lambda _: len(browser.find_elements(By.CSS_SELECTOR, ".opblock")) == 12
    )
    assert complaints(browser) == []


def test_it_says_so_when_the_server_is_gone(browser: webdriver.Chrome, tmp_path: Path) -> None:
    with serving(tmp_path) as running:
        browser.get(f"http://{running.http}")
        wait = WebDriverWait(browser, PATIENCE, poll_frequency=0.1)
        wait.until(lambda _: browser.find_element(By.ID, "status").text.startswith("up "))
    wait.until(lambda _: browser.find_element(By.ID, "status").text.startswith("no answer from the server"))
