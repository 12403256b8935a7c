"""Made-up identifiers in the form of real ones."""

import base64
import hashlib


def youtube_id(*key: object) -> str:
    """Eleven characters A-Z a-z 0-9 - _, a function of the key."""
    digest = hashlib.sha256("/".join(map(str, key)).encode()).digest()
    return base64.urlsafe_b64encode(digest)[:11].decode()
