"""Masked autoencoder: reconstruct a frame from a quarter of its patches."""

from lightly.models.modules.masked_vision_transformer_decoder_timm import MaskedVisionTransformerDecoderTIMM
from lightly.models.modules.masked_vision_transformer_timm import MaskedVisionTransformerTIMM
from lightly.models.utils import get_at_index, normalize_mean_var, patchify, random_token_mask, set_at_index
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn
from torch.nn import functional

from urbanpipe.errors import RecipeError
from urbanpipe.models.backbone import Backbone, Normalise
from urbanpipe.pretraining.config import MAEConfig


class MAE(nn.Module):
    """Masked autoencoder (He et al., arXiv 2111.06377): the encoder sees only the unmasked patches.

    Args:
        backbone: a plain ViT with a class token.
        config: mask ratio and size of the decoder.

    Raises:
        RecipeError: the backbone is not a plain ViT, or the width of the decoder cannot be used.
    """

    def __init__(self, backbone: Backbone, config: MAEConfig) -> None:
        super().__init__()
        vit = _plain_vit(backbone)
        self.patch: int = vit.patch_embed.patch_size[0]
        if config.decoder_width % 4 or config.decoder_width % config.decoder_heads:
            raise RecipeError(
                f"--set decoder_width = {config.decoder_width}: must be a multiple of 4 and of "
                f"decoder_heads = {config.decoder_heads}"
            )
        self.backbone, self.mask_ratio = backbone, config.mask_ratio
        self.patches = (config.size // self.patch) ** 2
        self.normalise = Normalise(backbone.mean, backbone.std)
        first = (
            {} if config.weights == "random" else {"weight_initialization": "skip", "pos_embed_initialization": "skip"}
        )
        self.encoder = MaskedVisionTransformerTIMM(vit, **first)
        width = config.decoder_width
        self.embed = nn.Linear(vit.embed_dim, width)
        self.decoder = MaskedVisionTransformerDecoderTIMM(
            self.patches, width, config.decoder_depth, config.decoder_heads
        )
        self.paint = nn.Linear(width, 3 * self.patch**2)

    def forward(self, views: Tensor) -> Tensor:
        """Return the mean squared error over the masked patches of a batch of views.

        Views have the shape (frames, 1, 3, size, size) and the range 0 to 255.
        """
        images = self.normalise(views[:, 0])
        keep, hidden = random_token_mask((len(images), self.patches + 1), self.mask_ratio, device=images.device)
        seen = self.embed(self.encoder.encode(images, idx_keep=keep))
        asked = self.decoder.mask_token.to(seen.dtype).expand(len(images), self.patches + 1, -1)
        painted = self.paint(get_at_index(self.decoder(set_at_index(asked, keep, seen)), hidden))
        wanted = get_at_index(patchify(images, self.patch), hidden - 1)  # the class token is not a patch
        return functional.mse_loss(painted.float(), normalize_mean_var(wanted))


def _plain_vit(backbone: Backbone) -> VisionTransformer:
    net = backbone.net
    plain = type(net) is VisionTransformer and net.cls_token is not None and net.num_prefix_tokens == 1
    if not plain or net.no_embed_class or isinstance(net.norm, nn.Identity):
        raise RecipeError(
            f"--method mae needs a plain ViT of timm with a class token, such as vit_base_patch16_224, not "
            f"{type(net).__name__}; --method simclr takes any backbone"
        )
    return net
