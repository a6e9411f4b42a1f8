"""Characters of many alphabets, drawn in the typefaces that matplotlib ships."""

import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from scipy.ndimage import affine_transform
from sklearn.utils import Bunch, check_random_state

from sklearn_sparsedis.datasets._checks import check_choice, check_integer, check_real

__all__ = ["make_glyphs"]

# Alphabets by the first words of the Unicode names of their letters, in the order in which a
# drawing that several of them have is given to one.
_SCRIPTS = {
    "Latin": ("LATIN",),
    "Greek": ("GREEK", "COPTIC"),
    "Cyrillic": ("CYRILLIC",),
    "Armenian": ("ARMENIAN",),
    "Georgian": ("GEORGIAN",),
    "Lao": ("LAO",),
}
ALPHABETS = (*_SCRIPTS, "Braille", "Symbols")
# Files of the typefaces; the first has all characters.
_DEJAVU = [
    f"DejaVu{family}{style}"
    for family, styles in (
        ("Sans", ("", "-Bold", "-Oblique", "-BoldOblique")),
        ("SansMono", ("", "-Bold", "-Oblique", "-BoldOblique")),
        ("Serif", ("", "-Bold", "-Italic", "-BoldItalic")),
    )
    for style in styles
]
_STIX = ["STIXGeneral", "STIXGeneralBol", "STIXGeneralItalic", "STIXGeneralBolIta"]
# Those of TeX have other characters where Unicode has letters beyond ASCII.
_TEX = ["cmr10", "cmb10", "cmss10", "cmtt10", "cmti10"]
# A character is taken if so many typefaces have it.
_FEWEST_TYPEFACES = 8
# Characters are drawn at twice the size; their em is this share of the side.
_OVERSAMPLED = 2
_EM = 0.8
# Largest share of the side that a drawing fills before it is distorted.
_LARGEST = 0.85
# Largest turn and shear in radians, change of each size in logarithms, and shift as a share of the
# side, of `distortion` 1.
_TURN, _SHEAR, _STRETCH, _SHIFT = 0.12, 0.12, 0.12, 0.04


