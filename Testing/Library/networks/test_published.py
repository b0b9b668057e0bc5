"""Checkpoints of the published networks: read by name, nothing else is, and trained on from."""

import pickle
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch

from SkullImplantLib.cases.sample import SampleOptions, make_sample_patient
from SkullImplantLib.cases.skull_folder import skulls_in
from SkullImplantLib.core.checksums import sha256_of
from SkullImplantLib.core.images import write_image
from SkullImplantLib.errors import SkullImplantError
from SkullImplantLib.networks.autoencoder import SparseAutoEncoder, named_configuration
from SkullImplantLib.networks.published import published_state_dict, read_published
from SkullImplantLib.networks.weights import load_weights
from SkullImplantLib.training.train import train
from SkullImplantLib.training.training_options import TrainOptions


def published_state(c, seed=0):
    """A random state dict as the published scripts save it, written out from their layers."""
    generator = torch.Generator().manual_seed(seed)
    state = {}

    def convolution(name, *shape, bias=False):
        state[f"{name}.kernel"] = torch.randn(shape, generator=generator)
        if bias:
            state[f"{name}.bias"] = torch.randn((1, shape[-1]), generator=generator)

    def norm(name, width):
        for part in ("weight", "bias", "running_mean", "running_var"):
            state[f"{name}.bn.{part}"] = torch.rand(width, generator=generator)
        state[f"{name}.bn.num_batches_tracked"] = torch.tensor(12)

    def two(name, volume, first, second):
        convolution(f"{name}.0", volume, first, second)
        norm(f"{name}.1", second)
        convolution(f"{name}.3", 27, second, second)
        norm(f"{name}.4", second)

    convolution("enc_block_s1.0", 27, 1, c[0])
    norm("enc_block_s1.1", c[0])
    encoders = ["s1s2", "s2s4", "s4s8", "s8s16", "s16s32", "s32s64"]
    for index, strides in enumerate(encoders):
        two(f"enc_block_{strides}", 8, c[index], c[index + 1])
    decoders = ["s64s32", "s32s16", "s16s8", "s8s4", "s4s2", "s2s1"]
    for index, strides in enumerate(decoders):
        coarse, fine = c[6 - index], c[5 - index]
        two(f"dec_block_{strides}", 64 if index == 0 else 8, coarse, fine)
        convolution(f"dec_{strides[strides.rindex('s') :]}_cls", fine, 1, bias=True)
    convolution("final_out.0", c[0], 1, bias=True)
    return state


def test_published_checkpoints_load_by_name():
    configuration = named_configuration("ch1", skip="add")
    network = SparseAutoEncoder(**asdict(configuration))
    state = published_state(configuration.channels)
    assert sum(v.numel() for n, v in state.items() if "running" not in n and "num" not in n) == (
        434_695
    )
    network.load_state_dict(published_state_dict(state, network))
    loaded = network.state_dict()
    for theirs, ours in (
        ("enc_block_s1.0.kernel", "encoder.0.0.kernel"),
        ("enc_block_s8s16.3.kernel", "encoder.4.1.0.kernel"),
        ("dec_block_s64s32.0.kernel", "decoder.0.up.0.kernel"),
        ("dec_block_s2s1.4.bn.running_var", "decoder.5.refine.1.bn.running_var"),
        ("dec_s16_cls.bias", "decoder.1.classify.bias"),
        ("final_out.0.kernel", "final.kernel"),
    ):
        assert torch.equal(state[theirs], loaded[ours])
    parallel = {f"module.{name}": value for name, value in state.items()}
    assert torch.equal(published_state_dict(parallel, network)["final.bias"], loaded["final.bias"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("dec_s4_cls.bias"), "has nothing where"),
        (lambda s: s.update({"unet.0.weight": torch.zeros(1)}), "not of the published"),
        (lambda s: s.update({"final_out.0.gain": torch.zeros(1)}), "which the network lacks"),
        (lambda s: s.update({"final_out.0.bias": torch.zeros(1, 2)}), r"has \(1, 2\)"),
    ],
)
def test_other_checkpoints_are_refused(change, message):
    configuration = named_configuration("ch1")
    network = SparseAutoEncoder(**asdict(configuration))
    state = published_state(configuration.channels)
    change(state)
    with pytest.raises(SkullImplantError, match=message):
        published_state_dict(state, network)


def ch1():
    return SparseAutoEncoder(**asdict(named_configuration("ch1")))


@pytest.mark.parametrize("wrapped", [False, True])
def test_a_checkpoint_is_read_from_its_file(tmp_path, wrapped):
    state = published_state(ch1().configuration.channels)
    path = tmp_path / "skull_completion.pth"
    torch.save({"state_dict": state, "epoch": 3} if wrapped else state, path)
    read = read_published(path, ch1())
    assert torch.equal(read["final.kernel"], state["final_out.0.kernel"])


class Boom:
    def __reduce__(self):
        return print, ("this must not run",)


@pytest.mark.parametrize("what", ["code", "damaged", "list", "numbers"])
def test_what_is_no_checkpoint_is_refused_and_not_run(tmp_path, capsys, what):
    path = tmp_path / "model.pth"
    if what == "code":
        path.write_bytes(pickle.dumps({"state_dict": Boom()}))
    elif what == "damaged":
        path.write_bytes(b"PK not really")
    else:
        torch.save([1, 2] if what == "list" else {"a": 1}, path)
    with pytest.raises(SkullImplantError, match=r"model\.pth .*; save .*\.$"):
        read_published(path, ch1())
    assert "must not run" not in capsys.readouterr().out


@pytest.mark.slow
def test_a_training_starts_from_a_checkpoint(tmp_path: Path) -> None:
    skulls = tmp_path / "skulls"
    skulls.mkdir()
    patient = make_sample_patient(0, SampleOptions(spacing_mm=(2.5, 2.5, 2.5)))
    write_image(patient.complete, skulls / "head.nrrd")
    options = TrainOptions(
        network="ch1", channels=("skull",), residual=False, spacing_mm=8.0, cases_per_skull=1,
        iterations=1, validation_share=0.0, flaws=0.0, learning_rate=1e-9,
        start=str(tmp_path / "skull_completion.pth"),
    )  # fmt: skip
    state = published_state(ch1().configuration.channels)
    torch.save(state, options.start)
    path = train(skulls_in(skulls), tmp_path / "out", options)
    made = load_weights(path)
    learnt = made.state["encoder.1.0.0.kernel"]
    torch.testing.assert_close(learnt, state["enc_block_s1s2.0.kernel"], atol=1e-6, rtol=0)
    assert made.metadata["started_from"]["sha256"] == sha256_of(Path(options.start))
    card = path.with_suffix(".md").read_text()
    assert "`skull_completion.pth`" in card and "skulls that it does not name" in card
    with pytest.raises(SkullImplantError, match="train the network ch1 or ch2"):
        train(skulls_in(skulls), tmp_path / "fine", replace(options, network="fine"))
    with pytest.raises(SkullImplantError, match="choose the configuration with its channels"):
        train(skulls_in(skulls), tmp_path / "more", replace(options, channels=("skull", "prior")))
