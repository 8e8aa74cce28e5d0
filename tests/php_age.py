"""What a PHP file needs of PHP: nothing that came after 7.4."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from tests.wordpress import PHP_FILES

#: What came after PHP 7.4: its tokens, and functions (WordPress 6.1 brings some of them along, and not these).
TOO_NEW = re.compile(
    r"^(?:T_MATCH|T_NULLSAFE_OBJECT_OPERATOR|T_ATTRIBUTE|T_ENUM|T_READONLY|T_STRING (?:str_contains|str_starts_with"
    r"|str_ends_with|array_is_list|get_debug_type|json_validate|mixed|never))\b",
    re.MULTILINE,
)


def too_new(php_program: str, source: Path) -> list[str]:
    """What in a file a PHP 7.4 would not understand."""
    done = subprocess.run(
        [php_program, str(PHP_FILES / "tokens.php"), str(source)], capture_output=True, text=True, check=True
    )
    found: list[str] = TOO_NEW.findall(done.stdout)
    signatures = " ".join(re.findall(r"function [^{;]*", source.read_text(encoding="utf-8")))
    if "|" in signatures:
        found.append("union types came with PHP 8.0")
    if re.search(r",\s*\)", signatures):
        found.append("a comma after the last parameter came with PHP 8.0")
    return found
