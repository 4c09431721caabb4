"""A network that needs no training: it tells the structures of rendered camera a by brightness."""

import sys

import torch
from torch import nn

from cli.main import run
from fundus_uda.model import Model
from tests.small_run import small_settings


class Brightness(nn.Module):
    """Green below 0.47 is background, below 0.76 rim, else cup."""

    def forward(self, image):
        green = nn.functional.max_pool2d(image[:, 1:2], 9, stride=1, padding=4)
        green = -nn.functional.max_pool2d(-green, 9, stride=1, padding=4)  # closes vessels
        green = nn.functional.avg_pool2d(green, 3, stride=1, padding=1) * 0.5 + 0.5
        centres = torch.tensor([0.32, 0.62, 0.90]).reshape(1, 3, 1, 1)
        return -100 * (green - centres) ** 2


class OneSided(Brightness):
    """The same, but the darker the farther to the left: what it says changes in a mirror."""

    def forward(self, image):
        return super().forward(image + torch.linspace(-0.6, 0.6, image.shape[3]))


def brightness_model(cameras, network: nn.Module | None = None) -> Model:
    return Model(
        network or Brightness(), small_settings(cameras), step=0, label_shares=torch.ones(3)
    )


def run_predict(monkeypatch, cameras, *arguments) -> int:
    """The exit code of `fundus-uda predict MODEL ARGUMENTS`, for that model."""
    model = brightness_model(cameras)
    monkeypatch.setattr("fundus_uda.model.load_model", lambda path, device: model)
    command = ["fundus-uda", "predict", "model", *map(str, arguments), "--device", "cpu"]
    monkeypatch.setattr(sys, "argv", command)
    try:
        run()
    except SystemExit as ended:
        return int(ended.code or 0)
    return 0