class _Typeface:
    """One font file: which characters it has, and their pictures."""

    def __init__(self, path: Path, size: int, ascii_only: bool) -> None:
        from matplotlib.ft2font import FT2Font, LoadFlags

        self._font = FT2Font(str(path))
        self._font.set_size(size, 72)
        # hints depend on the script, so that equal outlines would get unequal pictures
        self._flags = LoadFlags.NO_HINTING
        codes = set(self._font.get_charmap())
        if ascii_only:
            codes = {code for code in codes if code < 128 and chr(code).isalnum()}
        self.codes = codes

    def draw(self, code: int) -> np.ndarray:
        """Picture of a character without margins; empty for blanks."""
        self._font.set_text(chr(code), flags=self._flags)
        self._font.draw_glyphs_to_bitmap(antialiased=True)
        picture = np.array(self._font.get_image())
        rows, columns = (np.flatnonzero(picture.any(axis)) for axis in (1, 0))
        if not len(rows):
            return np.zeros((0, 0), dtype=np.uint8)
        return picture[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _typefaces(size: int) -> dict[str, _Typeface]:
    try:
        import matplotlib
    except ImportError as error:
        raise ImportError(
            "make_glyphs draws characters in the typefaces of matplotlib, which is not installed: "
            "pip install matplotlib"
        ) from error
    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    found = {}
    for name in (*_DEJAVU, *_STIX, *_TEX):
        path = folder / f"{name}.ttf"
        if not path.is_file():
            raise FileNotFoundError(
                f"{path} is missing: matplotlib was installed without its typefaces, or is older "
                "than 3.11. Install a newer one from the Python package index."
            )
        found[name] = _Typeface(path, size, name in _TEX)
    return found


def _alphabet(code: int) -> str | None:
    """Alphabet of a character; None for one with accents, and for what is no sign by itself."""
    character = chr(code)
    name, category = unicodedata.name(character, ""), unicodedata.category(character)
    if unicodedata.decomposition(character) or not name:
        return None
    if category in ("Lu", "Ll", "Lo"):
        first = name.split()[0]
        return next((a for a, words in _SCRIPTS.items() if first in words), None)
    if name.startswith("BRAILLE"):
        return "Braille"
    return "Symbols" if category in ("Sm", "So", "Sc", "Nd", "Po") else None


def _characters(typefaces: Sequence[_Typeface], alphabets: Sequence[str]) -> dict[str, list[int]]:
    """Characters of alphabets that enough typefaces have, a drawing in one of them only."""
    n_typefaces = Counter(chain.from_iterable(typeface.codes for typeface in typefaces))
    found: dict[str, list[int]] = {alphabet: [] for alphabet in alphabets}
    for code in sorted(typefaces[0].codes):
        if n_typefaces[code] >= _FEWEST_TYPEFACES and (alphabet := _alphabet(code)) in found:
            found[alphabet].append(code)
    drawings: dict[Any, int] = {}
    for code in chain.from_iterable(found.values()):
        picture = typefaces[0].draw(code)
        if picture.size:
            drawings.setdefault((picture.shape, picture.tobytes()), code)
    first = set(drawings.values())
    return {a: [code for code in codes if code in first] for a, codes in found.items()}


def _affine_maps(
    n: int, side: int, distortion: float, random: np.random.RandomState
) -> tuple[np.ndarray, np.ndarray]:
    """Matrices (n, 2, 2) from new pictures to old ones, rows first, and shifts (n, 2) in pixels."""
    turn, shear, *stretch = (
        distortion * size * random.uniform(-1, 1, n) for size in (_TURN, _SHEAR, _STRETCH, _STRETCH)
    )
    cos, sin = np.cos(turn), np.sin(turn)
    rotations = np.stack([cos, -sin, sin, cos], -1).reshape(n, 2, 2)
    down, across = np.exp(stretch)
    shears = np.stack([down, np.zeros(n), shear * down, across], -1).reshape(n, 2, 2)
    return rotations @ shears, distortion * _SHIFT * side * random.uniform(-1, 1, (n, 2))


def _distorted(
    pictures: Sequence[np.ndarray], side: int, distortion: float, random: np.random.RandomState
) -> np.ndarray:
    """Pictures (n, side, side) of drawings that are twice as large, each after a small map."""
    size = side * _OVERSAMPLED
    drawn = np.empty((len(pictures), size, size), dtype=np.float32)
    matrices, shifts = _affine_maps(len(pictures), side, distortion, random)
    middles = (size - 1) / 2 + _OVERSAMPLED * shifts
    for picture, matrix, middle, out in zip(pictures, matrices, middles, drawn, strict=True):
        matrix = max(1.0, max(picture.shape) / (_LARGEST * size)) * matrix
        offset = (np.array(picture.shape) - 1) / 2 - matrix @ middle
        affine_transform(picture, matrix, offset, output=out, order=1)
    pooled = drawn.reshape(-1, side, _OVERSAMPLED, side, _OVERSAMPLED).mean((2, 4))
    return (pooled + 0.5).astype(np.uint8)


def make_glyphs(
    alphabets: str | Sequence[str] | None = None,
    *,
    n_per_character: int = 20,
    image_size: int = 28,
    distortion: float = 1.0,
    random_state: Any = None,
) -> Bunch:
    """Draw characters of many alphabets in many typefaces, for few-shot classification.

    Classes are characters, and drawings of a class differ by their typeface and by a small affine
    change. The typefaces are those that matplotlib ships (DejaVu, STIX, Computer Modern), so that
    nothing is downloaded.

    Parameters
    ----------
    alphabets : str, sequence of str or None, default=None
        Which of "Latin", "Greek", "Cyrillic", "Armenian", "Georgian", "Lao", "Braille" and
        "Symbols" to draw; None draws all. For training and test take different ones.
    n_per_character : int >= 1, default=20
        Drawings of each character. A typeface is used again after all those that have the
        character.
    image_size : int >= 8, default=28
        Side of the pictures in pixels.
    distortion : float >= 0, default=1.0
        Size of the random affine changes. With 1, characters are turned and sheared by up to 7
        degrees each, stretched by up to 13 % in height and width, and shifted by up to 4 % of the
        side. With 0 drawings in one typeface are equal.
    random_state : int, RandomState instance or None, default=None
        Seed.

    Returns
    -------
    data : Bunch
        images : ndarray of uint8, shape (n_samples, image_size, image_size)
            Ink is 255, paper 0.
        target : ndarray of int, shape (n_samples,)
            Character, an index into `target_names`.
        alphabet : ndarray of int, shape (n_samples,)
            Index into `alphabet_names`: the groups of a split by alphabets.
        typeface : ndarray of int, shape (n_samples,)
            Index into `typeface_names`.
        target_names : list of str
            The characters themselves; `unicodedata.name` tells their names.
        alphabet_names, typeface_names : list of str

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    FileNotFoundError
        If matplotlib was installed without its typefaces, or is older than 3.11.

    Notes
    -----
    Characters with accents are left out, and so are those that fewer than eight of the typefaces
    have. Letters that look alike in several alphabets, such as A, are in the first of these only,
    in the order above, whichever alphabets are asked for: what is drawn for a test on one alphabet
    does not occur in another.

    Examples
    --------
    >>> from sklearn_sparsedis.datasets import make_glyphs
    >>> data = make_glyphs(["Greek", "Lao"], n_per_character=3, random_state=0)
    >>> data.images.shape[1:], data.alphabet_names
    ((28, 28), ['Greek', 'Lao'])
    """
    chosen = _check_alphabets(alphabets)
    check_integer("n_per_character", n_per_character, 1)
    side = check_integer("image_size", image_size, 8)
    strength = check_real("distortion", distortion, 0.0, np.inf, closed=False)
    random = check_random_state(random_state)
    typefaces = _typefaces(round(_EM * side * _OVERSAMPLED))
    faces = list(typefaces.values())
    characters = _characters(faces, ALPHABETS[: ALPHABETS.index(chosen[-1]) + 1])
    codes = [code for one in chosen for code in characters[one]]
    images, drawn = [], []
    for code in codes:
        having = [i for i, face in enumerate(faces) if code in face.codes]
        used = np.resize(random.permutation(having), n_per_character)
        pictures = {i: faces[i].draw(code).astype(np.float32) for i in np.unique(used)}
        images.append(_distorted([pictures[i] for i in used], side, strength, random))
        drawn.append(used)
    sizes = [len(characters[one]) * n_per_character for one in chosen]
    return Bunch(
        images=np.concatenate(images),
        target=np.arange(len(codes)).repeat(n_per_character),
        alphabet=np.arange(len(chosen)).repeat(sizes),
        typeface=np.concatenate(drawn),
        target_names=[chr(code) for code in codes],
        alphabet_names=chosen,
        typeface_names=list(typefaces),
    )


def _check_alphabets(alphabets: str | Iterable[str] | None) -> list[str]:
    if alphabets is None:
        return list(ALPHABETS)
    given = [alphabets] if isinstance(alphabets, str) else list(alphabets)
    if not given:
        raise ValueError(f"alphabets is empty; choose some of {list(ALPHABETS)}, or None for all.")
    for one in given:
        check_choice("alphabets", one, ALPHABETS)
    return [one for one in ALPHABETS if one in given]
