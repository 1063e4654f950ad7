"""Recognise defects in sewer-pipe inspection videos, from video-level labels."""

import os

__version__ = "0.1.0"

# ONNX Runtime from 1.32 on reports to its authors, from its import on, unless the user decides otherwise.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
