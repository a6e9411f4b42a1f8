"""Characters drawn in typefaces: classes, disjoint alphabets, distortions, messages."""

import sys
import unicodedata

import numpy as np
import pytest

from sklearn_sparsedis.datasets import make_glyphs

pytest.importorskip("matplotlib", minversion="3.11", reason="which has all typefaces first")


def test_classes_alphabets_and_typefaces_agree():
    data = make_glyphs(["Lao", "Greek"], n_per_character=3, random_state=0)
    n = len(data.target_names)
    assert data.images.shape == (3 * n, 28, 28)
    assert data.images.dtype == np.uint8
    np.testing.assert_array_equal(np.bincount(data.target), np.full(n, 3))
    assert data.alphabet_names == ["Greek", "Lao"]
    for character, alphabet in zip(data.target_names, data.alphabet[::3], strict=True):
        scripts = {"Greek": ("GREEK", "COPTIC"), "Lao": ("LAO",)}
        word = unicodedata.name(character).split()[0]
        assert word in scripts[data.alphabet_names[alphabet]]
        assert not unicodedata.decomposition(character)
    # each typeface once before one comes again
    assert all(len(set(faces)) == 3 for faces in data.typeface.reshape(n, 3))
    assert data.images.reshape(len(data.images), -1).any(1).all()


def test_an_alphabet_is_the_same_beside_others():
    alone = make_glyphs("Greek", n_per_character=1, distortion=0, random_state=0)
    beside = make_glyphs(["Latin", "Greek"], n_per_character=1, distortion=0, random_state=0)
    greek = [c for c, a in zip(beside.target_names, beside.alphabet, strict=True) if a == 1]
    assert alone.target_names == greek


def test_letters_that_look_alike_are_in_one_alphabet():
    data = make_glyphs(["Latin", "Greek", "Cyrillic"], n_per_character=1, random_state=0)
    found = set(data.target_names)
    assert "A" in found
    assert not found & {"\N{GREEK CAPITAL LETTER ALPHA}", "\N{CYRILLIC CAPITAL LETTER A}"}
    assert "\N{GREEK CAPITAL LETTER DELTA}" in found
    assert len(found) == len(data.target_names)


def test_distortion_makes_drawings_of_one_typeface_differ():
    settings = {"n_per_character": 40, "image_size": 16, "random_state": 0}
    still, moved = (make_glyphs("Lao", distortion=d, **settings) for d in (0, 1))
    for data, expected in ((still, True), (moved, False)):
        first = data.typeface[:40] == data.typeface[0]
        assert first.sum() > 1
        assert (data.images[:40][first] == data.images[0]).all() == expected
    # the changes are small: the ink stays where it was
    overlap = np.minimum(still.images, moved.images).sum() / still.images.sum()
    assert 0.5 < overlap < 1


def test_equal_seeds_give_equal_drawings():
    first, second, other = (
        make_glyphs("Lao", n_per_character=2, image_size=12, random_state=seed).images
        for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first, second)
    assert (first != other).any()


def test_drawings_fit_in_the_picture():
    images = make_glyphs("Lao", n_per_character=2, distortion=0, random_state=0).images
    assert not images[:, [0, -1]].any()
    assert not images[:, :, [0, -1]].any()


def test_bad_arguments():
    with pytest.raises(ValueError, match="alphabets='Runes' is unknown"):
        make_glyphs(["Greek", "Runes"])
    with pytest.raises(ValueError, match="alphabets is empty"):
        make_glyphs([])
    with pytest.raises(ValueError, match="image_size=4 must be >= 8"):
        make_glyphs(image_size=4)
    with pytest.raises(ValueError, match=r"distortion=-1.0 must be in \[0, inf\)"):
        make_glyphs(distortion=-1)


def test_without_matplotlib(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match="pip install matplotlib"):
        make_glyphs("Lao")


def test_without_its_typefaces(monkeypatch, tmp_path):
    monkeypatch.setattr("matplotlib.get_data_path", lambda: str(tmp_path))
    with pytest.raises(FileNotFoundError, match="installed without its typefaces"):
        make_glyphs("Lao")
