"""Other people's networks, each made small here, saved as they are saved, and opened: the same answers come back."""

from __future__ import annotations

import copy
import io
import json
import sys
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from network_cases import made, small, tiny_pictures, torch
from smalti import DDIM, Ideal, ImageCorpus, InputError, UsageError, schedule
from smalti.networks import Net, TrainedOn, edm_machine, open_diffusers, open_published
from smalti.networks.pickled import read_pickled
from smalti.noise import gaussian_state

LEVEL = schedule("cosine").level(0.5)


# The paper's checkpoints: whole modules, pickled


class DDIMOfThePaper(torch.nn.Module):
    """What the published code wraps its networks in."""

    def __init__(self, backbone: Any) -> None:
        super().__init__()
        self.in_channels = 1
        self.backbone = backbone
        self.noise_schedule = np.cos  # a function, which is pickled by its name


@pytest.mark.parametrize("net", ["resnet", "unet"])
@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("labels", [(), ("0", "1", "2")])
def test_published_checkpoints_open(net: Net, whole: bool, labels: tuple[str, ...], tmp_path: Path) -> None:
    config = small(net, padding="circular", labels=labels)
    module = made(config).float()
    path = tmp_path / "backbone.pt"
    torch.save(DDIMOfThePaper(module) if whole else module.state_dict(), path)
    opened = open_published(path, padding=None if whole else "circular")
    assert opened.config == config
    corpus = tiny_pictures(side=8)
    machine = opened.machine(corpus, label="1" if labels else None)
    x = gaussian_state((2, 8, 8, 1), seed=0, purpose="test")
    classes = torch.tensor([1, 1]) if labels else None
    with torch.no_grad():
        told = torch.full((2,), 0.5)
        eps = module(torch.tensor(x.transpose(0, 3, 1, 2) / 4080, dtype=torch.float32), told, classes)
    expected = (x / 4080 - LEVEL.noise * eps.permute(0, 2, 3, 1).double().numpy()) / LEVEL.signal
    assert np.array_equal(machine(x, LEVEL).mean, expected)
    assert DDIM(machine, steps=2)(seeds=[0]).images.shape == (1, 8, 8, 1)


def test_the_names_of_weights_are_the_published_ones() -> None:
    # As the published code names them: smalti must not rename its own without an adapter for theirs.
    resnet, unet = (set(made(small(net, labels=("a", "b"))).state_dict()) for net in ("resnet", "unet"))
    parts = ["embedding.class_embeddings.weight"]
    parts += [f"{name}.{kind}" for name in ("up_projection", "down_projection") for kind in ("weight", "bias")]
    parts += [f"embs.{i}.{j}.{kind}" for i in range(3) for j in range(2) for kind in ("weight", "bias")]
    parts += [f"convs.{i}.0.{kind}" for i in range(2) for kind in ("weight", "bias")]
    assert resnet == set(parts)
    parts = ["embedding.class_embeddings.weight"]
    blocks = ("feature_blocks.0", "bottleneck", "output_blocks.0")
    inner = ("emb.1", "model.0", "model.2")
    names = [*(f"{block}.{name}" for block in blocks for name in inner), "upsamples.0", "last_emb.1", "output_conv"]
    parts += [f"{name}.{kind}" for name in names for kind in ("weight", "bias")]
    assert unet == set(parts)


def test_shared_strided_and_half_precision_tensors_come_back(tmp_path: Path) -> None:
    base = torch.arange(24.0).reshape(4, 6)
    tensors = {
        "whole": base,
        "turned": base.T,
        "part": base[1:3, ::2],
        "half": base.half(),
        "number": torch.tensor(3),
        "none": torch.zeros(0, 3),
        "weight": torch.nn.Parameter(base[0]),
    }
    torch.save(tensors, tmp_path / "a.pt")
    found = read_pickled(tmp_path / "a.pt").tensors
    assert set(found) == set(tensors)
    for name, tensor in tensors.items():
        assert np.array_equal(found[name], tensor.detach().numpy()), name
        assert found[name].dtype == tensor.detach().numpy().dtype


