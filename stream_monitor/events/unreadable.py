"""What msgspec raises on bytes that are not what was asked for: all of it, so that every reader refuses by name.

Text that is not UTF-8 and nesting too deep to follow are no DecodeError to msgspec.
"""

from __future__ import annotations

from typing import Final

import msgspec

UNREADABLE: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
