"""The affinity space as one differentiable function, fast and light on memory."""

from typing import Any

import torch
from torch import Tensor

from fundus_uda.affinity import fused
from fundus_uda.affinity.neighbors import Offset, at_neighbor, pad_edges


class BernoulliKL(torch.autograd.Function):
    r"""KL(Bernoulli(p_x) || Bernoulli(p_n)) for every neighbour n, with a closed-form gradient.

    With u = logit p and v = log(1 - p), a_n = (p_x u_x + v_x) - p_x u_n - v_n: two logarithms per
    pixel instead of two per pair. The gradients are da_n/dp_x = u_x - u_n and
    da_n/dp_n = (p_n - p_x) / (p_n (1 - p_n)).

    On a CPU, `fused` computes the same in one sweep over memory, where it can.
    """

    @staticmethod
    def forward(ctx: Any, prob: Tensor, offsets: tuple[Offset, ...], eps: float) -> Tensor:
        """Map contiguous probabilities (B, C, H, W), to be clamped, to (B, N, C, H, W)."""
        ctx.save_for_backward(prob)
        ctx.offsets, ctx.eps = offsets, eps
        if fused.computes(prob, eps):
            return fused.forward(prob, offsets, eps)
        p = prob.clamp(eps, 1 - eps)
        v = (1 - p).log()  # torch's log1p is ten times slower on a CPU
        u = p.log() - v
        negative_entropy = torch.addcmul(v, p, u)
        u_padded, v_padded = pad_edges(u), pad_edges(v)
        batch, *rest = p.shape
        affinity = p.new_empty(batch, len(offsets), *rest)
        for index, offset in enumerate(offsets):
            a_n = affinity[:, index]
            torch.sub(negative_entropy, at_neighbor(v_padded, offset), out=a_n)
            a_n.addcmul_(p, at_neighbor(u_padded, offset), value=-1)
        return affinity

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        """Return the gradient with respect to `prob`, which is itself differentiable."""
        (prob,) = ctx.saved_tensors
        grad = grad.contiguous()  # a channels-last one would be read with a stride of N * C
        # A gradient that is to be differentiated needs torch's operations.
        if not torch.is_grad_enabled() and fused.computes(prob, ctx.eps):
            return fused.backward(prob, grad, ctx.offsets, ctx.eps), None, None
        p = prob.clamp(ctx.eps, 1 - ctx.eps)
        u = p.log() - (1 - p).log()  # recomputed: the values from `forward` have no graph
        p_padded, u_padded = pad_edges(p), pad_edges(u)
        at_x = torch.zeros_like(p)
        for_n = torch.zeros_like(p_padded)
        for index, offset in enumerate(ctx.offsets):
            g, u_n, p_n = (
                grad[:, index],
                at_neighbor(u_padded, offset),
                at_neighbor(p_padded, offset),
            )
            at_x.addcmul_(g, u - u_n)
            at_neighbor(for_n, offset).addcmul_(g, p_n - p)
        for_n /= p_padded * (1 - p_padded)
        outside = (prob < ctx.eps) | (prob > 1 - ctx.eps)
        return (at_x + _fold_edges(for_n)).masked_fill(outside, 0), None, None


def _fold_edges(padded: Tensor) -> Tensor:
    """Apply the transpose of `pad_edges`: add the padding to the pixels that it copies."""
    padded[..., 1, :] += padded[..., 0, :]
    padded[..., -2, :] += padded[..., -1, :]
    padded[..., :, 1] += padded[..., :, 0]
    padded[..., :, -2] += padded[..., :, -1]
    return padded[..., 1:-1, 1:-1]
