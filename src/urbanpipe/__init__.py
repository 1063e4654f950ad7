"""Recognise defects in sewer-pipe inspection videos, from video-level labels."""

__version__ = "0.1.0"
