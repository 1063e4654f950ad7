"""Generator of synthetic inspection videos with known labels and moments.

Its pipes are caricatures, meant for trials, tests and teaching. Scores on them say nothing about real pipes.
"""
