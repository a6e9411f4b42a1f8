"""Link public names in code font to their page of the API: Markdown stays plain for GitHub."""

from api_pages import PACKAGE, pages
from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform


def _targets() -> dict[str, str]:
    """What a text may write -> full name: `metrics.name`, and `name` alone where it is no word."""
    targets: dict[str, str] = {}
    for full, page in pages().items():
        short, name = full.removeprefix(f"{PACKAGE}."), full.rpartition(".")[2]
        if short != name:
            targets[short] = page
        if "_" in name or not name.islower():
            targets.setdefault(name, page)
    return targets


class LinkNames(SphinxTransform):
    """Make cross-references of literals that are public names."""

    default_priority = 300
    targets: dict[str, str] = {}

    def apply(self, **kwargs: object) -> None:
        if not self.targets:
            LinkNames.targets = _targets()
        for literal in list(self.document.findall(nodes.literal)):
            if isinstance(literal.parent, (nodes.reference, pending_xref, nodes.title)):
                continue
            full = self.targets.get(literal.astext())
            if full is not None:
                link = pending_xref(
                    "",
                    literal.deepcopy(),
                    refdomain="py",
                    reftype="obj",
                    reftarget=full,
                    refdoc=self.env.docname,
                    refexplicit=True,
                    refwarn=False,
                )
                literal.replace_self(link)
        for link in self.document.findall(pending_xref):
            if link.get("reftype") == "obj" and link["reftarget"] in self.targets:
                link["reftarget"] = self.targets[link["reftarget"]]


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_transform(LinkNames)
    return {"parallel_read_safe": True}
