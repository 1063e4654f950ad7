"""Settings of the networks; importable without torch."""

from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from urbanpipe.settings import Section


class ModelConfig(Section):
    """Backbone, head and where the first weights come from.

    Attributes:
        backbone: a timm model name, with or without a pretrained tag; for methods with clips a video network of
            torchvision (`swin3d_t`, `swin3d_s`, `swin3d_b`, `mvit_v2_s`) or `swin3d_nano`.
        options: keyword arguments of that model, for example `{ pad_type = "same" }`.
        weights: `hub` (timm's or torchvision's pretrained weights, needs a network or a filled cache), `random`, a file
            (safetensors or a torch state dict); `simclr` and `mae` ask for such a file, from `urbanpipe pretrain`.
        head: `linear` (the backbone's own pooling, then one linear layer) or `ml-decoder` (arXiv 2111.12933).
        dropout: before the linear layer.
        drop_path: stochastic depth rate of the backbone, where it has one; 0 keeps the backbone's default.
        decoder_width: width of the ML-Decoder.
        decoder_heads: its attention heads.
        decoder_hidden: its feed-forward width.
        decoder_dropout: its dropout.
    """

    backbone: str = "convnext_base.fb_in22k_ft_in1k_384"
    options: dict[str, str | int | float | bool | list[int]] = Field(default_factory=dict)
    weights: str = "hub"
    head: Literal["linear", "ml-decoder"] = "linear"
    dropout: float = Field(0.0, ge=0, lt=1)
    drop_path: float = Field(0.0, ge=0, lt=1)
    decoder_width: int = Field(768, ge=8)
    decoder_heads: int = Field(8, ge=1)
    decoder_hidden: int = Field(2048, ge=8)
    decoder_dropout: float = Field(0.1, ge=0, lt=1)

    @field_validator("options")
    @classmethod
    def _of_the_network(cls, options: dict[str, Any]) -> dict[str, Any]:
        """Weights come by `weights` alone: a recipe from elsewhere must not name files to open."""
        if files := [key for key in options if key.startswith("pretrained") or key in _OF_FILES]:
            raise ValueError(f"{files[0]} is no option of the network; weights are given by model.weights")
        return options


_OF_FILES = {"checkpoint_path", "cache_dir"}


class BagHeadConfig(Section):
    """The head of the bag method, over the features of a video's frames.

    Attributes:
        kind: `transmil` (arXiv 2106.00908: a class token among the frames) or `ml-decoder` (arXiv 2111.12933: one query
            a class attends to the frames).
        width: D, of the head; a multiple of `heads`.
        heads: of its attention.
        layers: of TransMIL, with its position encoding behind the first; ML-Decoder has one.
        dropout: in it.
    """

    kind: Literal["transmil", "ml-decoder"] = "transmil"
    width: int = Field(512, ge=8)
    heads: int = Field(8, ge=1)
    layers: int = Field(2, ge=2)
    dropout: float = Field(0.1, ge=0, lt=1)

    @model_validator(mode="after")
    def _of_its_kind(self) -> Self:
        if self.width % self.heads:
            raise ValueError(f"width = {self.width}: must be a multiple of heads = {self.heads}")
        if self.kind == "ml-decoder" and self.layers != 2:
            raise ValueError(f"layers = {self.layers} has no effect on ml-decoder, which has one")
        return self


class DenseHeadConfig(Section):
    """The video head of the dense method, over the features of a video's clips.

    Attributes:
        width: D, of a clip's feature and of the head; even, and a multiple of `heads`.
        layers: of the Transformer.
        heads: of its attention.
        dropout: in it.
        kind: `queries` (one a class attends to the clips, as ML-Decoder's) or `token` (a class token goes through with
            them).
        pooling: of an image backbone's features over the frames of a clip.
    """

    width: int = Field(512, ge=8)
    layers: int = Field(3, ge=1)
    heads: int = Field(8, ge=1)
    dropout: float = Field(0.1, ge=0, lt=1)
    kind: Literal["queries", "token"] = "queries"
    pooling: Literal["mean", "max"] = "mean"

    @model_validator(mode="after")
    def _divisible(self) -> Self:
        if self.width % 2 or self.width % self.heads:
            raise ValueError(f"width = {self.width}: must be even and a multiple of heads = {self.heads}")
        return self
