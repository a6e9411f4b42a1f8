"""The description for package indexes: README.md without the links that work only beside it.

Everything else stands in pyproject.toml and setup.cfg. An index shows README.md far from the files
that it links to. With the address of the repository, as ``Source`` in ``[project.urls]`` of
pyproject.toml and nowhere else, relative links become absolute ones at build. As long as none is
set, links become plain text and pictures are left out.
"""

import re
import tomllib
from pathlib import Path

from setuptools import setup

HERE = Path(__file__).parent
# [text](target) and ![text](target) within the repository
RELATIVE = re.compile(r"(?P<picture>!?)\[(?P<text>[^\]]*)\]\((?![a-z]+:|#)(?P<target>[^)\s]+)\)")


def description(readme: str, source: str | None) -> str:
    """README as it can stand anywhere, with links into the repository at `source`."""

    def absolute(link: re.Match[str]) -> str:
        if source is None:
            return "" if link["picture"] else link["text"]
        kind = "raw" if link["picture"] else "blob"
        place = f"{source.rstrip('/')}/{kind}/main/{link['target']}"
        return f"{link['picture']}[{link['text']}]({place})"

    return RELATIVE.sub(absolute, readme)


if __name__ == "__main__":
    project = tomllib.loads((HERE / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    setup(
        long_description=description(
            (HERE / "README.md").read_text(encoding="utf-8"), project.get("urls", {}).get("Source")
        ),
        long_description_content_type="text/markdown",
    )
