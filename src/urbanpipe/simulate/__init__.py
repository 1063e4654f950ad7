"""Synthetic inspection videos whose labels and moments are known: a plain first generator.

What it shows is a caricature of a pipe, good for trying, testing and teaching. Scores on it say nothing of real pipes.
"""
