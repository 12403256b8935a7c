"""ONNX by onnxruntime and torch.export's program give what the library gives, for clips of any length."""

import json
import warnings

import pytest
import torch

from m2d import load_pretrained, save_pretrained
from m2d.audio.logmel import LogMel, LogMelConfig
from m2d.bin import export_onnx as export
from m2d.common.cli import parse
from m2d.nn.encoder import Encoder
from m2d.nn.encoder_config import EncoderConfig
from m2d.pretrained.features import M2DFeatures
from m2d.pretrained.graph import LogMelGraph
from m2d.pretrained.heads import Classifier
from m2d.pretrained.onnx import export_onnx, export_program

LENGTHS = [[16000], [100], [1, 47000, 160, 80000], [15359, 15360, 15361], [3000, 250]]
"""Samples of the clips of each batch, for a model of 0.96 s: within it, at its edge, several times as long."""


@pytest.fixture(scope="module")
def model():
    """98 frames: the model's input ends with a rest shorter than a patch."""
    torch.manual_seed(0)
    encoder = Encoder(EncoderConfig((80, 98), (40, 4), 1, 32, 2, 4))
    return M2DFeatures(encoder, LogMelConfig(), -7.1, 4.2).eval()


@pytest.fixture(scope="module")
def run(model, tmp_path_factory):
    """Runs of the two ONNX files: takes waveforms if `audio`, else log-mels."""
    import onnxruntime

    sessions = {}
    for audio in (True, False):
        path = tmp_path_factory.mktemp("onnx") / "model.onnx"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            export_onnx(model, path, audio)
        assert [other.name for other in path.parent.iterdir()] == ["model.onnx"]
        sessions[audio] = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])

    def run(audio, x, lengths):
        inputs = {"audio" if audio else "logmel": x.numpy(), "lengths": torch.tensor(lengths).numpy()}
        return [torch.from_numpy(output) for output in sessions[audio].run(None, inputs)]
    return run


def clips(lengths, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [0.1 * torch.randn(samples, generator=generator) for samples in lengths]


def padded(rows, value=5.0):
    return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=value)


def agree(outputs, expected, tolerance=1e-4):
    layers, clip, counts = outputs
    torch.testing.assert_close(layers, torch.stack(expected.layers).detach(), rtol=0, atol=tolerance)
    torch.testing.assert_close(clip, expected.clip.detach(), rtol=0, atol=tolerance)
    assert torch.equal(counts, expected.lengths)


@pytest.mark.parametrize("lengths", LENGTHS)
def test_onnx_of_waveforms(model, run, lengths):
    wavs = clips(lengths)
    agree(run(True, padded(wavs), lengths), model(wavs))


def test_onnx_of_random_lengths(model, run):
    generator = torch.Generator().manual_seed(7)
    for seed in range(10):
        lengths = torch.randint(1, 60000, (int(torch.randint(1, 4, (), generator=generator)),), generator=generator)
        wavs = clips(lengths.tolist(), seed)
        agree(run(True, padded(wavs), lengths.tolist()), model(wavs))


@pytest.mark.parametrize("lengths", LENGTHS)
def test_onnx_of_logmels(model, run, lengths):
    logmels = [(model.logmel(wav) - model.mean) / model.std for wav in clips(lengths)]
    x = padded([logmel.T for logmel in logmels]).transpose(1, 2).contiguous()
    agree(run(False, x, [logmel.shape[1] for logmel in logmels]), model.encode(logmels))


def test_program_of_torch_export(model, tmp_path):
    export_program(model, tmp_path / "model.pt2")
    program = torch.export.load(tmp_path / "model.pt2").module()
    for lengths in LENGTHS:
        wavs = padded(clips(lengths))
        wavs = torch.nn.functional.pad(wavs, (0, max(0, 2 * model.samples_per_frame - wavs.shape[1])))
        layers, clip, counts = program(wavs, torch.tensor(lengths))
        agree((layers[:, :, :int(counts.max())], clip, counts), model(clips(lengths)))


def test_the_command(model, tmp_path):
    save_pretrained(model, tmp_path / "model")
    export.main(parse(export.Options, "", [f"model={tmp_path}/model", f"out={tmp_path}/x.pt2", "audio=false"]))
    logmels = [torch.randn(80, 50)]
    program = torch.export.load(tmp_path / "x.pt2").module()
    agree(program(logmels[0][None], torch.tensor([50])), model.encode(logmels))


def test_compiled_by_aotinductor(tmp_path):
    """One block, to compile quickly."""
    encoder = Encoder(EncoderConfig((16, 24), (16, 4), 1, 8, 1, 2))
    save_pretrained(M2DFeatures(encoder, LogMelConfig(n_mels=16), -7.1, 4.2), tmp_path / "model")
    export.main(parse(export.Options, "", [f"model={tmp_path}/model", f"out={tmp_path}/x.aoti.pt2", "audio=false"]))
    compiled = torch._inductor.aoti_load_package(str(tmp_path / "x.aoti.pt2"))
    for frames in (8, 24, 61):
        logmels = [torch.randn(16, frames)]
        agree(compiled(logmels[0][None], torch.tensor([frames])), load_pretrained(tmp_path / "model").encode(logmels))


def test_the_model_is_left_as_it_is(model, tmp_path):
    model.train()
    model.encoder.transformer.blocks[0].eval()
    before = [module.training for module in model.modules()]
    parameters = {name: (value.data_ptr(), value.device) for name, value in model.named_parameters()}
    export_program(model, tmp_path / "model.pt2", audio=False)
    assert [module.training for module in model.modules()] == before
    assert {name: (value.data_ptr(), value.device) for name, value in model.named_parameters()} == parameters
    model.eval()


@pytest.mark.parametrize("name", ["flat", "frames"])
def test_onnx_of_a_classifier(model, tmp_path, name):
    """Its probabilities are another output, its classes lie in the file."""
    import onnxruntime

    width, exclusive = {"flat": (32, False), "frames": (64, True)}[name]
    head = Classifier(width, ["dog", "rain", "siren"], exclusive, seconds=0.5)
    tagger = M2DFeatures(model.encoder, LogMelConfig(), -7.1, 4.2, head).eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        export_onnx(tagger, tmp_path / "tagger.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "tagger.onnx", providers=["CPUExecutionProvider"])
    metadata = session.get_modelmeta().custom_metadata_map
    assert json.loads(metadata["classes"]) == head.names
    assert (metadata["sampling_rate"], metadata["seconds"]) == ("16000", "0.5")
    wavs = clips([47000, 8000, 30000])
    outputs = session.run(None, {"audio": padded(wavs).numpy(), "lengths": torch.tensor([47000, 8000, 30000]).numpy()})
    torch.testing.assert_close(torch.from_numpy(outputs[3]), tagger.tag(wavs).probabilities, rtol=0, atol=1e-4)


def test_logmel_is_exact():
    """As a computation in float64: also beside a tone far above its neighbours, where float32 is 1e-3 off."""
    wav = 0.9 * torch.sin(torch.arange(8000) * 0.2) + 1e-4 * clips([8000])[0]
    logmel, frames = LogMelGraph(LogMel())(wav[None], torch.tensor([8000]))
    padded = torch.nn.functional.pad(wav[None, None].double(), (200, 200), mode="reflect")[0, 0]
    power = torch.fft.rfft(padded.unfold(0, 400, 160) * LogMel().window).abs() ** 2
    exact = (power @ LogMel().mel.double() + 1.1920929e-7).log()
    assert frames.tolist() == [51]
    torch.testing.assert_close(logmel[0].double(), exact, rtol=0, atol=2e-5)
