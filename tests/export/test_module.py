"""`as_torch_module`: one memory with the model, and at home in torch, DDP, Lightning and accelerate."""

from __future__ import annotations

import copy
import pickle
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import padless
from padless import Input, Ragged, Sequential, layers
from padless.errors import ArgumentError, BackendError, NotBuiltError
from tests.export.test_models import vowels
from tests.oracle import using

torch = pytest.importorskip("torch")

SPEAKERS = np.repeat(np.arange(3), 11)


@pytest.fixture
def model(on_torch: None) -> Any:
    """Who speaks: statistics that move, dropout, a bidirectional layer."""
    return Sequential(
        [
            Input((None, 12)),
            layers.BatchNormalization(momentum=0.5),
            layers.Dropout(0.2, seed=1),
            layers.Bidirectional(layers.GRU(8)),
            layers.Dense(3),
        ]
    )


def data() -> tuple[list[Any], Any]:
    """Recordings and their speakers."""
    rows = vowels()
    return rows, torch.tensor(np.resize(SPEAKERS, len(rows)))


def answers(model: Any, rows: Any) -> Any:
    return np.asarray(model.predict(rows, verbose=0))


def test_names_and_kinds(model: Any) -> None:
    module = model.as_torch_module()
    assert set(module.state_dict()) == set(model.weight_slots()) | {"drawn"}
    assert dict(module.named_buffers()).keys() == {"drawn", "layers/0/moving_mean", "layers/0/moving_variance"}
    for path, array in model.state_dict().items():
        np.testing.assert_array_equal(module.state_dict()[path].numpy(), array)
    model.layers[3].trainable = False
    frozen = model.as_torch_module()
    assert not frozen.get_parameter("layers/3/kernel").requires_grad
    assert frozen.get_parameter("layers/0/gamma").requires_grad


def test_training_by_torch_is_seen_by_predict_and_back(model: Any) -> None:
    rows, speakers = data()
    module = model.as_torch_module()
    optimizer = torch.optim.Adam(module.parameters(), lr=0.01)
    before = answers(model, rows)
    losses = []
    for _ in range(12):
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(module(rows), speakers)
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0]
    assert int(module.drawn) == 12
    after = answers(model, rows)
    assert np.abs(after - before).max() > 1e-3
    module.eval()
    np.testing.assert_array_equal(module(rows).detach().numpy(), after)
    assert int(module.drawn) == 12, "nothing is drawn outside of training"
    # The other way: padless trains the same model, and the module computes with what it learned.
    model.compile("sgd", padless.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(rows, speakers.numpy(), epochs=1, verbose=0)
    np.testing.assert_array_equal(module(rows).detach().numpy(), answers(model, rows))
    model.set_weights([weight * 0 for weight in model.get_weights()])
    assert not module(rows).detach().any()
    assert not module.state_dict()["layers/3/kernel"].any()


def test_moving_statistics(model: Any) -> None:
    rows, _ = data()
    module = model.as_torch_module()
    module(rows)
    steps = np.concatenate(rows)
    mean = dict(module.named_buffers())["layers/0/moving_mean"]
    np.testing.assert_allclose(mean.numpy(), 0.5 * steps.mean(axis=0), rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(model.state_dict()["layers/0/moving_mean"], mean.numpy())


def test_forms(model: Any) -> None:
    rows, _ = data()
    module = model.as_torch_module().eval()
    expected = answers(model, rows)
    x = Ragged.from_list(rows)
    packed = torch.from_numpy(np.asarray(x.values))
    ways = {
        "list": module(rows),
        "ragged": module(x),
        "packed": module(packed, row_splits=torch.from_numpy(x.rows.row_splits.copy())),
        "padded": module(torch.from_numpy(np.asarray(x.to_padded())), mask=torch.from_numpy(x.mask)),
    }
    for name, y in ways.items():
        np.testing.assert_allclose(y.detach().numpy(), expected, rtol=1e-5, atol=1e-6, err_msg=name)
    with pytest.raises(ArgumentError, match="row_splits or mask"):
        module(packed, row_splits=torch.tensor([0, len(packed)]), mask=torch.ones(1, 2, dtype=torch.bool))


def test_dropout_differs_from_step_to_step_and_comes_again(model: Any) -> None:
    rows, _ = data()
    module = model.as_torch_module()
    twin = copy.deepcopy(module)
    first, second = module(rows).detach(), module(rows).detach()
    assert (first != second).any()
    np.testing.assert_array_equal(twin(rows).detach().numpy(), first.numpy())
    again = pickle.loads(pickle.dumps(twin))
    np.testing.assert_array_equal(again(rows).detach().numpy(), second.numpy())


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))], ids=["deepcopy", "pickle"])
def test_copies_have_a_memory_of_their_own(model: Any, copied: Any) -> None:
    rows, _ = data()
    module = model.as_torch_module()
    module(rows).sum().backward()
    expected = answers(model, rows)
    other = copied(module)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.zero_()
    np.testing.assert_array_equal(answers(model, rows), expected)
    assert not answers(other.model, rows).any()


def test_loading(model: Any) -> None:
    rows, _ = data()
    module = model.as_torch_module()
    kept = {path: array.clone() for path, array in module.state_dict().items()}
    expected = answers(model, rows)
    for assign in (False, True):
        model.set_weights([weight * 0 for weight in model.get_weights()])
        module.load_state_dict(kept, assign=assign)
        np.testing.assert_array_equal(answers(model, rows), expected)


