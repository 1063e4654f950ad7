"""Settings with which recipes train in seconds, and give the same numbers on every processor."""

TINY = (
    "input.tile=32",
    "input.rows=2",
    "input.columns=2",
    "model.backbone=test_convnext",
    "model.options={}",
    "optimiser.learning_rate=1e-3",
    "optimiser.warmup_epochs=1",
    "training.epochs=2",
    "training.keep=best",
    "training.batch_size=4",
    "training.workers=0",
    "training.precision=fp32",
)
TINY_BAG = (
    "input.size=32",
    "input.every_seconds=0.3",
    "model.backbone=test_resnet",
    "model.options={}",
    "input.head.width=16",
    "input.head.heads=2",
    "optimiser.learning_rate=3e-3",
    "optimiser.warmup_epochs=1",
    "training.epochs=4",
    "training.batch_size=4",
    "training.workers=0",
    "training.precision=fp32",
    "training.validate_every=2",
)
TINY_FROZEN = (
    "input.size=32",
    "input.every_seconds=0.3",
    "model.backbone=test_resnet",
    "model.options={}",
    "training.workers=0",
    "training.precision=fp32",
)
DENSE_NETWORK = (  # of small-dense: as small as can be
    "input.size=32",
    "input.frames=2",
    "input.stride=1",
    "input.encoder=pool",
    "model.backbone=test_convnext",
    "model.options={}",
    "input.head.width=16",
    "input.head.layers=1",
    "input.head.heads=2",
)
TINY_DENSE = (
    *DENSE_NETWORK,
    "optimiser.learning_rate=1e-3",
    "optimiser.warmup_epochs=1",
    "input.memory.refresh_epochs=2",
    "input.memory.final_epochs=1",
    "input.memory.warmup_epochs=1",
    "training.epochs=5",
    "training.batch_size=4",
    "training.workers=0",
    "training.precision=fp32",
    "training.accumulation=1",
)