class Bomb:
    """Writes a file when it is unpickled as pickles usually are."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.write_text, (self.path, "boom")


def test_code_in_a_published_checkpoint_is_not_run(tmp_path: Path) -> None:
    module = DDIMOfThePaper(made(small()).float())
    module.bomb = Bomb(tmp_path / "mark")  # pyright: ignore[reportAttributeAccessIssue]
    torch.save(module, tmp_path / "a.pt")
    assert open_published(tmp_path / "a.pt").config == small()
    torch.save({"a": torch.zeros(1), "b": Bomb(tmp_path / "mark")}, tmp_path / "b.pt")
    assert set(read_pickled(tmp_path / "b.pt").tensors) == {"a"}
    assert not (tmp_path / "mark").exists()


def rewritten(path: Path, *, compression: int = zipfile.ZIP_STORED, short: int = 0) -> Path:
    """A copy of a file of torch.save, compressed, or with storages cut short."""
    out = path.with_name("rewritten.pt")
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(out, "w", compression) as new:
        for member in old.infolist():
            content = old.read(member)
            new.writestr(member.filename, content[: len(content) - short] if "/data/" in member.filename else content)
    return out


def test_damaged_and_hostile_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.pt"
    torch.save({"a": torch.zeros(100)}, path)
    for hostile in (rewritten(path, compression=zipfile.ZIP_DEFLATED), rewritten(path, short=40)):
        with pytest.raises(InputError, match="is not a PyTorch file with the tensors of a network, or it is damaged"):
            read_pickled(hostile)
    for content in (b"", b"hello", path.read_bytes()[:-30]):
        (tmp_path / "b.pt").write_bytes(content)
        with pytest.raises(InputError, match="is not a PyTorch file"):
            read_pickled(tmp_path / "b.pt")
    for thing in ([1, 2], "text", {"a": 1}, Bomb(tmp_path / "mark")):
        torch.save(thing, path)
        with pytest.raises(InputError, match="is not a PyTorch file"):
            read_pickled(path)
    with pytest.raises(InputError, match=r"none\.pt cannot be read \(No such file"):
        read_pickled(tmp_path / "none.pt")
    assert not (tmp_path / "mark").exists()


@pytest.mark.parametrize(
    ("offset", "size", "stride"),
    [
        (0, (101,), (1,)),
        (90, (11,), (1,)),
        (0, (10, 10), (10, 2)),
        (0, (1000,), (0,)),
        (-1, (2,), (1,)),
        (0, (2,), (-1,)),
    ],
)
def test_a_tensor_never_reaches_beyond_its_storage(
    offset: int, size: tuple[int, ...], stride: tuple[int, ...], tmp_path: Path
) -> None:
    class Sly:
        def __init__(self, tensor: Any) -> None:
            self.tensor = tensor

        def __reduce__(self) -> tuple[Any, ...]:
            rebuild, (storage, *_, grad, hooks) = self.tensor.__reduce_ex__(2)
            return rebuild, (storage, offset, size, stride, grad, hooks)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns of typed storages, which are in its own format
        torch.save({"a": Sly(torch.arange(100.0))}, tmp_path / "a.pt")
    with pytest.raises(InputError, match=r"than its storage|beyond its storage"):
        read_pickled(tmp_path / "a.pt")


def test_published_checkpoints_of_another_form_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.pt"
    weights = made(small(labels=("a", "b"))).float().state_dict()
    torch.save(weights, path)
    with pytest.raises(
        UsageError, match=r"does not say how its network pads pictures: say it \(--padding zeros or circular\)"
    ):
        open_published(path)
    with pytest.raises(UsageError, match="has 2 classes, and 3 labels were given"):
        open_published(path, padding="zeros", labels=("a", "b", "c"))
    torch.save(made(small()).float(), path)
    with pytest.raises(UsageError, match="holds a network with zeros padding, not circular"):
        open_published(path, padding="circular")
    torch.save({**weights, "convs.0.1.weight": torch.zeros(16)}, path)
    with pytest.raises(InputError, match=r"weights too many: convs\.0\.1\.weight"):
        open_published(path, padding="zeros")
    torch.save({**weights, "down_projection.weight": torch.zeros(1, 16, 1, 1)}, path)
    with pytest.raises(InputError, match=r"down_projection\.weight are float32 of shape \(1, 16, 1, 1\)"):
        open_published(path, padding="zeros")
    torch.save({**weights, "up_projection.bias": torch.full((16,), torch.nan)}, path)
    with pytest.raises(InputError, match=r"up_projection\.bias hold numbers that are not finite"):
        open_published(path, padding="zeros")
    torch.save({"a": torch.zeros(3)}, path)
    for padding in (None, "zeros"):
        with pytest.raises(InputError, match="no network in the layout of the paper's code"):
            open_published(path, padding=padding)
    torch.save({"up_projection.weight": torch.zeros(16, 1, 3, 3), "head.weight": torch.zeros(3)}, path)
    with pytest.raises(InputError, match=r"in the layout of the paper's code \(The layers are"):
        open_published(path)


# EDM


class EDMOfIdeal(torch.nn.Module):
    """D(x; sigma) of the ideal machine, with EDM's call: x = x_0 + sigma eps."""

    def __init__(self, corpus: ImageCorpus) -> None:
        super().__init__()
        self.items = torch.tensor(corpus.images.transpose(0, 3, 1, 2) / 127.5 - 1.0)

    def forward(self, x: Any, sigma: Any) -> Any:
        assert sigma.shape == (len(x),)
        assert x.dtype == sigma.dtype == torch.float32
        squares = ((x.double()[:, None] - self.items[None]) ** 2).sum(dim=(2, 3, 4))
        weights = torch.softmax(-squares / (2.0 * sigma.double()[:, None] ** 2), dim=1)
        return torch.einsum("bn,nchw->bchw", weights, self.items).float()


