"""Checks the form of the Markdown documents. Run by scripts/check-documents."""

import re
import subprocess
import sys

README_MAX_LINES = 130
README_MAX_BYTES = 9 * 1024
README_MAX_COLUMNS = 140
# The kinds of code blocks. A script runs each "sh" block, and scripts/e2e runs each "sh deployed" block. Nothing runs the "sh untried"
# blocks, and the text in front of such a block must say so.
BLOCKS = {"sh", "sh deployed", "sh untried", "text", "json", "sql", "hcl", "toml", "rust"}
# A command in an indented code block. Scripts run only fenced blocks, so they would miss it.
INDENTED_COMMAND = re.compile(r"^ {4,}(aws|cargo|eval|git|python3?|scripts/|terraform)\b")


def main() -> int:
    problems = []
    readme = open("README.md", encoding="utf-8").read()
    lines = readme.splitlines()
    if len(lines) > README_MAX_LINES:
        problems.append(f"README.md: {len(lines)} lines, more than {README_MAX_LINES}")
    if len(readme.encode()) > README_MAX_BYTES:
        problems.append(f"README.md: {len(readme.encode())} bytes, more than {README_MAX_BYTES}")
    for number, line in enumerate(lines, 1):
        if len(line) > README_MAX_COLUMNS:
            problems.append(f"README.md:{number}: {len(line)} columns, more than {README_MAX_COLUMNS}")

    documents = subprocess.run(["git", "ls-files", "*.md"], check=True, capture_output=True, text=True).stdout.split()
    for document in documents:
        inside = False
        for number, line in enumerate(open(document, encoding="utf-8"), 1):
            fence = re.match(r"\s*```(.*)$", line)
            if fence:
                inside = not inside
                if inside and fence[1] not in BLOCKS:
                    problems.append(f"{document}:{number}: the kind of a code block must be one of {', '.join(sorted(BLOCKS))}")
            elif not inside and INDENTED_COMMAND.match(line):
                problems.append(f"{document}:{number}: an indented command is never tested: put it into a ```sh block")
            if "<details>" in line:
                problems.append(f"{document}:{number}: <details> hides text from readers: remove it")
    print("\n".join(problems), file=sys.stderr if problems else sys.stdout, end="\n" if problems else "")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
