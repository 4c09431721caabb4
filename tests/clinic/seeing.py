"""A network that needs no training: it tells the structures of rendered camera a by brightness."""

import torch
from torch import nn

from fundus_uda.model import Model
from tests.small_run import small_settings


class Brightness(nn.Module):
    """Green below 0.47 is background, below 0.76 rim, else cup."""

    def forward(self, image):
        green = nn.functional.avg_pool2d(image[:, 1:2], 5, stride=1, padding=2) * 0.5 + 0.5
        centres = torch.tensor([0.32, 0.62, 0.90]).reshape(1, 3, 1, 1)
        return -100 * (green - centres) ** 2


def brightness_model(cameras) -> Model:
    return Model(Brightness(), small_settings(cameras), step=0)
