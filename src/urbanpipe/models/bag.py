"""The bag method's network: a frozen image backbone, and a head that sees the features of all frames as one bag."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from urbanpipe.models.backbone import Backbone, Normalise
from urbanpipe.models.config import BagHeadConfig, ModelConfig
from urbanpipe.models.heads import MLDecoderHead
from urbanpipe.models.network import Network


class AttentionLayer(nn.Module):
    """x + attention(norm(x)), without a feed-forward part: TransMIL's layer, with exact attention for Nystrom's.

    The convolution over the values that its Nystrom attention adds is left out with the approximation.

    Args:
        width: of the tokens.
        heads: of attention.
        dropout: behind it.
    """

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(width)
        self.to_qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Sequential(nn.Linear(width, width), nn.Dropout(dropout))

    def _split(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values, (heads, tokens, width / heads) each, of tokens (tokens, width)."""
        qkv = self.to_qkv(self.norm(x)).unflatten(1, (3, self.heads, -1))
        q, k, v = qkv.permute(1, 2, 0, 3).unbind(0)
        return q, k, v

    def forward(self, x: Tensor) -> Tensor:
        """Tokens (tokens, width) to the same."""
        q, k, v = (each.unsqueeze(0) for each in self._split(x))
        attended = functional.scaled_dot_product_attention(q, k, v)[0]
        return x + self.out(attended.transpose(0, 1).flatten(1))  # type: ignore[no-any-return]

    def attention_of_first(self, x: Tensor) -> Tensor:
        """What the first token attends to, (tokens,), mean over the heads; sums to 1."""
        q, k, _ = self._split(x)
        weights = (q[:, :1] @ k.transpose(1, 2) / math.sqrt(q.shape[-1])).float().softmax(-1)
        return weights[:, 0].mean(0)


class PPEG(nn.Module):
    """Pyramid position encoding generator (arXiv 2106.00908, section 3.3): frames squared up, and three convolutions.

    Args:
        width: of the tokens.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList(
            nn.Conv2d(width, width, size, padding=size // 2, groups=width) for size in (7, 5, 3)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Tokens (1 + side * side, width), the class token first and untouched, to the same."""
        side = math.isqrt(len(x) - 1)
        square = x[1:].T.reshape(1, -1, side, side)
        square = square + sum(convolution(square) for convolution in self.convolutions)
        return torch.cat([x[:1], square.flatten(2)[0].T])


class TransMILHead(nn.Module):
    """TransMIL (Shao et al., arXiv 2106.00908): a class token among the frames, PPEG behind the first layer.

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
        """What each layer sees and what the last one says: class token and frames, (1 + side * side, width) each.

        The first frames are repeated behind the last until all fill a square.
        """
        x = self.embed(bag)
        side = math.isqrt(len(x) - 1) + 1
        stages = [torch.cat([self.token.to(x.dtype), x, x[: side * side - len(x)]])]
        for number, layer in enumerate(self.layers):
            x = layer(stages[-1])
            stages.append(x if number else self.position(x))
        return stages

    def forward(self, bag: Tensor) -> Tensor:
        """Logits (classes,) of a bag (frames, features)."""
        return self.classify(self.norm(self._stages(bag)[-1][0]))  # type: ignore[no-any-return]

    def attention(self, bag: Tensor) -> Tensor:
        """What the class token attends to, mean over the layers, (frames, 1): the same for all classes.

        A frame that is repeated to fill the square has the mean of its places, as a sum would favour it.
        """
        each = [layer.attention_of_first(x) for layer, x in zip(self.layers, self._stages(bag), strict=False)]  # type: ignore[operator]
        weights = torch.stack(each).mean(0)[1:]
        frames = torch.arange(len(weights), device=bag.device) % len(bag)
        none = weights.new_zeros(len(bag))
        sums, places = (none.index_add(0, frames, each) for each in (weights, torch.ones_like(weights)))
        return (sums / places).unsqueeze(1)


class DecoderHead(nn.Module):
    """ML-Decoder (arXiv 2111.12933) over the frames of a bag, whatever their order.

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
        """Logits (classes,) of a bag (frames, features)."""
        return self.decoder(bag.unsqueeze(0))[0]  # type: ignore[no-any-return]

    def attention(self, bag: Tensor) -> Tensor:
        """What each class's query attends to, (frames, classes)."""
        return self.decoder.attention_weights(bag.unsqueeze(0))[0].T


class BagClassifier(Network):
    """A backbone that never learns, and a head over the features of all frames of a video.

    Args:
        backbone: of images; frozen, and in evaluation mode whatever the mode of the rest.
        config: the head.
        classes: number of classes.
    """

    frozen_encoder = True
    backbone: Backbone

    def __init__(self, backbone: Backbone, config: BagHeadConfig, classes: int) -> None:
        super().__init__()
        self.backbone = backbone.requires_grad_(False).eval()
        self.normalise = Normalise(backbone.mean, backbone.std)
        head = TransMILHead if config.kind == "transmil" else DecoderHead
        self.head = head(backbone.pooled_width, classes, config)

    def train(self, mode: bool = True) -> "BagClassifier":
        """Training mode for the head alone: the backbone's running statistics stay as they are."""
        super().train(mode)
        self.backbone.eval()
        return self

    def forward(self, bag: Tensor) -> Tensor:
        """Logits (classes,) of the features (frames, features) of a video, at least one."""
        return self.head(bag)  # type: ignore[no-any-return]

    @torch.no_grad()
    def encode(self, images: Tensor, real: Tensor) -> Tensor:
        """Return the pooled feature of each frame, (frames, features)."""
        del real
        return self.backbone.pooled(self.normalise(images))

    def aggregate(self, encoded: Tensor, seconds: Tensor) -> tuple[Tensor, Tensor]:
        """Probabilities (classes,) of a video and (frames, classes) of its frames, from the features of them all.

        A frame's score is its share of the head's attention, scaled so that the frame of most attention has the video's
        probability. It tells where the head looked, not how sure one frame alone would make it, and TransMIL's class
        token looks with one attention for all classes, at frames that have seen each other.
        """
        del seconds
        video, attention = self(encoded).double().sigmoid(), self.head.attention(encoded).double()
        return video, video * attention / attention.amax(0).clamp_min(1e-30)  # all of it on the class token: no NaN

    def segment_logits(self, images: Tensor, real: Tensor) -> Tensor:
        """Return the logits that each frame alone would make, (frames, classes)."""
        del real
        features = self.backbone.pooled(self.normalise(images))
        return torch.stack([self(frame.unsqueeze(0)) for frame in features])
