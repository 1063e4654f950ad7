"""The control share: videos whose reviews check the model and are never used for training."""

import hashlib

CONTROL_SHARE = 0.1


def is_control(digest: str, share: float = CONTROL_SHARE) -> bool:
    """Return whether a video belongs to the control share, which is never used for training.

    The choice is random and depends on the content alone: it is the same for every model and after a move, and says
    nothing about the uncertainty, so that figures on the reviewed control videos are unbiased.

    Args:
        digest: hash of the video's content, as in the catalog.
        share: expected share of control videos, 0 to 1.
    """
    hashed = hashlib.blake2b(f"control {digest}".encode(), digest_size=8).digest()
    return int.from_bytes(hashed, "big") < share * 2**64
