"""The networks of all methods."""

from urbanpipe.models.bag import BagClassifier
from urbanpipe.models.classifier import SegmentClassifier
from urbanpipe.models.dense import DenseClassifier

Network = SegmentClassifier | DenseClassifier | BagClassifier
