"""`fewshot data`: images come into a store; and `fewshot episodes`: how they look."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from fewshot.cli.shared import DataOption, say

NameArgument = Annotated[str, typer.Argument(help="A name, or FILE.py:NAME of a DataSource.")]
data_app = typer.Typer(
    help="Import, fetch and describe data sets.", no_args_is_help=True, rich_markup_mode=None
)


@data_app.command("import")
def data_import(
    name: NameArgument,
    source: Annotated[Path, typer.Argument(help="A folder, zip, tar or file, of any known form.")],
    data: DataOption = None,
    size: Annotated[int | None, typer.Option(min=8, help="Edge in pixels, if another.")] = None,
    resample: Annotated[
        str | None, typer.Option(help="How images of another size are changed: lanczos, ...")
    ] = None,
    lists: Annotated[
        Path | None, typer.Option(help="Folder of train.csv, val.csv, test.csv naming images.")
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(help="Own folders: TRAIN/VAL/TEST shares or a TOML file."),
    ] = None,
) -> None:
    """Pack images into a store; the form they are in is recognised by their files' names."""
    from fewshot.data import data_dir, dataset_info, import_dataset
    from fewshot.data.catalogue import with_dataset

    name, datasets = with_dataset(name)
    import_dataset(
        name,
        source,
        data_dir(data),
        datasets,
        size=size,
        split=split,
        resample=resample,
        lists=lists,
        say=say,
    )
    _print_info(dataset_info(name, data_dir(data), datasets))


@data_app.command("fetch")
def data_fetch(name: NameArgument, data: DataOption = None) -> None:
    """Download a data set from the first mirror that has it, and import it."""
    from fewshot.data import data_dir, dataset_info, fetch_dataset
    from fewshot.data.catalogue import with_dataset

    name, datasets = with_dataset(name)
    fetch_dataset(name, data_dir(data), datasets, say)
    _print_info(dataset_info(name, data_dir(data), datasets))


@data_app.command("verify")
def data_verify(name: str, data: DataOption = None) -> None:
    """Read every image of a store again and compare with its fingerprint."""
    from fewshot.data import data_dir, verify_dataset
    from fewshot.data.catalogue import known_datasets

    verify_dataset(name, data_dir(data), known_datasets())
    print(f"{name}: every image is as it was imported")


@data_app.command("info")
def data_info(
    name: Annotated[str | None, typer.Argument()] = None, data: DataOption = None
) -> None:
    """Say what is in the store of a data set, or of all."""
    from fewshot.data import available, data_dir, dataset_info
    from fewshot.data.catalogue import known_datasets

    names = [name] if name else available(data_dir(data))
    if not names:
        say(f"no data sets in {data_dir(data)}")
    for each in names:
        _print_info(dataset_info(each, data_dir(data), known_datasets()))


def episodes(
    name: Annotated[str, typer.Argument(help="A data set: see `list datasets`.")],
    out: Annotated[Path, typer.Option(help="Ends in .png, .svg or .pdf.")] = Path("episodes.png"),
    split: Annotated[
        Literal["train", "val", "test"], typer.Option(help="Whose classes.")
    ] = "train",
    count: Annotated[int, typer.Option("--episodes", min=1, help="How many, from the first.")] = 2,
    way: Annotated[int, typer.Option(min=1, help="Classes.")] = 5,
    shot: Annotated[int, typer.Option(min=1, help="Support images a class.")] = 5,
    query: Annotated[int, typer.Option(min=1, help="Query images a class.")] = 15,
    seed: Annotated[int, typer.Option(min=0, help="As scoring.episode_seed.")] = 0,
    data: DataOption = None,
) -> None:
    """Draw the first episodes of a data set as one picture; prints its file."""
    import fewshot
    from fewshot.reporting.episode_picture import write_episodes

    source = fewshot.open_split(name, split, data=data)
    write_episodes(source, fewshot.EpisodeShape(way, shot, query), seed, count, out)
    print(out)


def _print_info(info: dict[str, object]) -> None:
    width = max(map(len, info))
    for key, value in info.items():
        if isinstance(value, dict):
            value = ", ".join(f"{part} {count}" for part, count in value.items())
        print(f"{key:{width}}  {value}")
