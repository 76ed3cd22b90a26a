"""Plain PyTorch, written by hand, as a contestant."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from benchmarks.data import Data
from benchmarks.models import EPSILON, HEADS, LEARNING_RATE, Spec
from benchmarks.peers import Peer, Task, row_losses


class Block(nn.Module):
    """One block of the encoder; scores of padded steps are masked."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.before, self.between = nn.LayerNorm(width, eps=1e-3), nn.LayerNorm(width, eps=1e-3)
        self.queries, self.keys, self.values, self.out = (nn.Linear(width, width) for _ in range(4))
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        def heads(y: Tensor) -> Tensor:
            return y.unflatten(-1, (HEADS, -1)).transpose(1, 2)

        y = self.before(x)
        mixed = F.scaled_dot_product_attention(
            heads(self.queries(y)),
            heads(self.keys(y)),
            heads(self.values(y)),
            attn_mask=None if mask is None else mask[:, None, None, :],
        )
        x = x + self.out(mixed.transpose(1, 2).flatten(2))
        return x + self.down(torch.relu(self.up(self.between(x))))


class Model(nn.Module):
    """(B, T) ids or (B, T, D) features and (B,) lengths to the scores of rows or steps.

    `packed` reads rows to their own end; without it the reverse direction of a recurrent layer begins in the padding.
    """

    def __init__(self, task: Task) -> None:
        super().__init__()
        self.spec = spec = task.spec
        self.packed = task.variant == "packed"
        self.table = nn.Embedding(task.vocabulary, spec.width) if task.vocabulary else None
        body = {"bilstm": nn.LSTM, "lstm": nn.LSTM, "bigru": nn.GRU}.get(spec.kind)
        both = spec.kind in ("bilstm", "bigru")
        self.recurrent = None if body is None else body(spec.width, spec.units, batch_first=True, bidirectional=both)
        inner = [spec.width, spec.units] if spec.kind == "conv" else []
        self.convolutions = nn.ModuleList(nn.Conv1d(i, spec.units, 5, padding=2) for i in inner)
        self.blocks = nn.ModuleList(Block(spec.units) for _ in range(2) if spec.kind == "encoder")
        self.last = nn.LayerNorm(spec.units, eps=1e-3) if self.blocks else None
        self.head = nn.Linear(spec.units * (2 if both else 1), task.classes)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        if self.spec.kind == "bag" and self.packed:
            assert self.table is not None
            ends = torch.cumsum(lengths, 0)
            return self.head(F.embedding_bag(x, self.table.weight, ends - lengths, mode="mean"))
        # No mask where nothing is padding: faster, and what a user would do.
        full = bool((lengths == x.shape[1]).all())
        mask = torch.arange(x.shape[1]) < lengths[:, None]
        y = x if self.table is None else self.table(x)
        if self.recurrent is not None:
            return self._recurrent(y, lengths, mask)
        for convolution in self.convolutions:
            y = y if full else y * mask[:, :, None]
            y = torch.relu(convolution(y.transpose(1, 2))).transpose(1, 2)
        if self.convolutions:
            return self.head(y.masked_fill(~mask[:, :, None], -torch.inf).amax(1))
        for block in self.blocks:
            y = block(y, None if full else mask)
        y = y if self.last is None else self.last(y)
        return self.head((y * mask[:, :, None]).sum(1) / lengths[:, None])

    def _recurrent(self, y: Tensor, lengths: Tensor, mask: Tensor) -> Tensor:
        assert self.recurrent is not None
        if self.packed:
            y, last = self.recurrent(pack_padded_sequence(y, lengths, batch_first=True, enforce_sorted=False))
            y, _ = pad_packed_sequence(y, batch_first=True)
        else:
            y, last = self.recurrent(y)
        if self.spec.kind == "lstm":
            return self.head(last[0][0] if self.packed else y[torch.arange(len(y)), lengths - 1])
        if self.spec.per_step:
            return self.head(y)
        return self.head(y.masked_fill(~mask[:, :, None], -torch.inf).amax(1))


def _gates(weight: np.ndarray, spec: Spec) -> np.ndarray:
    """GRU's gates are z, r, n in Keras and r, z, n in PyTorch."""
    if spec.kind != "bigru":
        return weight
    update, reset, new = np.split(weight, 3, axis=-1)
    return np.concatenate([reset, update, new], axis=-1)


