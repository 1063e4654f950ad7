"""Heads: one logit per class from the features of a backbone."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from urbanpipe.models.config import ModelConfig


class LinearHead(nn.Module):
    """Dropout and one linear layer over pooled features (batch, width) -> logits (batch, classes)."""

    def __init__(self, width: int, classes: int, dropout: float) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(width, classes)
        nn.init.normal_(self.linear.weight, std=0.01)
        nn.init.zeros_(self.linear.bias)

    def forward(self, features: Tensor) -> Tensor:
        """Return the logits (batch, classes) of features (batch, width)."""
        return self.linear(self.dropout(features))  # type: ignore[no-any-return]


class MLDecoderHead(nn.Module):
    """ML-Decoder (Ridnik et al., arXiv 2111.12933): one fixed query per class, which attends to the tokens.

    It has one decoder layer without self-attention. With one query per class, the groups of the group fully-connected
    layer have one class each.

    Args:
        token_width: channels of the tokens.
        classes: number of classes, and of queries.
        config: width, heads, hidden width and dropout of the decoder.
    """

    queries: Tensor

    def __init__(self, token_width: int, classes: int, config: ModelConfig) -> None:
        super().__init__()
        width, dropout = config.decoder_width, config.decoder_dropout
        self.embed = nn.Linear(token_width, width)
        self.register_buffer("queries", torch.randn(classes, width))
        self.norm_query = nn.LayerNorm(width)
        self.attention = nn.MultiheadAttention(width, config.decoder_heads, dropout=dropout, batch_first=True)
        self.norm_attended = nn.LayerNorm(width)
        self.hidden = nn.Linear(width, config.decoder_hidden)
        self.output = nn.Linear(config.decoder_hidden, width)
        self.norm_output = nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)
        self.class_weight = nn.Parameter(torch.empty(classes, width))
        self.class_bias = nn.Parameter(torch.zeros(classes))
        nn.init.xavier_normal_(self.class_weight)

    def decode(self, queries: Tensor, memory: Tensor) -> Tensor:
        """Run the decoder layer: queries (batch, classes, width) attend to memory (batch, positions, width)."""
        x = self.norm_query(queries + self.dropout(queries))
        x = self.norm_attended(x + self.dropout(self.attention(x, memory, memory, need_weights=False)[0]))
        hidden = self.dropout(functional.relu(self.hidden(x)))
        return self.norm_output(x + self.dropout(self.output(hidden)))  # type: ignore[no-any-return]

    def attention_weights(self, tokens: Tensor) -> Tensor:
        """Return the attention of the queries, (batch, classes, positions), averaged over heads; it sums to 1."""
        memory = functional.relu(self.embed(tokens))
        queries = self.norm_query(2 * self.queries.expand(tokens.shape[0], -1, -1))  # as `decode` without dropout
        return self.attention(queries, memory, memory)[1]  # type: ignore[no-any-return]

    def forward(self, tokens: Tensor) -> Tensor:
        """Return the logits (batch, classes) of tokens (batch, positions, token_width)."""
        memory = functional.relu(self.embed(tokens))
        decoded = self.decode(self.queries.expand(tokens.shape[0], -1, -1), memory)
        return (decoded * self.class_weight).sum(-1) + self.class_bias
