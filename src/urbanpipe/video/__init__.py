"""Video decoding: probe, exact frame access, frame sampling, frame cache."""
