"""The mouse does what keys do: a crumb goes back, the title of a column sorts, the sign of a fold folds."""

from tests.tui.pilots import Driver, driving


async def click(driver: Driver, word: str, line: int) -> None:
    """Clicks the first letter of a word on a line of the screen."""
    at = driver.text.splitlines()[line].index(word)
    await driver.pilot.click(offset=(at, line))
    await driver.ready()
    await driver.beat()


async def test_a_crumb_goes_back_to_its_screen() -> None:
    async with driving() as driver:
        await driver.press("enter", "t", "enter")
        assert driver.where == "span"
        await click(driver, "7f3a", 0)
        assert driver.where == "cockpit"
        await click(driver, "trajectory", 0)
        assert driver.where == "cockpit"
        await click(driver, "runs", 0)
        assert driver.where == "runs"


async def test_the_title_of_a_column_sorts_by_it() -> None:
    async with driving() as driver:
        for title, order in (("TOKENS", "tokens"), ("ERR", "errors"), ("STATE", "newest")):
            await click(driver, title, 3)
            assert f"sort {order}" in driver.text
        await click(driver, "TITLE", 3)
        assert "sort newest" in driver.text


async def test_the_sign_of_a_fold_folds_and_unfolds() -> None:
    async with driving() as driver:
        await driver.press("t")
        line = next(at for at, text in enumerate(driver.text.splitlines()) if "▾" in text and "planner#1" in text)
        before = driver.text
        await click(driver, "▾", line)
        assert "1 folded" in driver.text
        await click(driver, "▸", line)
        assert "folded" not in driver.text and driver.text.count("\n") == before.count("\n")
