"""Reads ImageNet's photographs by lists that name them: train.csv, val.csv and test.csv.

miniImageNet was first given out so. Of the lists there are two kinds: that of Ravi and Larochelle
names files by class and number (n0153282900000005.jpg), which only copies of their own folder
have; the other gives the names of ILSVRC-2012 (n01532829_20457.JPEG), from which anyone who has
that can make the data set.
"""

import csv
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace

from fewshot.data.sources.forms import SplitFiles, split_files
from fewshot.data.sources.images import find_images, read_class_folders
from fewshot.data.sources.source import Asked, Form, Reading
from fewshot.data.untrusted.files import Files
from fewshot.errors import UserError

COLUMNS = (("filename", "label"), ("image_name", "class_name"))
find_lists = split_files(r"{split}\.csv")


def read_listed(files: Files, names: Sequence[str], asked: Asked) -> Reading:
    """Return the images that the lists name, wherever they stand in the source, class by class.

    The lists are those of `asked`, else of the source. Raises UserError when there are none, or
    they name an image that is not there.
    """
    lists = asked.lists or files
    found = find_lists(lists.names)
    if found is None:
        raise UserError(f"{lists.source}: no train.csv, val.csv and test.csv")
    path_of = {name.rpartition("/")[2]: name for name in names}
    classes = defaultdict(list)
    for file, class_name in _entries(lists, found):
        if file not in path_of:
            raise UserError(
                f"{files.source}: no image '{file}' of class '{class_name}', which a list names; "
                "lists of the other naming, or leave the lists out to take class folders whole"
            )
        classes[class_name].append(path_of[file])
    ordered = {
        name: sorted(classes[name], key=lambda path: path.rpartition("/")[2])
        for name in sorted(classes)
    }
    reading = read_class_folders(files, asked, ordered)
    how = reading.info["how"].replace("class folders", "images named by lists")
    return reading._replace(info={"how": how})


def _entries(lists: Files, found: SplitFiles) -> Iterator[tuple[str, str]]:
    """Give the file and the class of each line of the three lists."""
    for name in found.values():
        lines = csv.DictReader(lists.read(name).decode("utf-8", "replace").splitlines())
        columns = next((c for c in COLUMNS if set(c) <= set(lines.fieldnames or ())), None)
        if columns is None:
            raise UserError(
                f"{name}: its first line names neither filename,label nor class_name,image_name"
            )
        for line in lines:
            file, class_name = (line[column] or "" for column in columns)
            if not file or not class_name:
                raise UserError(f"{name}, line {lines.line_num}: no image or no class")
            yield file, class_name


NAMED_BY_LISTS = Form("images named by lists", "images in any folders", find_images, read_listed)
LISTED = replace(
    NAMED_BY_LISTS,
    looks="images, and among them train.csv, val.csv and test.csv that name them",
    find=lambda names: find_images(names) and find_lists(names) and names,
)
