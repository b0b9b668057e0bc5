"""Weights on disk: round trip, verification, and what a damaged file says."""

import json
from dataclasses import asdict

import numpy as np
import pytest
import torch

from SkullImplantLib import sparse
from SkullImplantLib.core import checksums, resources
from SkullImplantLib.errors import SkullImplantError
from SkullImplantLib.networks import weights
from SkullImplantLib.networks.autoencoder import Configuration, SparseAutoEncoder
from SkullImplantLib.networks.weights import load_weights, save_weights

CONFIGURATION = Configuration((2, 3, 4), in_channels=2, activation="elu", skip="add")
METADATA = {"spacing_mm": 2.0, "channels": ["skull", "prior"], "note": "Bjørn"}


@pytest.fixture
def network():
    return SparseAutoEncoder(**asdict(CONFIGURATION), generator=torch.Generator().manual_seed(3))


@pytest.fixture
def path(tmp_path, network):
    path = tmp_path / "small.npz"
    save_weights(path, CONFIGURATION, network.state_dict(), METADATA)
    return path


def arrays_of(path):
    with np.load(path, allow_pickle=False) as stored:
        return {name: stored[name] for name in stored.files}


def rewrite(path, **changes):
    """Store the arrays of `path` again, with some changed and those set to None left out."""
    arrays = {**arrays_of(path), **changes}
    np.savez(path, **{name: a for name, a in arrays.items() if a is not None})


def test_round_trip(path, network):
    loaded = load_weights(path)
    assert loaded.configuration == CONFIGURATION and loaded.metadata == METADATA
    assert loaded.sha256 == checksums.sha256_of(path) and len(loaded.sha256) == 64
    for name, value in network.state_dict().items():
        assert torch.equal(loaded.state[name], value) and loaded.state[name].dtype == value.dtype
    rebuilt = loaded.network()
    assert not rebuilt.training and rebuilt.engine is sparse
    x = sparse.SparseTensor(torch.tensor([[0, 1, 2, 3], [0, 1, 2, 4]]), torch.ones(2, 2))
    with torch.inference_mode():
        ours, theirs = rebuilt(x).levels[-1].logits, network.eval()(x).levels[-1].logits
    assert torch.equal(ours, theirs)


def test_the_same_weights_make_the_same_bytes(path, network, tmp_path):
    other = tmp_path / "other.npz"
    save_weights(other, CONFIGURATION, network.state_dict(), dict(reversed(METADATA.items())))
    assert other.read_bytes() == path.read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["other.npz", "small.npz"]


def test_halved_weights_are_the_same_to_three_digits_and_take_half_the_room(
    path, network, tmp_path
):
    half = tmp_path / "half.npz"
    save_weights(half, CONFIGURATION, network.state_dict(), METADATA, halved=True)
    stored, whole = arrays_of(half), arrays_of(path)
    assert sum(a.nbytes for n, a in stored.items() if n != weights.HEADER) < 0.55 * sum(
        a.nbytes for n, a in whole.items() if n != weights.HEADER
    )
    for name, value in network.state_dict().items():
        loaded = load_weights(half).state[name]
        assert loaded.dtype == value.dtype
        torch.testing.assert_close(loaded, value, rtol=1e-3, atol=1e-7)


def test_what_float16_cannot_hold_is_not_halved(tmp_path, network):
    state = network.state_dict()
    state["final.bias"] = torch.full_like(state["final.bias"], 1e6)
    with pytest.raises(ValueError, match=r"final\.bias has values that are not finite"):
        save_weights(tmp_path / "w.npz", CONFIGURATION, state, {}, halved=True)
    assert not list(tmp_path.iterdir())


def test_a_state_that_does_not_fit_is_not_saved(tmp_path, network):
    state = network.state_dict()
    state["final.bias"] = torch.full((1, 1), torch.nan)
    with pytest.raises(ValueError, match=r"final\.bias has values that are not finite"):
        save_weights(tmp_path / "w.npz", CONFIGURATION, state, {})
    assert not list(tmp_path.iterdir())


