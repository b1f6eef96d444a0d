"""The pages as a site: `sphinx-build -W -n docs build/pages`, as launch/test does."""

import distsim

project = "distsim"
version = release = distsim.__version__
extensions = ["myst_parser"]
myst_heading_anchors = 3  # links to headings work as they do where the plain files are read
html_theme = "furo"
html_title = "distsim"