def test_an_edm_denoiser_is_the_ideal_machine(few_digits: ImageCorpus) -> None:
    machine = edm_machine(EDMOfIdeal(few_digits), few_digits)
    ideal = Ideal(few_digits)
    state = gaussian_state((3, 8, 8, 1), seed=1, purpose="test")
    for level in (*schedule("edm").grid(5)[:3], LEVEL):
        # Logits are sums of 64 squares, up to 1e4 times the softmax's own scale; float32 input costs 2^-24 of them.
        assert np.abs(machine(state, level).mean - ideal(state, level).mean).max() < 1e-2
    trace = DDIM(machine, steps=20)(seeds=range(2))
    assert np.array_equal(trace.images, DDIM(ideal, steps=20)(seeds=range(2)).images)


def test_classes_of_an_edm_denoiser_are_one_hot() -> None:
    class Classes(torch.nn.Module):
        label_dim = 3

        def forward(self, x: Any, sigma: Any, class_labels: Any) -> Any:
            assert class_labels.shape == (len(x), 3)
            return x * 0 + class_labels.argmax(dim=1)[:, None, None, None]

    trained = TrainedOn("", (4, 4), 1)
    machine = edm_machine(Classes(), trained, class_number=2)
    assert (machine(np.zeros((2, 4, 4, 1), np.int16), LEVEL).mean == 2.0).all()
    for number in (None, 3):
        with pytest.raises(UsageError, match=f"has 3 classes and is asked for one of 0 to 2, not {number}"):
            edm_machine(Classes(), trained, class_number=number)
    with pytest.raises(UsageError, match="has no classes and cannot be asked for class 1"):
        edm_machine(lambda x, sigma: x, trained, class_number=1)
    broken = torch.nn.Conv2d(1, 1, 1)
    with torch.no_grad():
        broken.weight.fill_(torch.nan)
    with pytest.raises(InputError, match="edm is of no use: its weights weight hold numbers that are not finite"):
        edm_machine(broken, trained)