def test_an_unwritable_folder_is_named(tmp_path, network):
    with pytest.raises(SkullImplantError, match="Cannot write"):
        save_weights(tmp_path / "no" / "w.npz", CONFIGURATION, network.state_dict(), {})


def header_with(path, **changes):
    header = json.loads(arrays_of(path)["header"].tobytes())
    return np.frombuffer(json.dumps({**header, **changes}).encode(), np.uint8)


DAMAGES = {
    "truncated": lambda p: p.write_bytes(p.read_bytes()[:-200]),
    "one bit": lambda p: p.write_bytes(p.read_bytes()[:300] + b"\xff" + p.read_bytes()[301:]),
    "empty": lambda p: p.write_bytes(b""),
    "text": lambda p: p.write_text("not weights"),
    "npy": lambda p: np.save(p.open("wb"), np.zeros(3)),
    "no header": lambda p: rewrite(p, header=None),
    "bad header": lambda p: rewrite(p, header=np.frombuffer(b"{", np.uint8)),
    "list header": lambda p: rewrite(p, header=np.frombuffer(b"[]", np.uint8)),
    "pickled header": lambda p: rewrite(p, header=np.array({"a": 1}, dtype=object)),
    "other format": lambda p: rewrite(p, header=header_with(p, format="unet")),
    "newer version": lambda p: rewrite(p, header=header_with(p, version=99)),
    "wrong channels": lambda p: rewrite(
        p, header=header_with(p, configuration={**asdict(CONFIGURATION), "channels": [2, 3, 5]})
    ),
    "no channels": lambda p: rewrite(
        p, header=header_with(p, configuration={**asdict(CONFIGURATION), "channels": []})
    ),
    "words for channels": lambda p: rewrite(
        p, header=header_with(p, configuration={"channels": ["a", "b"]})
    ),
    "unknown option": lambda p: rewrite(p, header=header_with(p, configuration={"depth": 3})),
    "missing array": lambda p: rewrite(p, **{"final.kernel": None}),
    "surplus array": lambda p: rewrite(p, extra=np.zeros(3, np.float32)),
    "wrong shape": lambda p: rewrite(p, **{"final.kernel": np.zeros((2, 2), np.float32)}),
    "wrong type": lambda p: rewrite(p, **{"final.kernel": np.zeros((2, 1))}),
    "infinite": lambda p: rewrite(p, **{"final.kernel": np.full((2, 1), np.inf, np.float32)}),
    "negative variance": lambda p: rewrite(
        p, **{"encoder.0.1.bn.running_var": np.full(2, -1, np.float32)}
    ),
    "gone": lambda p: p.unlink(),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_bad_file_is_one_sentence(path, damage):
    DAMAGES[damage](path)
    with pytest.raises(SkullImplantError) as caught:
        load_weights(path)
    message = str(caught.value)
    assert message.endswith(".") and "\n" not in message
    if damage not in ("no channels",):
        assert path.name in message


def test_checksums(path):
    with pytest.raises(SkullImplantError, match="has no checksum"):
        checksums.verify_checksum(path)
    checksum = checksums.write_checksum(path)
    assert checksums.checksum_path(path).read_text() == f"{checksum}  small.npz\n"
    checksums.verify_checksum(path)
    assert load_weights(path).sha256 == checksum
    rewrite(path, extra=None)  # the same arrays, written anew and so in another order
    rewrite(path, **{"final.bias": np.ones((1, 1), np.float32)})
    with pytest.raises(SkullImplantError, match="does not match its checksum"):
        load_weights(path)


def test_shipped_weights_need_their_checksum(path, monkeypatch):
    monkeypatch.setattr(resources, "RESOURCES", path.parent)
    with pytest.raises(SkullImplantError, match="none are installed"):
        weights.shipped_weights("small")
    checksums.write_checksum(path)
    assert weights.shipped_weights("small").metadata == METADATA
    for name in ("large", "../small", "population"):
        with pytest.raises(SkullImplantError, match="use one of small"):
            weights.shipped_weights(name)
