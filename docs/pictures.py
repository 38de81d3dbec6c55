"""The pictures of the README and the site, made with the bundled models and chromium.

python docs/pictures.py FOLDER    # of photographs with one face each; writes docs/pictures/
"""

from __future__ import annotations

import io
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from browsers import chromium, opened  # noqa: E402
from PIL import Image  # noqa: E402

CONTEXTS = """
[[contexts]]
name = "They have just won the final."
text = "They have just won the final."
[[contexts]]
name = "They are at a funeral."
text = "They are at a funeral."
[[contexts]]
name = "A bear runs towards them."
text = "A bear is running towards them."
"""


def main() -> None:
    faces = Path(sys.argv[1])
    out = ROOT / "docs" / "pictures"
    out.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch, chromium() as browser:
        folder = Path(scratch)
        (folder / "contexts.toml").write_text(CONTEXTS, "utf-8")
        run_contrast(faces, folder)
        opened(browser, (folder / "out" / "contrast.html").as_uri(), 1000)
        take(browser, ".map", out / "contrast.png")
        show_page(browser, sorted(faces.iterdir())[-1], out / "page.jpg")


def run_contrast(faces: Path, folder: Path) -> None:
    command = ["contrast", "--faces", str(faces), "--contexts", str(folder / "contexts.toml")]
    command += ["--out", str(folder / "out"), "--pocket"]
    subprocess.run([sys.executable, "-m", "kuleshov.apps.cli.main", *command], check=True)


def show_page(browser: Any, photo: Path, path: Path) -> None:
    sys.path.insert(0, str(ROOT / "tests" / "agent"))
    from web_parts import running

    from kuleshov import Agent

    agent = Agent.load(model="pocket", faces="pocket")
    with running(agent, [photo]) as server:
        opened(browser, server.url, 1100)
        threading.Event().wait(1)
        browser.find_element("css selector", "#file").send_keys(str(photo))
        browser.find_element("css selector", "#context").send_keys("They have just won the final.")
        browser.execute_script("document.getElementById('read').click()")
        for _ in range(300):
            if browser.execute_script("return document.querySelector('.result .answer')"):
                break
            time.sleep(0.2)
        take(browser, ".opening", path)


def take(browser: Any, css: str, path: Path) -> None:
    """The first element that `css` finds, as a picture."""
    data = browser.find_element("css selector", css).screenshot_as_png
    Image.open(io.BytesIO(data)).convert("RGB").save(path, quality=88)


if __name__ == "__main__":
    main()
