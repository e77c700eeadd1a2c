"""Recurrences with their gradients: backpropagation through time, written out.

What comes from the layer below is one product over all frames, and no part of this. In the loop over time there is the
product with the units of the frame before, and backwards its transpose; the gradient of the recurrent weights is one
product over all frames again. Rows lie as :class:`asrkit.nnet.layers.packing.Packing` says.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.autograd.function import once_differentiable

from asrkit.nnet.layers.packing import Packing

Tensor = torch.Tensor


def before(rows: Tensor, first: Tensor, packing: Packing) -> Tensor:
    """Return for each row that of the frame before, (N, …); ``first`` (B, …) stands before the first frames."""
    return torch.cat([first, *(rows[last : last + end - start] for start, end, last in packing.steps()[1:])])


def last_of(rows: Tensor, packing: Packing) -> Tensor:
    """Return the last row of each sequence, (B, …)."""
    places = [packing.starts[length - 1] + number for number, length in enumerate(packing.lengths)]
    return rows[torch.tensor(places, device=rows.device)]


class PeepholeLstm(torch.autograd.Function):
    """Long short-term memory whose gates see the memory (Gers, Schraudolph & Schmidhuber 2002).

    With x the sums from below, y(t-1) the outputs and s(t-1) the memory of the frame before::

        i = sigmoid(x_i + R_i y(t-1) + p_i s(t-1))      f = sigmoid(x_f + R_f y(t-1) + p_f s(t-1))
        s(t) = f s(t-1) + i g(x_g + R_g y(t-1))         o = sigmoid(x_o + R_o y(t-1) + p_o s(t))
        y(t) = o h(s(t))

    g is tanh; h is tanh, or the identity as in that paper. ``truncated`` is its gradient: an error that comes to the
    sums of a gate or of g changes the weights into them and goes no further back; in time it travels by the memory.
    """

    @staticmethod
    def forward(
        ctx: Any,
        sums: Tensor,
        recurrent: Tensor,
        peepholes: Tensor,
        outputs0: Tensor,
        memory0: Tensor,
        packing: Packing,
        squashes: bool,
        truncated: bool,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return outputs (N, H), and the last outputs and memory of each sequence (B, H).

        Parameters
        ----------
        sums : (N, 4 * H)
            Of input gates, forget gates, memory's inputs and output gates, in this order.
        recurrent : (4 * H, H)
        peepholes : (3, H)
            To input, forget and output gates.
        outputs0, memory0 : (B, H)
            Before the first frames.
        """
        units = outputs0.shape[1]
        transposed = recurrent.t()
        gates = torch.empty_like(sums)
        by_kind = gates.view(-1, 4, units)
        memory, squashed, outputs = (sums.new_empty((len(sums), units)) for _ in range(3))
        for start, end, last in packing.steps():
            size = end - start
            y = outputs0 if last < 0 else outputs[last : last + size]
            s = memory0 if last < 0 else memory[last : last + size]
            torch.addmm(sums[start:end], y, transposed, out=gates[start:end])
            now = by_kind[start:end]
            now[:, :2].addcmul_(s[:, None], peepholes[None, :2])
            now[:, :2].sigmoid_()
            now[:, 2].tanh_()
            new = torch.mul(now[:, 1], s, out=memory[start:end])
            new.addcmul_(now[:, 0], now[:, 2])
            now[:, 3].addcmul_(new, peepholes[2]).sigmoid_()
            seen = torch.tanh(new, out=squashed[start:end]) if squashes else squashed[start:end].copy_(new)
            torch.mul(now[:, 3], seen, out=outputs[start:end])
        ctx.save_for_backward(recurrent, peepholes, outputs0, memory0, gates, memory, squashed, outputs)
        ctx.packing, ctx.squashes, ctx.truncated = packing, squashes, truncated
        return outputs, last_of(outputs, packing), last_of(memory, packing)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_outputs: Tensor, d_last_outputs: Tensor, d_last_memory: Tensor) -> tuple[Any, ...]:
        """Return the gradients of what :meth:`forward` takes."""
        recurrent, peepholes, outputs0, memory0, gates, memory, squashed, outputs = ctx.saved_tensors
        packing: Packing = ctx.packing
        units = outputs0.shape[1]
        i, f, g, o = gates.view(-1, 4, units).unbind(1)
        memory_before = before(memory, memory0, packing)
        # What a unit's error is multiplied by on its way to the sums: of all frames at once.
        factors = torch.stack([g * i * (1 - i), memory_before * f * (1 - f), i * (1 - g * g)], 1)
        output_factor = squashed * o * (1 - o)
        memory_factor = o * (1 - squashed * squashed) if ctx.squashes else o
        d_sums = torch.empty_like(gates)
        by_kind = d_sums.view(-1, 4, units)
        d_y, d_s = d_last_outputs.clone(), d_last_memory.clone()
        for start, end, _ in reversed(packing.steps()):
            size = end - start
            now, error, carried = by_kind[start:end], d_y[:size], d_s[:size]
            error += d_outputs[start:end]
            torch.mul(error, output_factor[start:end], out=now[:, 3])
            carried.addcmul_(error, memory_factor[start:end])
            if not ctx.truncated:
                carried.addcmul_(now[:, 3], peepholes[2])
            torch.mul(carried[:, None], factors[start:end], out=now[:, :3])
            carried *= f[start:end]
            if ctx.truncated:
                error.zero_()
            else:
                carried.addcmul_(now[:, 0], peepholes[0]).addcmul_(now[:, 1], peepholes[1])
                torch.mm(d_sums[start:end], recurrent, out=error)
        d_recurrent = d_sums.t() @ before(outputs, outputs0, packing)
        seen = ((0, memory_before), (1, memory_before), (3, memory))
        d_peepholes = torch.stack([(by_kind[:, kind] * value).sum(0) for kind, value in seen])
        return d_sums, d_recurrent, d_peepholes, d_y, d_s, None, None, None