# diffusers


@pytest.fixture(scope="module")
def unet() -> Any:
    diffusers = pytest.importorskip("diffusers", reason="diffusers is not installed")
    torch.manual_seed(0)
    return diffusers.UNet2DModel(
        sample_size=8,
        in_channels=1,
        out_channels=1,
        layers_per_block=1,
        block_out_channels=(8, 8),
        norm_num_groups=4,
        down_block_types=("DownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "UpBlock2D"),
        num_class_embeds=3,
    ).eval()


def saved(folder: Path, unet: Any, scheduler: Any) -> Path:
    """A pipeline's folder."""
    unet.save_pretrained(folder / "unet")
    scheduler.save_pretrained(folder / "scheduler")
    return folder


@pytest.mark.parametrize("prediction", ["epsilon", "sample", "v_prediction"])
@pytest.mark.parametrize("kind", ["DDPMScheduler", "DDIMScheduler"])
def test_diffusers_estimates_the_same_picture(unet: Any, prediction: str, kind: str, tmp_path: Path) -> None:
    diffusers = pytest.importorskip("diffusers")
    scheduler = diffusers.DDIMScheduler(prediction_type=prediction, clip_sample=prediction == "epsilon")
    machine = open_diffusers(
        saved(tmp_path, unet, getattr(diffusers, kind).from_config(scheduler.config)), class_number=1
    )
    assert (machine.corpus.size, machine.corpus.channels, machine.label) == ((8, 8), 1, "1")
    clock: Any = machine.clock
    scheduler.set_timesteps(1000)
    state = gaussian_state((2, 8, 8, 1), seed=0, purpose="test")
    x = torch.tensor(state / 4080, dtype=torch.float32).permute(0, 3, 1, 2)
    for level in clock.grid(5):
        step = int(clock.time(level))
        with torch.no_grad():
            answer = unet(x, step, class_labels=torch.tensor([1, 1])).sample
            estimate = scheduler.step(answer, step, x).pred_original_sample.permute(0, 2, 3, 1).numpy()
        found = machine(state, level)
        assert np.abs(found.mean).max() <= 1.0 or prediction != "epsilon"
        # diffusers computes in float32: a few roundings of x and of the answer, divided by the signal.
        allowed = 16 * 2.0**-24 * (1.0 + answer.abs().max().item() + x.abs().max().item()) / level.signal
        assert np.abs(found.mean - estimate).max() < allowed
    assert DDIM(machine, steps=3, schedule=clock)(seeds=[0]).images.shape == (1, 8, 8, 1)


def test_a_network_that_learns_the_variance_too_is_asked_for_the_noise(unet: Any, tmp_path: Path) -> None:
    diffusers = pytest.importorskip("diffusers")
    both = diffusers.UNet2DModel.from_config({**unet.config, "out_channels": 2, "num_class_embeds": None}).eval()
    folder = saved(tmp_path, both, diffusers.DDPMScheduler(variance_type="learned_range", clip_sample=False))
    machine = open_diffusers(folder)
    clock: Any = machine.clock
    level = clock.grid(2)[1]
    state = gaussian_state((1, 8, 8, 1), seed=0, purpose="test")
    with torch.no_grad():
        x = torch.tensor(state.transpose(0, 3, 1, 2) / 4080, dtype=torch.float32)
        noise = both(x, 499).sample[:, :1].permute(0, 2, 3, 1).double().numpy()
    assert np.array_equal(machine(state, level).mean, (state / 4080 - level.noise * noise) / level.signal)
    # The same network with a scheduler that expects noise alone is no denoiser.
    diffusers.DDPMScheduler().save_pretrained(folder / "scheduler")
    with pytest.raises(InputError, match="holds a network from 1 to 2 channels, with classes of type None"):
        open_diffusers(folder)


def pipeline_settings(folder: Path, **unet: Any) -> Path:
    """A pipeline's folder without weights."""
    for name, content in (
        ("unet/config.json", {"_class_name": "UNet2DModel", **unet}),
        ("scheduler/scheduler_config.json", {"_class_name": "DDPMScheduler", "beta_schedule": "linear"}),
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(json.dumps(content))
    return folder


def test_folders_are_looked_at_before_any_library_is_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("torch", "diffusers"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(
        InputError,
        match=r"is taken for a pipeline of diffusers, and holds no scheduler/scheduler_config\.json:",
    ):
        open_diffusers(tmp_path)
    folder = pipeline_settings(tmp_path / "a", in_channels=1)
    colour = ImageCorpus.from_arrays(np.zeros((2, 8, 8, 3), np.uint8))
    with pytest.raises(UsageError, match="draws pictures of 1 channel, and the corpus has 3: give the pictures"):
        open_diffusers(folder, colour)
    # UNet2DModel has 3 unless its settings say otherwise.
    with pytest.raises(UsageError, match="draws pictures of 3 channels, and the corpus has 1: give the pictures"):
        open_diffusers(pipeline_settings(tmp_path / "b"), tiny_pictures())
    with pytest.raises(InputError, match="A network needs PyTorch"):
        open_diffusers(folder, tiny_pictures())
    (folder / "unet" / "config.json").unlink()
    with pytest.raises(InputError, match=r"and holds no unet/config\.json: "):
        open_diffusers(folder)


def test_diffusers_folders_that_cannot_be_used_are_refused(unet: Any, tmp_path: Path) -> None:
    diffusers = pytest.importorskip("diffusers")
    folder = saved(tmp_path / "a", unet, diffusers.DDPMScheduler())
    with pytest.raises(UsageError, match="has 3 classes and is asked for one of 0 to 2, not None"):
        open_diffusers(folder)
    told = folder / "scheduler" / "scheduler_config.json"
    good = json.loads(told.read_text())
    for change in ({"thresholding": True}, {"prediction_type": "flow"}):
        told.write_text(json.dumps({**good, **change}))
        with pytest.raises(InputError, match="has the scheduler DDPMScheduler, and only those with training steps"):
            open_diffusers(folder, class_number=0)
    diffusers.ScoreSdeVeScheduler().save_pretrained(folder / "scheduler")
    with pytest.raises(InputError, match="has the scheduler ScoreSdeVeScheduler, and only those with training steps"):
        open_diffusers(folder, class_number=0)
    told.write_text("{")
    with pytest.raises(InputError, match=r"scheduler_config\.json' is not JSON"):
        open_diffusers(folder, class_number=0)
    told.write_text(json.dumps(good))

    sizeless = diffusers.UNet2DModel.from_config({**unet.config, "sample_size": None})
    with pytest.raises(UsageError, match="does not say what size of pictures it makes: give its corpus"):
        open_diffusers(saved(tmp_path / "c", sizeless, diffusers.DDPMScheduler()), class_number=0)

    broken = copy.deepcopy(unet)
    with torch.no_grad():
        broken.conv_in.weight.fill_(torch.nan)
    with pytest.raises(InputError, match=r"is of no use: its weights conv_in\.weight"):
        open_diffusers(saved(tmp_path / "b", broken, diffusers.DDPMScheduler()), class_number=0)

    weights = folder / "unet" / "diffusion_pytorch_model.safetensors"
    pickled = io.BytesIO()
    torch.save(unet.state_dict(), pickled)
    weights.unlink()
    (folder / "unet" / "diffusion_pytorch_model.bin").write_bytes(pickled.getvalue())
    with pytest.raises(InputError, match="holds no UNet2DModel with weights in safetensors"):
        open_diffusers(folder, class_number=0)
