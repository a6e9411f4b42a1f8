"""Tests: a package of this name, because one that another distribution installs would hide it."""
