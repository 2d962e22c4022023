"""Notebooks as pages for a browser: ``python notebooks/build.py --html DIR``.

nbconvert's own pages load MathJax, RequireJS and Mermaid from a network; without one, formulas stay LaTeX between
dollar signs. Here formulas are MathML, which browsers draw themselves, and no script is loaded.
"""

from __future__ import annotations

import re
from html import escape
from pathlib import Path
from typing import Any

import nbformat
from jinja2 import DictLoader
from nbconvert import HTMLExporter
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath

from build import HERE, target

_TEMPLATE = """\
{%- extends "lab/index.html.j2" -%}
{%- block html_head_js -%}{%- endblock -%}
{%- block html_head_js_mathjax -%}{%- endblock -%}
{%- block html_head_js_mermaidjs -%}{%- endblock -%}
{%- block html_head_css -%}
<style>main { max-width: 60rem; margin: auto } img { max-width: 100% }</style>
{%- endblock -%}
"""


class _Renderer(IPythonRenderer):
    def inline_math(self, body: str) -> str:
        return mathml(body, "inline")

    def block_math(self, body: str) -> str:
        return mathml(body, "block")


def mathml(latex: str, display: str = "inline") -> str:
    """Convert a formula to MathML, with the LaTeX as its text for whoever copies it or cannot see it.

    >>> mathml("x^2")[:44]
    '<math xmlns="http://www.w3.org/1998/Math/Mat'
    """
    from latex2mathml.converter import convert

    made: str = convert(latex.strip(), display=display)
    return made.replace("<math ", f'<math alttext="{escape(latex.strip())}" ', 1)


def page_of(notebook: nbformat.NotebookNode, title: str) -> str:
    """Return a notebook as an HTML page that needs no network."""
    notebook = nbformat.from_dict(notebook)
    notebook.metadata.title = title
    for cell in notebook.cells:
        if cell.cell_type == "markdown":  # links between notebooks are links between pages
            cell.source = re.sub(r"\(([\w/]+)\.ipynb\)", r"(\1.html)", cell.source)
    exporter = HTMLExporter(template_name="lab", extra_loaders=[DictLoader({"page.html.j2": _TEMPLATE})])
    exporter.template_file = "page.html.j2"
    exporter.register_filter("markdown2html", markdown)
    return str(exporter.from_notebook_node(notebook)[0])


def markdown(source: Any) -> str:
    """Convert Markdown with formulas to HTML with MathML."""
    return MarkdownWithMath(renderer=_Renderer(escape=False)).render(str(source))


def write_pages(sources: list[Path], folder: Path) -> str:
    """Write the committed notebooks, of both forms, as pages; return a line about them."""
    count = 0
    for source in sources:
        for solved in (False, True):
            path = target(source, solved)
            notebook = nbformat.read(path, as_version=4)
            title = notebook.cells[0].source.splitlines()[0].removeprefix("# ")
            page = folder / path.relative_to(HERE).with_suffix(".html")
            page.parent.mkdir(parents=True, exist_ok=True)
            page.write_text(page_of(notebook, title), encoding="utf-8")
            count += 1
    return f"{count} pages in {folder}"
