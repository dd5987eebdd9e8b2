"""The tutorials and the README, done as a reader does them: every block in order, on a real platform."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.docs.pages import CHECKOUT, TUTORIALS, Block, blocks
from tests.platforms import PASSWORD, Platform, free_ports

pytestmark = [pytest.mark.journey, pytest.mark.integration, pytest.mark.timeout(600)]

MARK = "%% block {number} %%"
PRELUDE = """set -euo pipefail
export PATH={programs}:$PATH
cd {home}/work
taxiway() {{
    if [ "$1" = login ]; then command taxiway "$@" < {home}/password; else command taxiway "$@"; fi
}}
"""
"""A shell in which the password is typed when it is asked for."""
READER = (
    (r"^taxiway up\b.*$", "taxiway up --detach"),
    (r"^python train\.py\b.*$", "RUN_ID=$(python train.py | tail -n 1)"),
    (r"convert RUN_ID\b", 'convert "$RUN_ID"'),
    (r"^(taxiway access-token issue .*)$", r"TOKEN=$(\1)"),
)
"""What a reader of the README does with its lines: goes on in a second terminal, copies ids and tokens."""
TRAIN_FOR_README = """
import sys
from importlib.metadata import version
import mlflow, pandas as pd
from mlflow.models import infer_signature
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder
payments = pd.DataFrame({"amount": [12.5, 820.0, 40.0, 990.0], "country": ["DE", "FR", "DE", "US"]})
columns = make_column_transformer((OneHotEncoder(handle_unknown="ignore"), ["country"]), remainder="passthrough")
model = make_pipeline(columns, LogisticRegression()).fit(payments, [0, 1, 0, 1])
needs = ["mlflow-skinny", "pandas", "scikit-learn", "skops"]
mlflow.set_experiment("payments")
with mlflow.start_run() as run:
    mlflow.sklearn.log_model(
        model, name="model", signature=infer_signature(payments, model.predict(payments)),
        input_example=payments.head(2), pip_requirements=[f"{name}=={version(name)}" for name in needs],
    )
print(run.info.run_id)
"""
"""The reader's own ``train.py``, which the README does not show."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """Somebody with a shell, a home directory and a platform that is theirs."""

    platform: Platform
    home: Path

    def follow(self, found: list[Block]) -> list[str]:
        """Do the blocks in one shell; return what each printed. Fails at the first that fails."""
        (self.home / "password").write_text(PASSWORD)
        script = [PRELUDE.format(programs=Path(sys.executable).parent, home=self.home)]
        for number, block in enumerate(found):
            script.append(f"echo; echo '{MARK.format(number=number)}'\n{_as_shell(block)}\n")
        text = "".join(script).replace("http://localhost:8080", self.platform.url)
        environment = {
            key: value for key, value in self.platform.tracking_environment.items() if "MLFLOW_TRACKING" not in key
        }
        done = subprocess.run(
            ["/bin/bash", "-c", text],
            env=environment
            | {
                "HOME": str(self.home),
                "TAXIWAY_URL": self.platform.url,
                "TAXIWAY_DATA_DIR": str(self.platform.data),
                "TAXIWAY_SERVER__PORT": str(self.platform.port),
                "PYTHONWARNINGS": "ignore",
            },
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=500,
            check=False,
        )
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr[-6000:]}"
        return re.split(r"\n?%% block \d+ %%\n", done.stdout)[1:]


def _as_shell(block: Block) -> str:
    if block.language == "bash":
        return block.text
    if block.language == "python":
        if block.title:
            return f"cat > {block.title} <<'END_OF_FILE'\n{block.text}END_OF_FILE"
        return f"python - <<'END_OF_FILE'\n{block.text}END_OF_FILE"
    return "true"


@pytest.fixture(scope="module")
def reader() -> Iterator[Reader]:
    """A platform that nobody has signed in to yet, and an empty directory to work in."""
    directory = Path(tempfile.mkdtemp(prefix="twy-"))
    (directory / "work").mkdir()
    platform = Platform(data=directory / "data", port=free_ports())
    try:
        platform.up()
        yield Reader(platform=platform, home=directory)
    finally:
        platform.down()
        shutil.rmtree(directory, ignore_errors=True)


def test_the_tutorials_can_be_followed(reader: Reader) -> None:
    found = [block for page in TUTORIALS for block in blocks(page)]

    printed = reader.follow(found)

    answers = [
        (json.loads(before), json.loads(block.text))
        for before, block in zip(["", *printed], found, strict=False)
        if block.title == "answer"
    ]
    assert answers, "no answer was compared"
    assert all(given == promised for given, promised in answers), answers
    assert any("NotFound" in text for text in printed), "the client's error was not printed"


def test_the_readme_can_be_followed(reader: Reader) -> None:
    (reader.home / "work" / "train.py").write_text(TRAIN_FOR_README)
    found = [
        block for block in blocks(CHECKOUT / "README.md") if block.language == "bash" and "make demo" not in block.text
    ]
    assert found

    printed = reader.follow([_as_a_reader_does(block) for block in found])

    assert '{"predictions": [' in "".join(printed)


def _as_a_reader_does(block: Block) -> Block:
    text = block.text
    for written, done in READER:
        text = re.sub(written, done, text, flags=re.MULTILINE)
    return Block(language=block.language, title=block.title, text=text)