def translated(model: Model, weights: list[np.ndarray]) -> list[tuple[Tensor, np.ndarray]]:
    """Which of Keras's weights goes where."""
    left = list(weights)
    pairs: list[tuple[Tensor, np.ndarray]] = []

    def linear(layer: nn.Linear) -> None:
        kernel, bias = left.pop(0), left.pop(0)
        pairs.append((layer.weight, kernel.reshape(layer.in_features, layer.out_features).T))
        pairs.append((layer.bias, bias.reshape(-1)))

    def normal(layer: nn.LayerNorm) -> None:
        pairs.append((layer.weight, left.pop(0)))
        pairs.append((layer.bias, left.pop(0)))

    if model.table is not None:
        pairs.append((model.table.weight, left.pop(0)))
    if model.recurrent is not None:
        for end in ("", "_reverse")[: 1 + model.recurrent.bidirectional]:
            kernel, recurrent, bias = (_gates(left.pop(0), model.spec) for _ in range(3))
            two = bias if bias.ndim == 2 else np.stack([bias, np.zeros_like(bias)])
            for name, value in (("weight_ih", kernel.T), ("weight_hh", recurrent.T), ("bias_ih", two[0])):
                pairs.append((getattr(model.recurrent, f"{name}_l0{end}"), value))
            pairs.append((getattr(model.recurrent, f"bias_hh_l0{end}"), two[1]))
    for convolution in model.convolutions:
        pairs.append((convolution.weight, left.pop(0).transpose(2, 1, 0)))
        pairs.append((convolution.bias, left.pop(0)))
    for block in model.blocks:
        normal(block.before)
        for layer in (block.queries, block.keys, block.values, block.out):
            linear(layer)
        normal(block.between)
        linear(block.up)
        linear(block.down)
    if model.last is not None:
        normal(model.last)
    linear(model.head)
    return pairs


class Torch(Peer):
    def __init__(self, task: Task) -> None:
        self.task = task
        self.model = Model(task)
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=LEARNING_RATE, eps=EPSILON)

    def set_weights(self, weights: list[np.ndarray]) -> None:
        with torch.no_grad():
            for parameter, value in translated(self.model, weights):
                parameter.copy_(torch.tensor(np.ascontiguousarray(value)))

    def _given(self, data: Data, rows: list[int]) -> tuple[Tensor, Tensor]:
        lengths = torch.tensor(data.lengths[rows])
        if self.task.spec.kind == "bag" and self.task.variant == "packed":
            return torch.tensor(np.concatenate([data.row(at) for at in rows])), lengths
        return torch.tensor(data.padded(rows)[0]), lengths

    def ready(self, data: Data, batches: list[list[int]], longest: int) -> Any:
        made = []
        for rows in batches:
            groups = [[at] for at in rows] if self.task.variant == "single" else [rows]
            parts = []
            for group in groups:
                x, lengths = self._given(data, group)
                y = data.padded(group)[1].astype(np.int64)
                if data.per_step:
                    y[np.arange(y.shape[1]) >= data.lengths[group][:, None]] = -100  # left out of the mean
                parts.append(
                    (x, lengths, torch.tensor(y), int(data.lengths[group].sum()) if data.per_step else len(group))
                )
            made.append(parts)
        return made

    def train(self, made: Any) -> None:
        for parts in made:
            total = sum(count for *_, count in parts)
            loss = torch.zeros(())
            for x, lengths, y, count in parts:
                loss = loss + self._loss(x, lengths, y) * (count / total)
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()

    def _loss(self, x: Tensor, lengths: Tensor, y: Tensor) -> Tensor:
        scores = self.model(x, lengths)
        return F.cross_entropy(scores.transpose(1, -1), y)

    def losses(self, data: Data, rows: list[int], longest: int) -> tuple[list[float], float]:
        [parts] = self.ready(data, [rows], longest)
        with torch.no_grad():
            total = sum(count for *_, count in parts)
            own = sum(float(self._loss(x, lengths, y)) * count / total for x, lengths, y, count in parts)
            found = [torch.softmax(self.model(x, lengths), -1).numpy() for x, lengths, *_ in parts]
        return row_losses(data, rows, [one for some in found for one in some]), own

    def requests(self, data: Data, groups: list[list[int]], longest: int) -> list[Any]:
        single = self.task.variant == "single"
        return [[self._given(data, part) for part in ([[at] for at in rows] if single else [rows])] for rows in groups]

    def answer(self, made: Any) -> None:
        with torch.inference_mode():
            for x, lengths in made:
                torch.softmax(self.model(x, lengths), -1).numpy()
