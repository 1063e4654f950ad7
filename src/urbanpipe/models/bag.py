"""Networks over a bag of frames: an image backbone, frozen or not, and a head over the features of all frames."""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from urbanpipe.models.backbone import Backbone, Normalise
from urbanpipe.models.config import BagHeadConfig, ModelConfig
from urbanpipe.models.heads import MLDecoderHead
from urbanpipe.models.network import Network
from urbanpipe.models.pooling_heads import AttentionHead, LogSumExpHead, MultiQueryHead
from urbanpipe.models.regression_head import RegressionHead


class AttentionLayer(nn.Module):
    """x + attention(norm(x)) without a feed-forward part: TransMIL's layer, with exact instead of Nystrom attention.

    The convolution over the values, which is part of TransMIL's Nystrom attention, is left out.

    Args:
        width: width of the tokens.
        heads: number of attention heads.
        dropout: dropout after the attention.
    """

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(width)
        self.to_qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Sequential(nn.Linear(width, width), nn.Dropout(dropout))

    def _split(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return queries, keys and values, (heads, tokens, width / heads) each, of tokens (tokens, width)."""
        qkv = self.to_qkv(self.norm(x)).unflatten(1, (3, self.heads, -1))
        q, k, v = qkv.permute(1, 2, 0, 3).unbind(0)
        return q, k, v

    def forward(self, x: Tensor) -> Tensor:
        """Transform tokens (tokens, width) to tokens of the same shape."""
        q, k, v = (part.unsqueeze(0) for part in self._split(x))
        attended = functional.scaled_dot_product_attention(q, k, v)[0]
        return x + self.out(attended.transpose(0, 1).flatten(1))  # type: ignore[no-any-return]

    def attention_of_first(self, x: Tensor) -> Tensor:
        """Return the attention weights of the first token, (tokens,), averaged over the heads; they sum to 1."""
        q, k, _ = self._split(x)
        weights = (q[:, :1] @ k.transpose(1, 2) / math.sqrt(q.shape[-1])).float().softmax(-1)
        return weights[:, 0].mean(0)


class PPEG(nn.Module):
    """Pyramid position encoding generator (arXiv 2106.00908, section 3.3): three convolutions over frames in a square.

    Args:
        width: width of the tokens.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList(
            nn.Conv2d(width, width, size, padding=size // 2, groups=width) for size in (7, 5, 3)
        )

    def forward(self, x: Tensor, side: int) -> Tensor:
        """Transform tokens (1 + side * side, width) to the same shape; the class token comes first, unchanged."""
        square = x[1:].T.reshape(1, -1, side, side)
        square = square + sum(convolution(square) for convolution in self.convolutions)
        return torch.cat([x[:1], square.flatten(2)[0].T])


def square_side(x: Tensor) -> int:
    """Return the side of the smallest square that holds frames (frames, width), at least one.

    In an export it is computed from the frames of each run; Python's own root would be a constant of the graph.
    """
    if not torch.compiler.is_exporting():
        return math.isqrt(len(x) - 1) + 1
    frames = torch.ones_like(x[:, 0], dtype=torch.float64).sum()
    side = (frames - 1).sqrt().floor().long().item() + 1
    torch._check(side >= 1)
    torch._check(side <= x.shape[0])
    return side  # type: ignore[return-value]  # an integer that only a run of the graph knows


class TransMILHead(nn.Module):
    """TransMIL (Shao et al., arXiv 2106.00908): attention with a class token, and PPEG after the first layer.

    Args:
        features: width of a frame's feature.
        classes: number of classes.
        config: width, heads, layers, dropout.
    """

    def __init__(self, features: int, classes: int, config: BagHeadConfig) -> None:
        super().__init__()
        self.embed = nn.Sequential(nn.Linear(features, config.width), nn.ReLU())
        self.token = nn.Parameter(torch.randn(1, config.width))
        self.layers = nn.ModuleList(
            AttentionLayer(config.width, config.heads, config.dropout) for _ in range(config.layers)
        )
        self.position = PPEG(config.width)
        self.norm = nn.LayerNorm(config.width)
        self.classify = nn.Linear(config.width, classes)

    def _stages(self, bag: Tensor) -> list[Tensor]:
        """Return the input of each layer and the output of the last: class token and frames, (1 + side * side, width).

        The first frames are repeated after the last one to fill a square.
        """
        x = self.embed(bag)
        side, frames = square_side(x), x.shape[0]
        added = side * side - frames
        torch._check(added >= 0)
        torch._check(added <= frames)
        stages = [torch.cat([self.token.to(x.dtype), x, x[:added]])]
        for number, layer in enumerate(self.layers):
            x = layer(stages[-1])
            stages.append(x if number else self.position(x, side))
        return stages

    def forward(self, bag: Tensor) -> Tensor:
        """Return the logits (classes,) of a bag (frames, features)."""
        return self.classify(self.norm(self._stages(bag)[-1][0]))  # type: ignore[no-any-return]

    def frame_scores(self, bag: Tensor, logits: Tensor) -> Tensor:
        """Return the scores (frames, classes) of a bag's frames from the bag's logits; see `scores_by_attention`."""
        return scores_by_attention(logits, self.attention(bag))

    def attention(self, bag: Tensor) -> Tensor:
        """Return the attention weights of the class token, averaged over the layers, (frames, 1), for all classes.

        A frame that is repeated to fill the square gets the mean over its copies, because a sum would favour it.
        """
        per_layer = [layer.attention_of_first(x) for layer, x in zip(self.layers, self._stages(bag), strict=False)]  # type: ignore[operator]
        weights = torch.stack(per_layer).mean(0)[1:]
        frames = torch.arange(bag.shape[0], device=bag.device)
        frames = torch.cat([frames, frames[: weights.shape[0] - bag.shape[0]]])
        none = weights.new_zeros(bag.shape[0])
        sums, copies = (none.index_add(0, frames, values) for values in (weights, torch.ones_like(weights)))
        return (sums / copies).unsqueeze(1)


class DecoderHead(nn.Module):
    """ML-Decoder (arXiv 2111.12933) over the frames of a bag, independent of their order.

    Args:
        features: width of a frame's feature.
        classes: number of classes, and of queries.
        config: width, heads, dropout; the feed-forward part is four times as wide.
    """

    def __init__(self, features: int, classes: int, config: BagHeadConfig) -> None:
        super().__init__()
        decoder = ModelConfig(
            decoder_width=config.width,
            decoder_heads=config.heads,
            decoder_hidden=4 * config.width,
            decoder_dropout=config.dropout,
        )
        self.decoder = MLDecoderHead(features, classes, decoder)

    def forward(self, bag: Tensor) -> Tensor:
        """Return the logits (classes,) of a bag (frames, features)."""
        return self.decoder(bag.unsqueeze(0))[0]  # type: ignore[no-any-return]

    def frame_scores(self, bag: Tensor, logits: Tensor) -> Tensor:
        """Return the scores (frames, classes) of a bag's frames from the bag's logits; see `scores_by_attention`."""
        return scores_by_attention(logits, self.attention(bag))

    def attention(self, bag: Tensor) -> Tensor:
        """Return the attention weights of each class's query, (frames, classes)."""
        return self.decoder.attention_weights(bag.unsqueeze(0))[0].T


def scores_by_attention(logits: Tensor, attention: Tensor) -> Tensor:
    """Return scores (frames, classes), float64, of frames that a head attends to.

    The score of a frame is its attention weight, scaled so that the frame with the largest weight has the probability
    of the video. It shows where the head attends, not the probability from that frame alone. TransMIL's class token has
    the same attention for all classes, and its frames have already attended to each other.

    Args:
        logits: logits of the video, (classes,).
        attention: attention weights, (frames, classes) or (frames, 1).
    """
    weights = attention.double()
    # clamped, because all attention may be on the class token
    return logits.double().sigmoid() * weights / weights.amax(0).clamp_min(1e-30)


BagHead = TransMILHead | DecoderHead | RegressionHead | LogSumExpHead | AttentionHead | MultiQueryHead
HEADS: dict[str, Callable[[int, int, BagHeadConfig], BagHead]] = {
    "transmil": TransMILHead,
    "ml-decoder": DecoderHead,
    "regression": RegressionHead,
    "lse": LogSumExpHead,
    "attention": AttentionHead,
    "multi-query": MultiQueryHead,
}


class BagNetwork(Network):
    """A backbone, and a head over the features of all frames of a video.

    Args:
        backbone: image backbone.
        config: config of the head.
        classes: number of classes.
    """

    backbone: Backbone

    def __init__(self, backbone: Backbone, config: BagHeadConfig, classes: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.normalise = Normalise(backbone.mean, backbone.std)
        self.head: BagHead = HEADS[config.kind](backbone.pooled_width, classes, config)

    def forward(self, bag: Tensor) -> Tensor:
        """Return the logits (classes,) of a video from the features (frames, features) of at least one frame."""
        return self.head(bag)  # type: ignore[no-any-return]

    def encode(self, images: Tensor, real: Tensor) -> Tensor:
        """Return the pooled features of each frame, (frames, features)."""
        del real
        return self.backbone.pooled(self.normalise(images))

    def aggregate(self, encoded: Tensor, seconds: Tensor) -> tuple[Tensor, Tensor]:
        """Return probabilities (classes,) of a video and (frames, classes) of its frames, from the features of all."""
        del seconds
        logits = self(encoded)
        return logits.double().sigmoid(), self.head.frame_scores(encoded, logits)

    def segment_logits(self, images: Tensor, real: Tensor) -> Tensor:
        """Return the logits of each frame as a bag of its own, (frames, classes)."""
        del real
        features = self.backbone.pooled(self.normalise(images))
        return torch.stack([self(frame.unsqueeze(0)) for frame in features])


class BagClassifier(BagNetwork):
    """A bag network whose backbone is frozen; it is always in evaluation mode. Arguments as for `BagNetwork`."""

    frozen_encoder = True

    def __init__(self, backbone: Backbone, config: BagHeadConfig, classes: int) -> None:
        super().__init__(backbone.requires_grad_(False).eval(), config, classes)

    def train(self, mode: bool = True) -> "BagClassifier":
        """Set the mode of the head only; the running statistics of the backbone stay unchanged."""
        super().train(mode)
        self.backbone.eval()
        return self

    @torch.no_grad()
    def encode(self, images: Tensor, real: Tensor) -> Tensor:
        """Return the pooled features of each frame, (frames, features)."""
        return super().encode(images, real)
