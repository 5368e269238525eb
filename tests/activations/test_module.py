from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.utils.data import TensorDataset

from msae.activations.arrays import ArraySource
from msae.activations.harvest import harvest
from msae.activations.module import ModuleSource
from msae.activations.source import ActivationSource, rows_kept
from msae.core.errors import ConfigError, SourceError
from msae.core.rng import torch_stream

IMAGES = torch.randn(7, 1, 8, 8, generator=torch_stream(0, "images"))


class SmallNetwork(nn.Module):
    """Two convolutions with normalisation and dropout between, then a classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.5), nn.Conv2d(4, 6, 3, padding=1)
        )
        self.pool = nn.MaxPool2d(2)
        self.classifier = nn.Linear(6 * 16, 10)
        for number, parameter in enumerate(self.parameters()):
            parameter.data = torch.randn(parameter.shape, generator=torch_stream(number, "weights"))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.classifier(self.pool(self.features(image)).flatten(start_dim=1))


@pytest.fixture
def network() -> SmallNetwork:
    return SmallNetwork()


def everything(source: ModuleSource) -> dict[str, torch.Tensor]:
    batches = [(batch, source.activations(batch)) for batch in source.contexts()]
    return {hook: torch.cat([rows_kept(batch, rows[hook]) for batch, rows in batches]) for hook in source.specs}


def test_rows_are_the_channels_at_each_pixel(network):
    source = ModuleSource(network, "features.4", inputs=IMAGES, feature_dim=1, batch_size=3)
    with torch.no_grad():
        maps = network.eval().features(IMAGES)
    (spec,) = source.specs.values()
    assert (spec.kind, spec.model, spec.hook_name) == ("module", "SmallNetwork", "features.4")
    assert (spec.d_in, spec.context_size, spec.dtype) == (6, 64, "float32")
    expected = maps.permute(0, 2, 3, 1).reshape(-1, 6)
    torch.testing.assert_close(everything(source)["features.4"], expected)
    assert isinstance(source, ActivationSource)


def test_rows_are_traced_to_their_example_and_pixel(network):
    source = ModuleSource(network, "pool", inputs=IMAGES, feature_dim=1, batch_size=3)
    batches = list(source.contexts())
    assert [len(batch) for batch in batches] == [3, 3, 1]
    assert batches[1].document[:, 0].tolist() == [3, 4, 5]
    assert batches[1].offset[0].tolist() == list(range(16))
    alone = source.activations(batches[1].select(torch.tensor([1])))["pool"]
    torch.testing.assert_close(alone, source.activations(batches[1])["pool"][1:2])


def test_a_vector_an_example_is_a_row(network):
    source = ModuleSource(network, "classifier", inputs=IMAGES)
    with torch.no_grad():
        torch.testing.assert_close(everything(source)["classifier"], network(IMAGES))


def test_the_module_itself_can_be_the_hook(network):
    source = ModuleSource(network, network, inputs=IMAGES)
    assert list(source.specs) == [""] and source.specs[""].d_in == 10


def test_several_submodules_from_one_pass(network):
    calls = []
    network.features[0].register_forward_hook(lambda *call: calls.append(1))
    source = ModuleSource(network, hook_names=["features.4", network.features[0]], inputs=IMAGES, feature_dim=1)
    calls.clear()
    (batch,) = source.contexts()
    rows = source.activations(batch)
    assert list(rows) == ["features.4", "features.0"] and len(calls) == 1
    assert [rows[name].shape for name in rows] == [(7, 64, 6), (7, 64, 4)]


def test_nothing_after_the_submodule_runs_and_no_hook_stays(network):
    source = ModuleSource(network, "features.0", inputs=IMAGES, feature_dim=1)
    ran = []
    handle = network.classifier.register_forward_hook(lambda *call: ran.append(1))
    (batch,) = source.contexts()
    assert not source.activations(batch)["features.0"].requires_grad
    assert not ran
    network(IMAGES)
    handle.remove()
    assert ran and not network.features[0]._forward_hooks


def test_dropout_is_off(network):
    network.train()
    source = ModuleSource(network, "features.4", inputs=IMAGES, feature_dim=1)
    assert torch.equal(everything(source)["features.4"], everything(source)["features.4"])


def test_a_data_set_with_labels_and_keyword_inputs(network):
    labelled = TensorDataset(IMAGES, torch.arange(7))
    by_keyword = [{"image": image} for image in IMAGES]
    expected = everything(ModuleSource(network, "pool", inputs=IMAGES, feature_dim=1))["pool"]
    for inputs in (labelled, by_keyword, list(IMAGES)):
        assert torch.equal(everything(ModuleSource(network, "pool", inputs=inputs, feature_dim=1))["pool"], expected)


def test_a_transformer_layer(network):
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    tokens = torch.randn(3, 5, 8, generator=torch_stream(0, "tokens"))
    source = ModuleSource(layer, "linear1", inputs=tokens)
    assert (source.specs["linear1"].d_in, source.specs["linear1"].context_size) == (16, 5)


def test_a_tuple_output_stands_for_its_first_tensor():
    recurrent = nn.GRU(4, 6, batch_first=True)
    inputs = torch.randn(3, 5, 4, generator=torch_stream(0, "sequence"))
    source = ModuleSource(recurrent, recurrent, inputs=inputs)
    with torch.no_grad():
        torch.testing.assert_close(everything(source)[""], recurrent(inputs)[0].reshape(-1, 6))


def test_the_revision_follows_the_weights_and_the_running_statistics(network):
    def revision() -> str:
        return ModuleSource(network, "pool", inputs=IMAGES, feature_dim=1).specs["pool"].revision

    first = revision()
    assert revision() == first
    network.features[1].running_mean += 1
    second = revision()
    network.features[0].weight.data += 1
    assert len({first, second, revision()}) == 3


def test_errors(network):
    def make(*args, **settings):
        return ModuleSource(network, *args, **{"inputs": IMAGES, "feature_dim": 1} | settings)

    with pytest.raises(SourceError, match=r"no submodule 'features\.9'; did you mean 'features"):
        make("features.9")
    with pytest.raises(SourceError, match="Linear given is no submodule"):
        make(nn.Linear(2, 2))
    with pytest.raises(SourceError, match="different numbers of positions"):
        make(hook_names=["features.0", "pool"])
    with pytest.raises(SourceError, match="feature_dim=7"):
        make("pool", feature_dim=7)
    with pytest.raises(SourceError, match="feature_dim=0"):
        make("pool", feature_dim=0)
    with pytest.raises(ConfigError, match="exactly one"):
        make("pool", hook_names=["pool"])
    with pytest.raises(ConfigError, match="inputs"):
        make("pool", inputs=IMAGES[:0])
    with pytest.raises(ConfigError, match="batch_size"):
        make("pool", batch_size=0)


def test_a_submodule_that_is_never_called(network):
    network.spare = nn.Linear(2, 2)
    with pytest.raises(SourceError, match=r"without calling \['spare'\]"):
        ModuleSource(network, "spare", inputs=IMAGES)


def test_a_batch_of_other_inputs_is_refused(network):
    (batch,) = ModuleSource(network, "pool", inputs=IMAGES, feature_dim=1).contexts()
    with pytest.raises(SourceError, match="not of these inputs"):
        ModuleSource(network, "pool", inputs=IMAGES[:2], feature_dim=1).activations(batch)


class Padded:
    """Token ids padded on the right or on the left, as a tokenizer gives them."""

    lengths = (3, 7, 0, 5)

    def __init__(self, *, left: bool = False, width: int = 7) -> None:
        place = torch.arange(width)
        self.mask = torch.stack([place >= width - n if left else place < n for n in self.lengths])
        self.ids = torch.randint(20, self.mask.shape, generator=torch_stream(0, "ids"))

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        return {"input_ids": self.ids[index], "attention_mask": self.mask[index].long()}


class Embedded(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(20, 4)
        self.pooled = nn.Linear(4, 3)

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        return self.pooled(self.embedding(input_ids).mean(dim=1))


@pytest.mark.parametrize("left", [False, True])
def test_padding_is_no_row(left):
    inputs, module = Padded(left=left), Embedded()
    source = ModuleSource(module, "embedding", inputs=inputs, batch_size=3)
    assert torch.equal(everything(source)["embedding"], module.embedding.weight[inputs.ids[inputs.mask]])
    batches = list(source.contexts())
    document, offset = (torch.cat([getattr(b, name)[b.keep] for b in batches]) for name in ("document", "offset"))
    assert document.tolist() == [0] * 3 + [1] * 7 + [3] * 5
    places = torch.arange(7).expand(4, 7)[inputs.mask]
    assert torch.equal(offset, places)
    assert torch.equal(torch.cat([b.attention for b in batches]), inputs.mask[[0, 1, 3]])


def test_a_mask_of_other_positions_is_not_the_output_s():
    source = ModuleSource(Embedded(), "pooled", inputs=Padded())
    assert len(everything(source)["pooled"]) == 4


def test_a_mask_of_one_s_own(network):
    mask = torch.rand(7, 16, generator=torch_stream(0, "mask")) > 0.5
    source = ModuleSource(network, "pool", inputs=IMAGES, feature_dim=1, mask=mask.numpy())
    whole = everything(ModuleSource(network, "pool", inputs=IMAGES, feature_dim=1))["pool"]
    assert torch.equal(everything(source)["pool"], whole[mask.flatten()])
    with pytest.raises(SourceError, match=r"mask has shape \(7, 15\).*\(7, 16\)"):
        ModuleSource(network, "pool", inputs=IMAGES, feature_dim=1, mask=mask[:, :15])


def test_a_padded_array_keeps_no_padding(tmp_path):
    rows = torch.randn(5, 6, 3, generator=torch_stream(0, "rows"))
    mask = torch.arange(6) < torch.tensor([6, 2, 0, 4, 1])[:, None]
    source = ArraySource(rows, mask=mask)
    store = harvest(source, (), n_tokens=13, path=tmp_path / "acts", dtype="float32", holdout_tokens=0, progress=False)
    assert torch.equal(store.rows(0, 13), rows[mask])
    assert store.tokens(0, 13).document.tolist() == [0] * 6 + [1] * 2 + [3] * 4 + [4]
    flat = ArraySource(rows[0], mask=[True, False, True, True, False, True])
    assert torch.equal(everything(flat)["rows"], rows[0][[0, 2, 3, 5]])
    with pytest.raises(SourceError, match=r"mask has shape \(5, 5\)"):
        ArraySource(rows, mask=mask[:, :5])
