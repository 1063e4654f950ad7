"""Settings of the networks; importable without torch."""

from collections.abc import Set
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from urbanpipe.settings import Section


class ModelConfig(Section):
    """Backbone, head and source of the initial weights.

    Attributes:
        backbone: a timm model name, with or without a pretrained tag; for methods with clips a video network of
            torchvision (`swin3d_t`, `swin3d_s`, `swin3d_b`, `mvit_v2_s`) or `swin3d_nano`.
        options: keyword arguments of that model, for example `{ pad_type = "same" }`.
        weights: `hub` (pretrained weights of timm or torchvision; needs a network connection or a filled cache),
            `package` (those of an installed Python package; extra `weights`), `random`, or a file (safetensors or a
            torch state dict); `simclr` and `mae` require such a file from
            `urbanpipe pretrain`.
        head: `linear` (the backbone's own pooling, then one linear layer) or `ml-decoder` (arXiv 2111.12933).
        head_start: initial weights of a linear head: `random`, or `probe`, a logistic regression on the features of the
            backbone with its initial weights (LP-FT, arXiv 2202.10054).
        dropout: dropout before the linear layer.
        drop_path: stochastic depth rate of the backbone, where it has one; 0 keeps the backbone's default.
        decoder_width: width of the ML-Decoder.
        decoder_heads: attention heads of the ML-Decoder.
        decoder_hidden: feed-forward width of the ML-Decoder.
        decoder_dropout: dropout in the ML-Decoder.
    """

    backbone: str = "convnext_base.fb_in22k_ft_in1k_384"
    options: dict[str, str | int | float | bool | list[int]] = Field(default_factory=dict)
    weights: str = "hub"
    head: Literal["linear", "ml-decoder"] = "linear"
    head_start: Literal["random", "probe"] = "random"
    dropout: float = Field(0.0, ge=0, lt=1)
    drop_path: float = Field(0.0, ge=0, lt=1)
    decoder_width: int = Field(768, ge=8, le=65536)
    decoder_heads: int = Field(8, ge=1, le=1024)
    decoder_hidden: int = Field(2048, ge=8, le=65536)
    decoder_dropout: float = Field(0.1, ge=0, lt=1)

    @field_validator("options")
    @classmethod
    def _of_the_network(cls, options: dict[str, Any]) -> dict[str, Any]:
        """Refuse options that name files: a recipe from an untrusted source must not choose files to open."""
        if files := [key for key in options if key.startswith("pretrained") or key in _OF_FILES]:
            raise ValueError(f"{files[0]} is not an option of the network; give weights with model.weights")
        for key, value in options.items():
            values = value if isinstance(value, list) else [value]
            numbers = [item for item in values if not isinstance(item, str)]
            if len(values) > MAX_OPTION_LENGTH or not all(abs(item) <= MAX_OPTION for item in numbers):
                raise ValueError(f"{key}: give numbers up to {MAX_OPTION}, and at most {MAX_OPTION_LENGTH} of them")
        return options


STRENGTHS = (0.001, 0.01, 0.1, 1.0)  # of the regularisation of a regression on frozen features
MAX_OPTION = 65536  # a network with more of anything does not fit any machine
MAX_OPTION_LENGTH = 64
_OF_FILES = {"checkpoint_path", "cache_dir"}


BagPooling = Literal["mean", "max", "top"]
_SETTINGS_OF_HEAD = {
    "transmil": ("width", "heads", "layers", "dropout"),
    "ml-decoder": ("width", "heads", "dropout"),
    "attention": ("width", "dropout"),
    "multi-query": ("width", "heads", "dropout"),
    "lse": ("dropout",),
    "regression": ("pooling", "strengths"),
}


