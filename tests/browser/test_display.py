"""The display of the station as a page: large, complete, by itself, and nothing of a message but its text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, Page, Route, expect

from tests.browser.visitor import Visitor, visiting
from tests.walk import Walk, walking

pytestmark = pytest.mark.asyncio(loop_scope="session")  # the event loop of the browser

READER = [{"type": "simulated"}]
PRICES = {"energy_per_kwh": 0.3, "idle_per_hour": 6.0, "idle_after_s": 900}
SESSION = {"session_page": "https://charge.example/{identity}/{evse}"}
SCREENS = [{"width": 1920, "height": 1080}, {"width": 800, "height": 480}]
HTML = (
    "<h2>Welcome &amp; <i>bienvenue</i></h2><p onclick='alert(1)'>Closes at <b>22:00</b>"
    "<script>document.title='broken'</script><img src='https://evil.example/x.png' onerror='alert(1)'></p>"
    "<iframe src='https://evil.example'></iframe><a href='javascript:alert(1)'>more</a>"
)


async def set_message(walk: Walk, content: str, form: str = "UTF8", **more: Any) -> None:
    """Show a message of the CSMS in front, in place of the last one."""
    message = {"id": 1, "priority": "InFront", "message": {"format": form, "content": content}, **more}
    assert (await walk.csms.call("SetDisplayMessage", {"message": message}))["status"] == "Accepted"
    await walk.settle()


async def letter_height(page: Page, selector: str = "#lines p") -> float:
    """Return the size of the smallest letters of a line, as a share of the window's height."""
    sizes: list[float] = await page.locator(selector).evaluate_all(
        "elements => elements.map((element) => parseFloat(getComputedStyle(element).fontSize) / innerHeight)"
    )
    return min(sizes)


async def check_fit(page: Page) -> None:
    """Check that nothing is cut off and nothing can be scrolled."""
    outside: list[str] = await page.locator("#lines p, #code").evaluate_all(
        """elements => elements.filter((element) => !element.hidden).filter((element) => {
             const { top, left, right, bottom } = element.getBoundingClientRect();
             return top < 0 || left < 0 || right > innerWidth + 1 || bottom > innerHeight;
           }).map((element) => element.outerHTML)"""
    )
    assert outside == []
    wide = await page.locator("#lines").evaluate("lines => lines.scrollWidth - lines.clientWidth")
    assert wide <= 0


async def check_and_picture(visitor: Visitor, name: str, screen: dict[str, int]) -> None:
    """Check fit and accessibility, and take a picture."""
    await check_fit(visitor.page)
    await visitor.audit()
    await visitor.picture(f"display-{name}-{screen['width']}")


@pytest.mark.parametrize("screen", SCREENS, ids=lambda screen: str(screen["width"]))
async def test_a_driver_reads_price_energy_and_cost_from_two_metres(
    browser: Browser, tmp_path: Path, screen: dict[str, int]
) -> None:
    """On a screen of 7 inches, 86 mm high, letters of 10 mm are 12 % of the height: headings have them (DIN 1450).

    The figures have half of that, and no interaction is needed: the page follows the charge by itself.
    """
    async with (
        walking(tmp_path, reader=READER, prices=PRICES, display=SESSION) as walk,
        visiting(browser, walk, viewport=screen, local=True) as visitor,
    ):
        await walk.accepted()
        await walk.advance(2)
        await visitor.go("/display")
        await visitor.reads("Ready to charge")
        await visitor.reads("Present your card.")
        await visitor.reads("€0.30/kWh")
        assert await letter_height(visitor.page, ".heading") >= 0.12
        await check_and_picture(visitor, "free", screen)
        await walk.plug(phases=3, max_current_a=16)
        await walk.present()
        await walk.charging()
        await walk.advance(600)
        await walk.settle()
        await visitor.reads("Charging 11.0 kW")
        await visitor.reads("1.8")
        await visitor.reads("Follow your charge on your phone")
        await expect(visitor.page.get_by_role("img", name="QR code")).to_be_visible()
        assert await letter_height(visitor.page, ".figure") >= 0.06
        await check_and_picture(visitor, "charging", screen)
        assert await visitor.page.locator("a, button, input, select").count() == 0


@pytest.mark.parametrize(
    ("language", "amount_with_unit"), [("de", "6,00\u00a0€/h"), ("nl", "€\u00a06,00/u"), ("fr", "15\u00a0min")]
)
async def test_a_number_and_its_unit_stand_on_one_line(
    browser: Browser, tmp_path: Path, language: str, amount_with_unit: str
) -> None:
    display = {"languages": [language]}
    async with (
        walking(tmp_path, reader=READER, prices=PRICES, display=display) as walk,
        visiting(browser, walk, viewport=SCREENS[1], local=True) as visitor,
    ):
        await walk.accepted()
        await walk.advance(2)
        await visitor.go("/display")
        await visitor.reads("0,30")
        assert amount_with_unit in str(await visitor.page.locator("#lines .figure").text_content())


