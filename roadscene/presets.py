"""Two named sets of options, where the public code differs from the paper.

`paper` follows the article and, where it says nothing, AdaptSegNet (Tsai et al., CVPR 2018), whose
settings the article adopts (Section IV-B). `released` is what the authors' repository
(idealwei/ASANet) computes. Settings given in a file or on the command line override both.

Where the paper says nothing, both presets agree with the repository: whole images are resized,
never cropped or mirrored; predictions are upsampled with aligned corners before the softmax;
batch-norm weights are frozen and statistics are those of the batch (networks/deeplab.py:59-71,
train_gta2city.py:86); a step takes one image; discriminator labels and halved losses are the same.

`released` leaves out two faults of a run, which are not options of a method: training goes on after
the early stop (train_gta2city.py:207-212), and it starts from a source-only model (the init file
was once named GTA5100k_25000.pth). For the latter, set `network.weights` to the checkpoint of a
source-only run.
"""

from typing import Any, Literal

PresetName = Literal["paper", "released"]

PRESETS: dict[PresetName, dict[str, Any]] = {
    "paper": {
        # Section III-B, Eq. 1: cosine similarity, and the stated range [0, 1].
        # Section III-C: a_n^i is the Bernoulli KL divergence of p_x and p_n.
        "affinity": {"similarity": "cosine", "reduction": "mean", "measure": "bernoulli_kl"},
        # Section IV-B: lambda = 0.001, constant.
        "adaptation": {"adversarial_damping": False},
        # AdaptSegNet, ADVENT and BDL shuffle.
        "shuffle": True,
        # Section IV-B: the same for training and testing.
        "data": {"test_resize": "bicubic"},
    },
    "released": {
        # utils/loss.py:68-83: a plain dot product, the mean over neighbours (never called there).
        # utils/utils.py:9-33: the divergence of p_n p_x from p_x.
        "affinity": {"similarity": "dot", "reduction": "mean", "measure": "released"},
        # train_gta2city.py:133,161: lambda * (1 - i / num_steps).
        "adaptation": {"adversarial_damping": True},
        # train_gta2city.py:99-109: shuffle=False for both domains.
        "shuffle": False,
        # evaluate.py:189: bilinear with aligned corners, where training used bicubic.
        "data": {"test_resize": "bilinear"},
    },
}

DEEPLAB_V2_PRESETS: dict[PresetName, dict[str, Any]] = {
    "paper": {
        # Section III-D: dilation rates {6, 12, 18, 24}.
        "aspp_branches": 4,
        # The Caffe convention of the DeepLab initial weights (AdaptSegNet, ADVENT, BDL).
        "normalisation": "bgr",
        # Section IV-B: one learning rate for the backbone.
        "backbone_lr": "once",
    },
    "released": {
        # networks/deeplab.py:104-108: `return` inside the loop, so the branches of rates 18 and
        # 24 exist and are never used. AdaptSegNet, MaxSquare and DACS do the same; ADVENT, BDL
        # and FDA sum all four.
        "aspp_branches": 2,
        # datasets/*_dataset.py:62-79: images in BGR order, the mean in RGB order.
        "normalisation": "bgr_minus_rgb_mean",
        # networks/deeplab.py:193-199 (and AdaptSegNet): nested modules yield a parameter once per
        # level, so that SGD moves most of the backbone three times per step (here: a learning
        # rate three times as large). VGG-16 yields each once (networks/deeplab_vgg.py:59).
        "backbone_lr": "repeated",
    },
}
