"""`fewshot doctor`: what this installation has, and the command that gets what it lacks."""

from pathlib import Path

from fewshot import __version__
from fewshot.cli.shared import DataOption

OPTIONAL = {
    "plotly": "pip install 'fewshot[report]'",
    "jinja2": "pip install 'fewshot[report]'",
    "ray": "pip install 'fewshot[ray]'",
    "numba": "pip install 'fewshot[winograd]'",
    "sklearn": "pip install 'fewshot[dev]'",
}
PACKAGE_OF = {"sklearn": "scikit-learn"}


def doctor(data: DataOption = None) -> None:
    """Print versions, machine, data sets and optional parts, with how to get what is missing."""
    import torch

    from fewshot import machine
    from fewshot.backbones.convolutions import WITHOUT_BF16
    from fewshot.data import data_dir

    emulated = f"emulated: {WITHOUT_BF16}"
    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    about = machine.describe(torch.device("cpu"))
    packages = {k: v for k, v in about["versions"].items() if k not in OPTIONAL}
    optional = {
        name: machine.package_version(PACKAGE_OF.get(name, name)) or f"missing: {how}"
        for name, how in OPTIONAL.items()
    }
    versions = {"fewshot": __version__, "python": about["python"], **packages}
    lines = [
        "versions",
        *(f"  {name:12} {version or 'missing'}" for name, version in versions.items()),
        "machine",
        f"  {'processor':12} {about['processor']}",
        f"  {'cores':12} {about['cores']} ({about['threads']} torch threads)",
        f"  {'memory':12} {about['memory_gb']} GB",
        f"  {'gpu':12} {', '.join(gpus) or 'none'}",
        f"  {'bf16':12} {'in hardware' if machine.computes_bf16() else emulated}",
        f"data in {data_dir(data)}",
        *(f"  {name:12} {state}" for name, state in _data_states(data).items()),
        "optional parts",
        *(f"  {name:12} {state}" for name, state in optional.items()),
    ]
    print("\n".join(lines))


def _data_states(data: Path | None) -> dict[str, str]:
    from fewshot.data import available, data_dir
    from fewshot.data.catalogue import known_datasets

    present, datasets = available(data_dir(data)), known_datasets()
    states = {}
    for name, source in datasets.items():
        if name in present:
            states[name] = "present"
        elif source.drawn:
            states[name] = "drawn when first used"
        else:
            states[name] = f"missing: fewshot data fetch {name}, or import {name} SOURCE"
    return states | {name: "present" for name in present if name not in datasets}