class LightGru(torch.autograd.Function):
    """Light gated recurrent units (Ravanelli, Brakel, Omologo & Bengio 2018, eq. 6-8).

    ``z = sigmoid(x_z + R_z h(t-1))`` and ``h(t) = z h(t-1) + (1 - z) max(0, x_h + R_h h(t-1))``.
    """

    @staticmethod
    def forward(ctx: Any, sums: Tensor, recurrent: Tensor, outputs0: Tensor, packing: Packing) -> tuple[Tensor, Tensor]:
        """Return outputs (N, H), and the last ones of each sequence (B, H).

        Parameters
        ----------
        sums : (N, 2 * H)
            Of the gates z, then of the candidates.
        recurrent : (2 * H, H)
        outputs0 : (B, H)
            Before the first frames.
        """
        units = outputs0.shape[1]
        transposed = recurrent.t()
        gates = torch.empty_like(sums)
        outputs = sums.new_empty((len(sums), units))
        for start, end, last in packing.steps():
            h = outputs0 if last < 0 else outputs[last : last + end - start]
            now = torch.addmm(sums[start:end], h, transposed, out=gates[start:end])
            z, candidates = now[:, :units].sigmoid_(), now[:, units:].relu_()
            torch.lerp(candidates, h, z, out=outputs[start:end])
        ctx.save_for_backward(recurrent, outputs0, gates, outputs)
        ctx.packing = packing
        return outputs, last_of(outputs, packing)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_outputs: Tensor, d_last: Tensor) -> tuple[Any, ...]:
        """Return the gradients of what :meth:`forward` takes."""
        recurrent, outputs0, gates, outputs = ctx.saved_tensors
        packing: Packing = ctx.packing
        units = outputs0.shape[1]
        z, candidates = gates[:, :units], gates[:, units:]
        outputs_before = before(outputs, outputs0, packing)
        factors = torch.stack([(outputs_before - candidates) * z * (1 - z), (1 - z) * (candidates > 0)], 1)
        d_sums = torch.empty_like(gates)
        by_kind = d_sums.view(-1, 2, units)
        d_h = d_last.clone()
        for start, end, _ in reversed(packing.steps()):
            error = d_h[: end - start]
            error += d_outputs[start:end]
            torch.mul(error[:, None], factors[start:end], out=by_kind[start:end])
            error *= z[start:end]
            error.addmm_(d_sums[start:end], recurrent)
        return d_sums, d_sums.t() @ outputs_before, d_h, None


class FullRecurrence(torch.autograd.Function):
    """A set of units each of which is fed by all of them, one frame ago (Williams & Zipser 1989).

    ``s(t) = x(t) + R v(t-1)``; the first K units are outputs, ``v = softmax(s)`` over them, the others hidden,
    ``v = f(s)`` with f tanh or, if ``logistic``, the logistic function.
    """

    @staticmethod
    def forward(
        ctx: Any, sums: Tensor, recurrent: Tensor, values0: Tensor, num_outputs: int, logistic: bool, packing: Packing
    ) -> tuple[Tensor, Tensor]:
        """Return the scores of the outputs, s (N, K), and the last values v of each sequence (B, K + H).

        Parameters
        ----------
        sums : (N, K + H)
        recurrent : (K + H, K + H)
            From the columns to the rows.
        values0 : (B, K + H)
            Before the first frames.
        """
        transposed = recurrent.t()
        scores, values = sums.new_empty((len(sums), num_outputs)), torch.empty_like(sums)
        for start, end, last in packing.steps():
            v = values0 if last < 0 else values[last : last + end - start]
            now = torch.addmm(sums[start:end], v, transposed, out=values[start:end])
            scores[start:end] = now[:, :num_outputs]
            now[:, :num_outputs] = torch.softmax(scores[start:end], 1)
            hidden = now[:, num_outputs:]
            if logistic:
                hidden.sigmoid_()
            else:
                hidden.tanh_()
        ctx.save_for_backward(recurrent, values0, values)
        ctx.packing, ctx.num_outputs, ctx.logistic = packing, num_outputs, logistic
        return scores, last_of(values, packing)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_scores: Tensor, d_last: Tensor) -> tuple[Any, ...]:
        """Return the gradients of what :meth:`forward` takes."""
        recurrent, values0, values = ctx.saved_tensors
        packing: Packing = ctx.packing
        posteriors, hidden = values[:, : ctx.num_outputs], values[:, ctx.num_outputs :]
        slopes = hidden * (1 - hidden) if ctx.logistic else 1 - hidden * hidden
        d_sums = torch.empty_like(values)
        d_values = d_last.clone()
        for start, end, _ in reversed(packing.steps()):
            error, now, p = d_values[: end - start], d_sums[start:end], posteriors[start:end]
            back = error[:, : ctx.num_outputs]
            now[:, : ctx.num_outputs] = d_scores[start:end] + p * (back - (p * back).sum(1, keepdim=True))
            torch.mul(error[:, ctx.num_outputs :], slopes[start:end], out=now[:, ctx.num_outputs :])
            torch.mm(now, recurrent, out=error)
        return d_sums, d_sums.t() @ before(values, values0, packing), d_values, None, None, None