class BagHeadConfig(Section):
    """The head of the bag method, over the features of a video's frames.

    Attributes:
        kind: `transmil` (arXiv 2106.00908: a class token among the frames), `ml-decoder` (arXiv 2111.12933: one query
            per class attends to the frames), `attention` (gated attention per class, arXiv 1802.04712), `multi-query`
            (several learned queries, each for its own channels, arXiv 2506.10178), `lse` (log-sum-exp of the frames'
            logits) or `regression` (logistic regression on the pooled features, which is fitted instead of trained).
        width: width of the head, a multiple of `heads`; hidden width of `attention`, width of the values of
            `multi-query`.
        heads: number of attention heads, or of queries.
        layers: layers of TransMIL, with the position encoding after the first; ML-Decoder has one layer.
        dropout: dropout in the head.
        pooling: how `regression` pools the features of the frames, one part of its input for each: `mean`, `max` or
            `top` (mean of the quarter of the frames with the largest values of a channel).
        strengths: inverse regularisation strengths C of `regression`. Inner folds of whole groups compare them in this
            order until one is not better; the best so far is used.
    """

    kind: Literal["transmil", "ml-decoder", "attention", "multi-query", "lse", "regression"] = "transmil"
    width: int = Field(512, ge=8, le=65536)
    heads: int = Field(8, ge=1, le=1024)
    layers: int = Field(2, ge=2, le=256)
    dropout: float = Field(0.1, ge=0, lt=1)
    pooling: tuple[BagPooling, ...] = Field(("mean", "max"), min_length=1)
    strengths: tuple[Annotated[float, Field(gt=0, allow_inf_nan=False)], ...] = Field(
        STRENGTHS, min_length=1, max_length=16
    )

    @model_validator(mode="after")
    def _of_its_kind(self) -> Self:
        if "heads" in _SETTINGS_OF_HEAD[self.kind] and self.width % self.heads:
            raise ValueError(f"width = {self.width}: must be a multiple of heads = {self.heads}")
        _refuse_changed(self, type(self).model_fields.keys() - {"kind", *_SETTINGS_OF_HEAD[self.kind]}, self.kind)
        if len(set(self.pooling)) < len(self.pooling):
            raise ValueError(f"pooling = {list(self.pooling)}: name each once")
        return self


_POOLED_KINDS: dict[str, str] = {"mean-max": "regression", "lse": "lse", "attention": "attention"}


class DenseHeadConfig(Section):
    """The video head of the dense method, over the features of a video's clips.

    Attributes:
        width: width of clip features and of the head; with a Transformer even, and a multiple of `heads`.
        layers: number of Transformer layers.
        heads: number of attention heads.
        dropout: dropout in the Transformer, in `lse` and in `attention`.
        kind: `queries` (a Transformer, then one query per class attends to the clips, as in ML-Decoder), `token` (a
            class token passes through the Transformer with the clips), or, without a Transformer, `mean-max` (a linear
            layer on mean and maximum of the features), `lse` (log-sum-exp of the clips' logits) or `attention` (gated
            attention per class, arXiv 1802.04712).
        pooling: how an image backbone's features are pooled over the frames of a clip.
    """

    width: int = Field(512, ge=8, le=65536)
    layers: int = Field(3, ge=1, le=256)
    heads: int = Field(8, ge=1, le=1024)
    dropout: float = Field(0.1, ge=0, lt=1)
    kind: Literal["queries", "token", "mean-max", "lse", "attention"] = "queries"
    pooling: Literal["mean", "max"] = "mean"

    @property
    def bag_head(self) -> BagHeadConfig | None:
        """The head over a bag of clips of a kind without a Transformer; None for the others."""
        if (kind := _POOLED_KINDS.get(self.kind)) is None:
            return None
        settings = {key: getattr(self, key) for key in ("width", "dropout") if key in _SETTINGS_OF_HEAD[kind]}
        return BagHeadConfig.model_validate({"kind": kind, **settings})

    @model_validator(mode="after")
    def _of_its_kind(self) -> Self:
        if self.kind not in _POOLED_KINDS and (self.width % 2 or self.width % self.heads):
            raise ValueError(f"width = {self.width}: must be even and a multiple of heads = {self.heads}")
        if self.kind in _POOLED_KINDS:
            of_others = {"layers", "heads", "dropout"} - {*_SETTINGS_OF_HEAD[_POOLED_KINDS[self.kind]]}
            _refuse_changed(self, of_others, self.kind)
        return self


def _refuse_changed(head: Section, settings: Set[str], kind: str) -> None:
    """Refuse settings that a kind of head does not have, where they differ from the default."""
    fields = type(head).model_fields
    if given := [key for key in sorted(settings) if getattr(head, key) != fields[key].default]:
        raise ValueError(
            f"{given[0]} has no effect on {kind}; leave it out, or give the default, {fields[given[0]].default!r}"
        )
