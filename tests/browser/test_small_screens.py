"""What must fit on a phone, in every language: tabs, states of an account, the word in the ring, the way on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import pytest
from playwright.async_api import Browser, Locator, Route, expect

from station.core.languages import LANGUAGES
from station.interfaces.languages import catalogue
from station.security.access.accounts import Role
from tests.browser.visitor import DESKTOP, PASSWORD, PHONE, Visitor, visiting
from tests.csms import Csms
from tests.walk import CARD, configuration, powered, walking
from tests.walks.commissioned import try_step
from tests.walks.visit import visiting as api_of

pytestmark = pytest.mark.asyncio(loop_scope="session")  # the event loop of the browser

SMALL: Final = {"width": 360, "height": 800}
INSTALLATION: Final[dict[str, Any]] = {"station": {"identity": "BORNE-TEST", "commissioning": "required"}}
INNER: Final = (88 * 2 - 13) / 200
"""inner diameter of the ring, as part of its width"""
MARGIN_PX: Final = 10


async def box(place: Locator) -> tuple[float, float, float, float]:
    """Return left, top, right and bottom of an element."""
    found = await place.bounding_box()
    assert found is not None
    return found["x"], found["y"], found["x"] + found["width"], found["y"] + found["height"]


async def links_off_screen(visitor: Visitor) -> list[str]:
    """Return the texts of links and tabs that are not completely on the screen."""
    outside: list[str] = []
    for link in await visitor.page.locator(".places a, [role=tab]").all():
        left, _, right, _ = await box(link)
        if left < 0 or right > SMALL["width"]:
            outside.append(await link.inner_text())
    return outside


@pytest.mark.parametrize("language", LANGUAGES)
async def test_tabs_and_accounts_fit_on_a_small_phone(browser: Browser, tmp_path: Path, language: str) -> None:
    """No tab is cut off, no state of an account lies under the button beside it."""
    async with (
        powered(configuration(tmp_path, None), Csms()) as walk,
        visiting(browser, walk, viewport=SMALL, locale=language, local=True) as visitor,
    ):
        await walk.parts.access.accounts.set_password(Role.DRIVER, PASSWORD)
        for path in ("/owner#access", "/installer"):
            await visitor.go(path)
            assert await links_off_screen(visitor) == []
            await visitor.audit()
            await visitor.picture(f"small-{path[1:6]}-{language}")
        await visitor.go("/owner#access")
        rows = visitor.page.locator("#access-roles > li")
        await expect(rows).to_have_count(4)
        for row in await rows.all():
            left, top, right, bottom = await box(row.locator(".pill"))
            button_left, button_top, button_right, button_bottom = await box(row.get_by_role("button"))
            assert right <= button_left or left >= button_right or bottom <= button_top or top >= button_bottom
            assert right <= SMALL["width"]


@pytest.mark.parametrize("viewport", [SMALL, PHONE, DESKTOP], ids=["360", "390", "1280"])
async def test_the_word_in_the_ring_does_not_touch_it(
    browser: Browser, tmp_path: Path, viewport: dict[str, int]
) -> None:
    """Not even Reserviert or Gereserveerd."""
    async with powered(configuration(tmp_path, None), Csms()) as walk, api_of(walk) as api:
        card = await walk.parts.cards.add(CARD, "Anna")
        await api.post("/api/evses/1/reservation", {"card": card, "for_s": 7200}, status=201)
        for language in LANGUAGES:
            async with visiting(browser, walk, viewport=viewport, locale=language) as visitor:
                await visitor.go()
                word = visitor.page.locator("[data-figure]").first
                await expect(word).to_have_text(catalogue(language)["ring.reserved"])
                left, _, right, _ = await box(word)
                ring_left, _, ring_right, _ = await box(visitor.page.locator(".ring").first)
                assert right - left <= INNER * (ring_right - ring_left) - 2 * MARGIN_PX
                await visitor.picture(f"ring-{viewport['width']}-{language}")


async def test_the_link_to_the_api_is_large_enough_for_a_finger(browser: Browser, tmp_path: Path) -> None:
    async with powered(configuration(tmp_path, None), Csms()) as walk, visiting(browser, walk) as visitor:
        await visitor.go()
        _, top, _, bottom = await box(visitor.page.get_by_role("link", name="API"))
        assert bottom - top >= 44


# The way through the commissioning


@pytest.mark.parametrize("language", LANGUAGES)
async def test_one_step_is_counted_in_the_singular(browser: Browser, tmp_path: Path, language: str) -> None:
    """Such as 1 étape sur 6 est réglée."""
    text = catalogue(language)["commissioning.progress.one"].format(done=1, all=6)
    assert text != catalogue(language)["commissioning.progress"].format(done=1, all=6)
    async with (
        powered(configuration(tmp_path, None, **INSTALLATION), Csms()) as walk,
        api_of(walk) as api,
        visiting(browser, walk, viewport=SMALL, locale=language, local=True) as installer,
    ):
        await try_step(api, step="site", name="Home", address="Main Street 1", place="garage")
        await installer.go("/commissioning")
        await expect(installer.page.locator("#way-progress")).to_have_text(text)


async def test_only_what_is_to_be_done_now_is_emphasized(browser: Browser, tmp_path: Path) -> None:
    """The button of an open step, then the way to the next one."""
    async with (
        powered(configuration(tmp_path, None, **INSTALLATION), Csms()) as walk,
        visiting(browser, walk, viewport=SMALL, local=True) as installer,
    ):
        await installer.go("/commissioning#identity")
        check = installer.page.locator(".step:visible").get_by_role("button", name="Save and check")
        on = installer.page.get_by_role("link", name="Next step")
        await expect(check).to_be_visible()
        accent = await background(check)
        assert await background(on) != accent
        await installer.picture("emphasis-open")
        await installer.page.locator(".step:visible").get_by_label("Identity on the label").fill("BORNE-TEST")
        await installer.page.locator(".step:visible").get_by_label("Your name").fill("A. Installer")
        await check.click()
        await expect(installer.page.locator(".step:visible [data-outcome] strong")).to_have_text("passed")
        assert await background(on) == accent
        assert await background(check) != accent
        await installer.audit()
        await installer.picture("emphasis-done")
        await on.click()
        await expect(installer.page.locator("#site")).to_be_visible()
        assert await background(on) != accent


async def background(element: Locator) -> str:
    """Return the background colour of a button."""
    return str(await element.evaluate("(element) => getComputedStyle(element).backgroundColor"))


# The chart


async def test_the_chart_draws_steps_between_sparse_samples(browser: Browser, tmp_path: Path) -> None:
    """A current holds until the next sample: no ramp over the time in which nothing was recorded."""
    async with walking(tmp_path) as walk, visiting(browser, walk) as driver:
        await walk.accepted()
        now_s = walk.application.clock.now().timestamp()

        async def answer(route: Route) -> None:
            response = await route.fetch()
            history = await response.json()
            history["rows"] = [history_row(now_s - 3600, 0.0), history_row(now_s - 60, 16.0), history_row(now_s, 16.0)]
            await route.fulfill(response=response, body=json.dumps(history))

        await driver.page.route("**/api/history*", answer)
        await driver.sign_in(Role.DRIVER)
        await expect(driver.page.locator("#chart-car")).to_have_text("16\u00a0A")
        assert await car_drawn(driver, at=0.5, current_a=2) is False
        assert await car_drawn(driver, at=0.995, current_a=8) is True
        await driver.picture("chart-steps")


def history_row(at_s: float, current_a: float) -> list[object]:
    """Return a row of /api/history: no house meter, one EVSE."""
    phases = [current_a] * 3
    return [at_s, [None] * 3, phases, 32.0, current_a, [phases], [32.0]]


async def car_drawn(visitor: Visitor, *, at: float, current_a: float) -> bool:
    """Whether the chart fills the area of the car at a part of its width and a current (axis to 40 A)."""
    alpha = await visitor.page.evaluate(
        """([at, current]) => {
          const canvas = document.querySelector("#chart canvas");
          const over = document.querySelector("#chart .u-over");
          const scale = canvas.width / canvas.clientWidth;
          const x = (over.offsetLeft + at * over.clientWidth) * scale;
          const y = (over.offsetTop + (1 - current / 40) * over.clientHeight) * scale;
          const copy = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
          copy.drawImage(canvas, -Math.round(x), -Math.round(y));
          return copy.getImageData(0, 0, 1, 1).data[3];
        }""",
        [at, current_a],
    )
    return bool(alpha > 0)