def test_dtype(model: Any) -> None:
    rows, _ = data()
    module = model.as_torch_module().eval()
    single = answers(model, rows)
    assert module.double()(rows).dtype == torch.float64
    assert answers(model, rows).dtype == np.float64
    np.testing.assert_allclose(answers(model, rows), single, rtol=1e-4, atol=1e-5)
    assert module.to(torch.float32)(rows).dtype == torch.float32
    np.testing.assert_array_equal(answers(model, rows), single)


def test_hooks(model: Any) -> None:
    rows, _ = data()
    module, seen = model.as_torch_module(), []
    module.register_forward_hook(lambda module, args, y: seen.append(tuple(y.shape)))
    module.get_parameter("layers/3/bias").register_hook(lambda gradient: seen.append(tuple(gradient.shape)))
    module(rows).sum().backward()
    assert seen == [(len(rows), 3), (3,)]


def test_penalties_and_constraints(on_torch: None) -> None:
    rows, _ = data()
    dense = layers.Dense(3, kernel_regularizer="l2", kernel_constraint="non_neg", activity_regularizer="l1")
    model = Sequential([Input((None, 12)), layers.GlobalMaxPooling1D(), dense])
    module = model.as_torch_module()
    module(rows)
    assert len(module.losses) == 2
    sum(module.losses).backward()
    assert all(parameter.grad.any() for parameter in module.parameters())
    module.constrain()
    assert (module.get_parameter("layers/1/kernel") >= 0).all()


def test_what_it_refuses(on_torch: None) -> None:
    with pytest.raises(NotBuiltError, match="never saw data"):
        Sequential([layers.Dense(2)]).as_torch_module()
    with using("numpy"):
        model = Sequential([Input((3,)), layers.Dense(2)])
    with pytest.raises(BackendError, match='set_backend\\("torch"\\)'):
        model.as_torch_module()


# ---- others' loops


def test_data_parallel(model: Any, tmp_path: Path) -> None:
    from torch import distributed
    from torch.nn.parallel import DistributedDataParallel

    rows, speakers = data()
    module = model.as_torch_module()
    alone = copy.deepcopy(module)
    store = distributed.FileStore(str(tmp_path / "store"), 1)
    distributed.init_process_group("gloo", store=store, rank=0, world_size=1)
    try:
        parallel = DistributedDataParallel(module)
        torch.nn.functional.cross_entropy(parallel(Ragged.from_list(rows)), speakers).backward()
    finally:
        distributed.destroy_process_group()
    torch.nn.functional.cross_entropy(alone(rows), speakers).backward()
    for (path, one), other in zip(module.named_parameters(), alone.parameters(), strict=True):
        np.testing.assert_allclose(one.grad.numpy(), other.grad.numpy(), rtol=1e-5, atol=1e-6, err_msg=path)


def loader(batch_size: int = 10) -> Any:
    """Batches of Ragged and speakers."""
    rows, speakers = data()

    def collate(pairs: Any) -> tuple[Ragged, Any]:
        return Ragged.from_list([row for row, _ in pairs]), torch.stack([speaker for _, speaker in pairs])

    return torch.utils.data.DataLoader(list(zip(rows, speakers, strict=True)), batch_size, collate_fn=collate)


def test_lightning(model: Any, tmp_path: Path) -> None:
    with warnings.catch_warnings():
        # Lightning's own imports of names that other packages have given up.
        warnings.simplefilter("ignore")
        lightning = pytest.importorskip("pytorch_lightning")

    class Speaker(lightning.LightningModule):  # type: ignore[misc]
        def __init__(self, module: Any) -> None:
            super().__init__()
            self.module = module
            self.seen: list[float] = []

        def training_step(self, batch: Any, index: int) -> Any:
            x, speakers = batch
            loss = torch.nn.functional.cross_entropy(self.module(x), speakers)
            self.log("loss", loss, batch_size=len(x))
            self.seen.append(float(loss.detach()))
            return loss

        def configure_optimizers(self) -> Any:
            return torch.optim.Adam(self.parameters(), lr=0.01)

    rows, _ = data()
    before = answers(model, rows)
    speaker = Speaker(model.as_torch_module())
    with warnings.catch_warnings():
        # Advice about workers, loggers and checkpoints, which a test needs none of.
        warnings.simplefilter("ignore")
        trainer = lightning.Trainer(
            max_epochs=4, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
            enable_model_summary=False, default_root_dir=tmp_path,
        )  # fmt: skip
        trainer.fit(speaker, loader())
        trainer.save_checkpoint(tmp_path / "speaker.ckpt")
    assert speaker.seen[-1] < speaker.seen[0]
    after = answers(model, rows)
    assert np.abs(after - before).max() > 1e-3
    kept = torch.load(tmp_path / "speaker.ckpt", weights_only=True)["state_dict"]
    assert "module.layers/3/kernel" in kept
    model.set_weights([weight * 0 for weight in model.get_weights()])
    speaker.load_state_dict(kept)
    np.testing.assert_array_equal(answers(model, rows), after)


def test_accelerate(model: Any) -> None:
    accelerate = pytest.importorskip("accelerate")
    rows, _ = data()
    before = answers(model, rows)
    module = model.as_torch_module()
    accelerator = accelerate.Accelerator(cpu=True)
    prepared, optimizer, batches = accelerator.prepare(module, torch.optim.Adam(module.parameters(), lr=0.01), loader())
    losses = []
    for _ in range(3):
        for x, speakers in batches:
            loss = torch.nn.functional.cross_entropy(prepared(x), speakers)
            accelerator.backward(loss)
            optimizer.step()
            optimizer.zero_grad()
            losses.append(float(loss.detach()))
    assert losses[-1] < losses[0]
    assert np.abs(answers(accelerator.unwrap_model(prepared).model, rows) - before).max() > 1e-3
