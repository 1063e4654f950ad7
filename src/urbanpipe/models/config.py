"""Settings of the networks; importable without torch."""

from typing import Literal

from pydantic import Field

from urbanpipe.settings import Section


class ModelConfig(Section):
    """Backbone, head and where the first weights come from.

    Attributes:
        backbone: a timm model name, with or without a pretrained tag.
        options: keyword arguments of that timm model, for example `{ pad_type = "same" }`.
        weights: `hub` (timm's pretrained weights, needs a network or a filled cache), `random`, or a file (safetensors
            or a torch state dict).
        head: `linear` (the backbone's own pooling, then one linear layer) or `ml-decoder` (arXiv 2111.12933).
        dropout: before the linear layer.
        drop_path: stochastic depth rate of the backbone, where it has one; 0 keeps the backbone's default.
        decoder_width: width of the ML-Decoder.
        decoder_heads: its attention heads.
        decoder_hidden: its feed-forward width.
        decoder_dropout: its dropout.
    """

    backbone: str = "convnext_base.fb_in22k_ft_in1k_384"
    options: dict[str, str | int | float | bool] = Field(default_factory=dict)
    weights: str = "hub"
    head: Literal["linear", "ml-decoder"] = "linear"
    dropout: float = Field(0.0, ge=0, lt=1)
    drop_path: float = Field(0.0, ge=0, lt=1)
    decoder_width: int = Field(768, ge=8)
    decoder_heads: int = Field(8, ge=1)
    decoder_hidden: int = Field(2048, ge=8)
    decoder_dropout: float = Field(0.1, ge=0, lt=1)
