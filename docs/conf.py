"""Settings of Sphinx: `make docs`, without a network."""

import os
import sys
import warnings
from pathlib import Path

from sklearn_sparsedis import __version__

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "_ext"))

project = "sklearn_sparsedis"
author = "The sklearn_sparsedis developers"
version = release = __version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "sphinx-mathjax-offline",  # equations show without a network, too
    "myst_parser",
    "numpydoc",
    "sphinx_gallery.gen_gallery",
    "api_pages",
    "link_names",
]
exclude_patterns = ["_build", "auto_examples/*.ipynb", "auto_examples/*.py.md5", "images/*.py"]
templates_path = ["_templates"]
default_role = "py:obj"
language = "en_GB"

myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3

autosummary_generate = True
autodoc_typehints = "none"  # the docstrings say more than the annotations
autodoc_member_order = "bysource"
autodoc_inherit_docstrings = False
numpydoc_show_class_members = False

sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "auto_examples",
    # an example that ends by SystemExit would end the build with it
    "filename_pattern": r"/plot_" if os.environ.get("OMNIGLOT") else r"/plot_(?!omniglot)",
    "ignore_pattern": r".*demo\.py",
    "doc_module": ("sklearn_sparsedis",),
    "backreferences_dir": "api/backreferences",
    "download_all_examples": False,
    "show_signature": False,
    "show_memory": False,
    "min_reported_time": 0,
}
# figures are collected by sphinx-gallery; showing them has nothing to do here
warnings.filterwarnings("ignore", message="FigureCanvasAgg is non-interactive")

html_static_path = ["_static"]
html_css_files = ["widths.css"]
html_theme = "pydata_sphinx_theme"
html_title = project
html_show_sourcelink = False
html_theme_options = {
    "show_prev_next": True,
    "navigation_with_keys": False,
    "show_toc_level": 2,
    "navbar_align": "left",
    "secondary_sidebar_items": ["page-toc"],
}
html_sidebars = {"index": [], "getting_started": [], "migration": [], "citing": []}