@pytest.mark.parametrize("screen", SCREENS, ids=lambda screen: str(screen["width"]))
async def test_of_a_message_in_html_only_text_and_simple_markup_reach_the_page(
    browser: Browser, tmp_path: Path, screen: dict[str, int]
) -> None:
    """At the end the visit checks that nothing was loaded from elsewhere, and nothing complained."""
    async with (
        walking(tmp_path, reader=READER) as walk,
        visiting(browser, walk, viewport=screen, local=True) as visitor,
    ):
        await walk.accepted()
        await visitor.go("/display")
        await set_message(walk, HTML, "HTML")
        await visitor.reads("bienvenue")
        await expect(visitor.page.locator("#lines em")).to_have_text("bienvenue")
        await expect(visitor.page.locator("#lines p")).to_have_text(["Welcome & bienvenue", "Closes at 22:00", "more"])
        assert await visitor.page.locator("#lines :is(script, img, iframe, a, [onclick], [href], [src])").count() == 0
        assert "broken" not in await visitor.page.title()
        await check_and_picture(visitor, "html", screen)


@pytest.mark.parametrize("screen", SCREENS, ids=lambda screen: str(screen["width"]))
async def test_the_longest_messages_fit_and_a_uri_is_text_and_code_that_nobody_opens(
    browser: Browser, tmp_path: Path, screen: dict[str, int]
) -> None:
    async with (
        walking(tmp_path, reader=READER) as walk,
        visiting(browser, walk, viewport=screen, local=True) as visitor,
    ):
        await walk.accepted()
        await visitor.go("/display")
        for text in (("The car park closes at ten. " * 20)[:512], "W" * 512, "\n".join("ab" * 3 for _ in range(73))):
            await set_message(walk, text)
            await visitor.reads(text.split("\n", 1)[0][:20])
            await check_fit(visitor.page)
        await visitor.picture(f"display-long-{screen['width']}")
        uri = "https://operator.example/offers?" + "x" * 300
        await set_message(walk, uri, "URI")
        await visitor.reads(uri)
        await expect(visitor.page.get_by_role("img", name="QR code")).to_be_visible()
        await check_and_picture(visitor, "uri", screen)


async def test_an_evse_with_a_display_of_its_own_has_a_page_and_others_have_none(
    browser: Browser, tmp_path: Path
) -> None:
    display = {"evses": [2], "languages": ["nl"]}
    async with (
        walking(tmp_path, reader=READER, evse=[{"id": 1}, {"id": 2}], display=display) as walk,
        visiting(browser, walk, viewport=SCREENS[0], local=True) as visitor,
    ):
        await walk.accepted()
        await walk.advance(2)
        await visitor.go("/display/2")
        await visitor.reads("Klaar om te laden")
        await expect(visitor.page.locator("html")).to_have_attribute("lang", "nl")
        await set_message(walk, "Alleen hier", display={"name": "Display", "evse": {"id": 2}})
        await visitor.reads("Alleen hier")
        await visitor.go("/display")
        await visitor.reads("Laadpunten 1, 2")
        answer = await visitor.page.request.get(f"{visitor.address}/display/1")
        assert answer.status == 404


async def test_the_page_follows_the_station_again_after_one_that_starts_has_refused_its_events(
    browser: Browser, tmp_path: Path
) -> None:
    """A browser does not try again by itself after 503; and a station that never answers does not stop the page."""
    async with (
        walking(tmp_path, reader=READER) as walk,
        visiting(browser, walk, viewport=SCREENS[1], local=True) as visitor,
    ):
        await walk.accepted()
        await walk.advance(2)
        refused: list[str] = []

        async def refuse_once(route: Route) -> None:
            if refused:
                await route.continue_()
                return
            refused.append(route.request.url)
            await route.fulfill(status=503, json={"detail": "the station is starting; try again", "starting": True})

        await visitor.page.route("**/api/events", refuse_once)
        await visitor.go("/display")
        await visitor.reads("Ready to charge")
        assert refused
        async with visitor.page.expect_request("**/api/events"):
            pass
        await visitor.reads("Ready to charge")
        await set_message(walk, "The car park closes at 22:00.")
        await visitor.reads("The car park closes", within_s=10)
        visitor.wrong.clear()  # the browser complains of the refusal


async def test_a_page_of_another_version_of_the_station_is_reloaded(browser: Browser, tmp_path: Path) -> None:
    async with (
        walking(tmp_path, reader=READER) as walk,
        visiting(browser, walk, viewport=SCREENS[1], local=True) as visitor,
    ):
        await walk.accepted()
        await walk.advance(2)
        loaded: list[str] = []

        async def old_page_first(route: Route) -> None:
            loaded.append(route.request.resource_type)
            answer = await route.fetch()
            page = await answer.text()
            old = page.replace('data-version="', 'data-version="old-') if len(loaded) == 1 else page
            assert "data-version" in old
            await route.fulfill(response=answer, body=old)

        await visitor.page.route(
            "**/display", lambda route: old_page_first(route) if _is_page(route) else route.continue_()
        )
        await visitor.go("/display")
        await expect(visitor.page.locator("html:not([data-version^=old])")).to_be_visible()
        await visitor.reads("Ready to charge")
        assert loaded[:3] == ["document", "fetch", "document"]
        await visitor.page.unroute_all(behavior="wait")  # the next look for another version may be under way


def _is_page(route: Route) -> bool:
    return not route.request.url.endswith("/api/display")
