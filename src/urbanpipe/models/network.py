"""The networks of all methods."""

from urbanpipe.models.bag import BagClassifier
from urbanpipe.models.classifier import PieceClassifier
from urbanpipe.models.dense import DenseClassifier

Network = PieceClassifier | DenseClassifier | BagClassifier
