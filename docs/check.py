"""
Keeps the documentation true: ``python docs/check.py`` fails where it is not, ``--write`` renews what is generated.

Checked: links between files, the generated settings table, that Python examples compile and import what exists, and
that every AWS action in a policy is one that AWS knows.
"""

from __future__ import annotations

import ast
import importlib
import json
import re
import sys
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

from asyncrun.model.settings import Settings

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("example_dags/*.md")])
SETTINGS_PAGE = ROOT / "docs" / "settings.md"
BEGIN, END = "<!-- settings: made by docs/check.py --write -->", "<!-- end of settings -->"


def settings_table() -> str:
    """Every setting as a row of Markdown."""
    rows = ["| setting | default | unit | allowed | why |", "|---|---|---|---|---|"]
    for one in fields(Settings):
        meta = one.metadata
        if one.type == "str":
            default, allowed = str(one.default), ", ".join(meta["choices"]) or "any text"
        else:
            default, least, most = (f"{number:,.15g}" for number in (one.default, meta["at_least"], meta["at_most"]))
            allowed = f"{least} to {most}"
        rows.append(f"| `{one.name}` | {default} | {meta['unit']} | {allowed} | {meta['why']} |")
    return "\n".join(rows)


def with_settings(text: str) -> str:
    """The settings page with a fresh table."""
    head, _, rest = text.partition(BEGIN)
    _, _, tail = rest.partition(END)
    return f"{head}{BEGIN}\n\n{settings_table()}\n\n{END}{tail}"


def blocks(text: str, language: str) -> Iterator[str]:
    """Fenced code blocks of that language."""
    for match in re.finditer(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
        yield match.group(1)


def broken_links(page: Path, text: str) -> Iterator[str]:
    """Relative links to files that do not exist."""
    for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text):
        if "://" not in target and not (page.parent / target).exists():
            yield f"{page.relative_to(ROOT)}: link to {target}, which does not exist"


def broken_python(page: Path, text: str) -> Iterator[str]:
    """Examples that do not compile, or import from asyncrun what is not there."""
    for block in blocks(text, "python"):
        try:
            tree = ast.parse(block)
        except SyntaxError as error:
            yield f"{page.relative_to(ROOT)}: Python example does not compile: {error}"
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("asyncrun"):
                module = importlib.import_module(node.module or "")
                for name in node.names:
                    if not hasattr(module, name.name):
                        yield f"{page.relative_to(ROOT)}: example imports {name.name}, not in {node.module}"


def broken_policies(page: Path, text: str) -> Iterator[str]:
    """Policies that are no valid JSON, or name actions that AWS does not have."""
    from botocore.session import get_session

    session = get_session()
    for block in blocks(text, "json"):
        try:
            policy = json.loads(block)
        except ValueError as error:
            yield f"{page.relative_to(ROOT)}: JSON example cannot be read: {error}"
            continue
        for statement in policy.get("Statement", ()):
            for action in statement["Action"]:
                service, _, operation = action.partition(":")
                if service == "iam":  # PassRole is a permission without a call of its own
                    continue
                if operation not in session.get_service_model(service).operation_names:
                    yield f"{page.relative_to(ROOT)}: AWS has no action {action}"


def main() -> int:
    """Print what is wrong; 1 if anything is."""
    fresh = with_settings(SETTINGS_PAGE.read_text())
    if "--write" in sys.argv:
        SETTINGS_PAGE.write_text(fresh)
    problems = []
    if SETTINGS_PAGE.read_text() != fresh:
        problems.append("docs/settings.md: the table is out of date: python docs/check.py --write")
    for page in PAGES:
        text = page.read_text()
        for check in (broken_links, broken_python, broken_policies):
            problems.extend(check(page, text))
    for problem in problems:
        print(problem)
    print(f"docs: {len(PAGES)} pages, {len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
