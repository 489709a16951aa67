"""The page itself: template, style and scripts in one text, with a policy that forbids all else."""

from base64 import b64encode
from hashlib import sha256
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from fewshot import __version__
from fewshot.reporting.html.headline import HEADINGS

SCRIPTS = ("tables.js", "figures.js", "page.js")
JSON_OPTIONS = {"sort_keys": True, "allow_nan": False, "separators": (",", ":")}


def render_page(**content: Any) -> str:
    """Return the page with this content; whatever it holds stays text."""
    environment = Environment(
        loader=PackageLoader("fewshot.reporting.html", "assets"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.policies["json.dumps_kwargs"] = JSON_OPTIONS
    scripts = [get_plotlyjs(), "\n".join(map(_asset, SCRIPTS))]
    return environment.get_template("report.html.jinja").render(
        **content,
        version=__version__,
        costs=HEADINGS,
        style=Markup(_asset("report.css")),
        scripts=[Markup(script) for script in scripts],
        policy=_policy(scripts),
    )


def _policy(scripts: list[str]) -> str:
    """Return a policy: nothing may be loaded, and only these scripts, by their hash, may run.

    Styles are free: plotly sets its own as it draws.
    """
    hashes = [b64encode(sha256(script.encode()).digest()).decode() for script in scripts]
    allowed = " ".join(f"'sha256-{digest}'" for digest in hashes)
    return (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; "
        "img-src data: blob:; base-uri 'none'; form-action 'none'"
    )


def _asset(name: str) -> str:
    return (files("fewshot.reporting.html") / "assets" / name).read_text(encoding="utf-8")
