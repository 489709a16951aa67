"""The vocabulary of the house: words that stand for something under another name, and are not used.

Each `Ban` says which word, where, what to say instead, and which uses are others' own words.
"""

from typing import NamedTuple


class Allowed(NamedTuple):
    """A use that stays: in these files, of names or lines that match; and its reason."""

    files: str
    match: str
    reason: str


class Ban(NamedTuple):
    """A word (a regular expression), the files it is banned from, what to say instead."""

    word: str
    files: str
    instead: str
    allowed: tuple[Allowed, ...] = ()


CODE = "fewshot/**"
PROSE = "**"
UNTRUSTED = "fewshot/data/untrusted/**"

NAMES = (
    Ban("_encoders?_|_featuri[sz]ers?_", CODE, "backbone"),
    Ban("_experiments?_", CODE, "benchmark, training or cell"),
    Ban("_phases?_", CODE, "split (train, val, test)"),
    Ban(
        "_modes?_",
        CODE,
        "split (train, val, test), or the name of the choice",
        (
            Allowed("fewshot/**", "^_batch_norm_mode_$", "fewshot.protocols' name for outsiders"),
            Allowed(
                "fewshot/data/sources/images.py", "_modes?_", "Pillow's word for a pixel format"
            ),
            Allowed(UNTRUSTED, "^_mode_$", "the system's word for a file's kind and rights"),
            Allowed(
                "fewshot/learners/**", "^_training_mode_$", "torch's word: a module in training"
            ),
            Allowed("fewshot/harness/**", "^_mode_$", "the argument of torch.compile"),
        ),
    ),
    Ban(
        "_tasks?_",
        CODE,
        "episode, or a worker's job",
        (
            Allowed("fewshot/sharing/**", "_tasks?_", "multi-task learning's groups of classes"),
            Allowed("fewshot/learners/mtl.py", "_tasks?_", "multi-task learning's groups"),
        ),
    ),
    Ban(
        "^_(fast|meta)_.",
        CODE,
        "inner_... or outer_...",
        (Allowed("fewshot/**", "^_meta_opt_net", "the name that its paper gives the learner"),),
    ),
    Ban("_models?_", CODE, "learner, backbone or head"),
    Ban(
        "_methods?_",
        CODE,
        "learner, or the name of the choice",
        (Allowed(UNTRUSTED, "_methods?_", "the ZIP format's word for a way of compression"),),
    ),
    Ban(
        "_episode_rows?_|_prediction_rows?_|^_curve_rows?_$",
        CODE,
        "episode scores, predictions, curve points",
    ),
    Ban(
        "_row_(index|indices)_|_rows_of_(class|images)_|^_rows(_[a-z0-9]){1,2}_$",
        CODE,
        "image index, indices",
        (Allowed("fewshot/learners/mtl.py", "^_rows_c_d_$", "rows of a matrix of weights"),),
    ),
    Ban(
        "_rows?_",
        "fewshot/@(backbones|data|episodes|harness|heads|learners|runner|sharing)/**",
        "index (of an image), score (of an episode), or what it is: a row is of a results table",
        (
            Allowed("fewshot/backbones/**", "_rows?_", "rows of pixels"),
            Allowed("fewshot/data/untrusted/**", "_rows?_", "rows of an array, or of a directory"),
            Allowed("fewshot/episodes/augment.py", "^_row_i_h_$", "rows of pixels"),
            Allowed("fewshot/data/variants/summaries.py", "_rows?_", "rows of pixels"),
            Allowed("fewshot/heads/**", "^_row_sum_", "rows of a matrix"),
            Allowed("fewshot/learners/mtl.py", "^_rows_c_d_$", "rows of a matrix of weights"),
        ),
    ),
    Ban("_places?_", "fewshot/@(runner|cli)/**", "workspace, or where"),
)
"""Names made in code, as words between underscores: `BatchNormMode` is `_batch_norm_mode_`."""

TEXTS = (
    Ban(r"\b(encoders?|featuri[sz]ers?)\b", PROSE, "backbone"),
    Ban(
        r"\bexperiments?\b",
        PROSE,
        "benchmark, training or cell",
        (Allowed("README.md", "experiments of Wang", "what the first paper calls its own"),),
    ),
    Ban(
        r"\b(train|training|test|testing|val|validation|meta-\w+) (phase|mode)s?\b|\bphases?\b",
        PROSE,
        "split, or inner and outer loop",
        (Allowed("fewshot/**", "(to|in) training mode", "torch's word for a module"),),
    ),
    Ban(
        r"\btasks?\b",
        PROSE,
        "episode",
        (
            Allowed(
                "**", r"(?i)multi-?task|MTL|\bnever task\b", "multi-task learning, or this rule"
            ),
            Allowed("fewshot/sharing/**", "", "multi-task learning's groups of classes"),
            Allowed("fewshot/learners/mtl.py", "", "multi-task learning's groups of classes"),
        ),
    ),
    Ban(
        r"\bfast (weights|adaptation)\b|\bmeta-(train|test|val)\w*",
        PROSE,
        "inner or outer loop, or split",
    ),
    Ban(
        r"\b(few-shot|meta-learning|metric|rival|trained|baseline|our|the) (models?|methods?)\b",
        PROSE,
        "learner, backbone or head",
    ),
    Ban(
        r"\brows? (an?|per|of an|for each|each) (episode|image)s?\b|\b(episode|image) rows?\b"
        r"|\b[Rr]ows of (the )?(images|episodes)\b",
        PROSE,
        "an episode score, or an image index",
    ),
)
"""Docstrings, comments, README.md and docs/*.md, a line at a time."""
