"""Other people's networks as machines: diffusers, EDM, and the published checkpoints of Kamb & Ganguli.

Nothing here runs code out of a file: diffusers' weights are read from safetensors only, and the paper's checkpoints
through `smalti.networks.pickled`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smalti.errors import InputError, UsageError
from smalti.networks.backend import digest_of_weights, library, torch_library, usable_device
from smalti.networks.checkpoint import fitted
from smalti.networks.clock import DiscreteTime, SigmaTime
from smalti.networks.models import Net, NetworkConfig, Padding
from smalti.networks.network import Network
from smalti.networks.pickled import read_pickled
from smalti.networks.protocol import NetworkMachine, Predicts, TrainedOn
from smalti.sampling.ddim import DenoiserCorpus

__all__ = ["edm_machine", "open_diffusers", "open_published"]

_PREDICTS: dict[str, Predicts] = {"epsilon": "noise", "sample": "clean", "v_prediction": "v"}
_CHANNELS = 3  # of a UNet2DModel whose settings do not say


def open_published(
    path: Path | str,
    *,
    padding: Padding | None = None,
    labels: tuple[str, ...] | None = None,
    device: str = "cpu",
) -> Network:
    """Opens a checkpoint in the module layout of the paper's published code: a state dict or a whole pickled network.

    Its time is continuous on the cosine schedule, and it predicts noise.

    Args:
        path: a file of `torch.save`. Only its tensors are read; what else it holds is not run.

    Keyword Args:
        padding: zeros or circular; needed where the file is a state dict, which does not say.
        labels: names of its classes, in the order of their numbers; `0`, `1`, ... unless given.
        device: `cpu`, `cuda`, or `cuda:1` and so on.

    Returns:
        The network, on the device.

    Raises:
        InputError: PyTorch is not installed; the file cannot be read, or holds another network, such as one with
            normalisation.
        UsageError: the padding is missing or not that of the file, the labels are not as many as its classes, or there
            is no such device.
    """
    where = usable_device(device)
    read = read_pickled(path)
    weights = {
        name.removeprefix("backbone."): array.astype(np.float32, copy=False)
        for name, array in read.tensors.items()
        if array.dtype.kind == "f"
    }
    said = read.paddings
    if padding is not None and said and said != {padding}:
        raise UsageError(f"{path} holds a network with {' and '.join(sorted(said))} padding, not {padding}.")
    untold = padding is None and len(said) != 1
    # Weights are the same for both, so that a file with another network can be refused before the padding is asked for.
    found: Any = "zeros" if untold else padding or next(iter(said))
    classes = weights.get("embedding.class_embeddings.weight", ())
    if labels is not None and len(labels) != len(classes):
        raise UsageError(f"The network has {len(classes)} classes, and {len(labels)} labels were given.")
    try:
        names = tuple(map(str, range(len(classes)))) if labels is None else labels
        config = _published_config(weights, found, names)
    except (KeyError, ValueError, IndexError) as error:  # a UsageError, for a form that no network has, among them
        raise InputError(f"{path} holds no network in the layout of the paper's code ({error}).") from error
    module = fitted(config, weights, origin=str(path))
    if untold:
        raise UsageError(f"{path} does not say how its network pads pictures: say it (--padding zeros or circular).")
    return Network(config, module.to(where))


def _published_config(weights: dict[str, NDArray[Any]], padding: Padding, labels: tuple[str, ...]) -> NetworkConfig:
    """The form of a network from the shapes of its weights."""
    net: Net
    if "up_projection.weight" in weights:
        net, first, blocks = "resnet", weights["up_projection.weight"], "convs."
    else:
        net, first, blocks = "unet", weights["feature_blocks.0.model.0.weight"], "feature_blocks."
    places = {name.removeprefix(blocks).split(".")[0] for name in weights if name.startswith(blocks)}
    return NetworkConfig(
        net=net,
        padding=padding,
        image_channels=first.shape[1],
        channels=first.shape[0],
        layers=len(places) + (net == "unet"),
        labels=labels,
    )


def open_diffusers(
    folder: Path | str,
    corpus: DenoiserCorpus | None = None,
    *,
    class_number: int | None = None,
    device: str = "cpu",
) -> NetworkMachine:
    """Opens a pipeline folder of diffusers with a `UNet2DModel` and a scheduler with training steps (DDPM, DDIM, ...).

    What it predicts (noise, picture or v), its noise levels, and whether it cuts its estimates, are as its scheduler
    says. `machine.clock` is its own schedule: `DDIM(machine, schedule=machine.clock)` meets its training steps exactly.

    Args:
        folder: the folder with `unet` and `scheduler`; nothing is downloaded.
        corpus: what it was trained on, if known.

    Keyword Args:
        class_number: the class that is asked for; needed where the network has classes.
        device: `cpu`, `cuda`, or `cuda:1` and so on.

    Returns:
        The machine.

    Raises:
        InputError: PyTorch or diffusers is not installed; the folder holds no such pipeline, its weights are not
            safetensors, do not fit or are not finite, or its scheduler has no training steps or thresholds.
        UsageError: the class is missing or not one of the network's, or there is no such device.
    """
    # The folder is looked at first: to load the libraries takes long.
    folder = Path(folder)
    told, settings = (_settings(folder, name) for name in ("scheduler/scheduler_config.json", "unet/config.json"))
    predicts = _PREDICTS.get(str(told.get("prediction_type", "epsilon")))
    if predicts is None or "beta_schedule" not in told or told.get("thresholding"):
        raise InputError(
            f"'{folder}' has the scheduler {told.get('_class_name')}, and only those with training steps that predict "
            "epsilon, sample or v_prediction, without thresholding, can be used."
        )
    if settings.get("_class_name") != "UNet2DModel":
        raise InputError(f"'{folder}' holds a {settings.get('_class_name')}, and only a UNet2DModel can be used.")
    drawn = settings.get("in_channels", _CHANNELS)
    if corpus is not None and drawn != corpus.channels:
        raise UsageError(
            f"The network in '{folder}' draws pictures of {drawn} channel{'' if drawn == 1 else 's'}, and the corpus "
            f"has {corpus.channels}: give the pictures that it was trained on."
        )
    where = usable_device(device)
    diffusers = library("diffusers")
    try:
        scheduler = diffusers.DDPMScheduler.from_config({**told, "_class_name": "DDPMScheduler"})
        module, loading = diffusers.UNet2DModel.from_pretrained(
            folder / "unet",
            local_files_only=True,
            use_safetensors=True,
            output_loading_info=True,
            low_cpu_mem_usage=False,
        )
    except (OSError, ValueError, RuntimeError, TypeError, KeyError, NotImplementedError) as error:
        short = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise InputError(
            f"'{folder}' holds no UNet2DModel with weights in safetensors that diffusers can open ({short})."
        ) from error
    if loading["missing_keys"] or loading["unexpected_keys"] or loading["mismatched_keys"]:
        raise InputError(
            f"'{folder}' holds weights that do not fit its UNet2DModel: it is damaged or of another version."
        )
    _check_finite(module, str(folder))
    module = module.to(where).eval()
    form = module.config
    channels, made = int(form.in_channels), int(form.out_channels)
    # Networks that learn the variance of DDPM's steps return it as further channels.
    with_variance = str(told.get("variance_type", "")).startswith("learned")
    if made != channels * (2 if with_variance else 1) or form.class_embed_type is not None:
        raise InputError(
            f"'{folder}' holds a network from {channels} to {made} channels, with classes of type "
            f"{form.class_embed_type}, which cannot be used as a denoiser."
        )
    _check_class(class_number, form.num_class_embeds or 0)
    if corpus is None:
        side = form.sample_size
        if side is None:
            raise UsageError(f"'{folder}' does not say what size of pictures it makes: give its corpus.")
        height, width = (side, side) if isinstance(side, int) else side
        corpus = TrainedOn("", (height, width), channels)
    torch = torch_library()

    def predict(x: NDArray[np.float32], time: NDArray[np.float32]) -> NDArray[np.float32]:
        labels = None if class_number is None else torch.full((len(x),), class_number, device=where)
        steps = torch.from_numpy(time).to(where).long()
        with torch.inference_mode():
            answer = module(torch.from_numpy(x).to(where), steps, class_labels=labels).sample
        return answer[:, :channels].float().cpu().numpy()

    most = float(told.get("clip_sample_range", 1.0))
    return NetworkMachine(
        predict,
        corpus,
        predicts=predicts,
        clock=DiscreteTime(scheduler.alphas_cumprod.double().numpy(), name="diffusers"),
        name=f"diffusers-{folder.absolute().name}",
        label=None if class_number is None else str(class_number),
        limits=(-most, most) if told.get("clip_sample", True) else None,
        multiple=1 << (len(form.block_out_channels) - 1),
        digest=digest_of_weights(module, {"scheduler": told, "unet": settings}),
    )


def edm_machine(
    denoiser: Any,
    corpus: DenoiserCorpus,
    *,
    class_number: int | None = None,
    name: str = "edm",
    multiple: int = 1,
) -> NetworkMachine:
    """A denoiser D(x; sigma) in the manner of EDM (Karras et al. 2022, 2206.00364) as a machine.

    Args:
        denoiser: called with torch tensors (x, sigma), and `class_labels=` one-hot where it has classes: x = x_0 +
            sigma eps, float32 (B, C, H, W), sigma float32 (B,). It returns its estimate of x_0, in [-1, 1].
        corpus: what it was trained on, or `TrainedOn`.

    Keyword Args:
        class_number: the class that is asked for; needed where `denoiser.label_dim` is not 0.
        name: name, for records.
        multiple: sides of pictures must be multiples of this.

    Raises:
        InputError: PyTorch is not installed, or a weight is not finite.
        UsageError: the class is missing or not one of the denoiser's.
    """
    torch = torch_library()
    where = torch.device("cpu")
    if isinstance(denoiser, torch.nn.Module):
        _check_finite(denoiser, name)
        where = next((weight.device for weight in denoiser.parameters()), where)
        denoiser.eval()
    classes = int(getattr(denoiser, "label_dim", 0) or 0)
    _check_class(class_number, classes)

    def predict(x: NDArray[np.float32], time: NDArray[np.float32]) -> NDArray[np.float32]:
        asked: dict[str, Any] = {}
        if class_number is not None:
            asked["class_labels"] = torch.eye(classes, device=where)[[class_number] * len(x)]
        with torch.inference_mode():
            answer = denoiser(torch.from_numpy(x).to(where), torch.from_numpy(time).to(where), **asked)
        return answer.float().cpu().numpy()

    return NetworkMachine(
        predict,
        corpus,
        predicts="clean",
        clock=SigmaTime(),
        name=name,
        label=None if class_number is None else str(class_number),
        multiple=multiple,
        digest=digest_of_weights(denoiser) if isinstance(denoiser, torch.nn.Module) else "",
    )


def _settings(folder: Path, name: str) -> dict[str, Any]:
    path = folder / name
    if folder.is_dir() and not path.is_file():
        raise InputError(
            f"'{folder}' is a folder, which is taken for a pipeline of diffusers, and holds no {name}: give one with "
            "unet and scheduler in it, or the file of a network."
        )
    try:
        found = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise InputError(
            f"'{path}' cannot be read ({error.strerror or error}): give the folder of a diffusers pipeline, with unet "
            "and scheduler in it."
        ) from error
    except ValueError as error:
        raise InputError(f"'{path}' is not JSON: the pipeline is damaged.") from error
    if not isinstance(found, dict):
        raise InputError(f"'{path}' holds no settings: the pipeline is damaged.")
    return found


def _check_class(number: int | None, classes: int) -> None:
    if classes and (number is None or not 0 <= number < classes):
        raise UsageError(f"The network has {classes} classes and is asked for one of 0 to {classes - 1}, not {number}.")
    if not classes and number is not None:
        raise UsageError(f"The network has no classes and cannot be asked for class {number}.")


def _check_finite(module: Any, origin: str) -> None:
    for name, weight in module.named_parameters():
        if not bool(weight.isfinite().all()):
            raise InputError(f"{origin} is of no use: its weights {name} hold numbers that are not finite.")
