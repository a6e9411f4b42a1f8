"""Access to the pictures in a zip file or in a folder."""

import io
import zipfile
from pathlib import Path, PurePosixPath

import numpy as np

__all__ = ["PictureFiles"]


class PictureFiles:
    """Files of a zip file, or of a folder that holds an unpacked one, by their names.

    Parameters
    ----------
    path : str or Path
    wanted : str
        Names and origin of the files needed, for messages.

    Attributes
    ----------
    names : list of PurePosixPath
        Sorted names of the files; in a folder, they begin with the folder's own name.

    Raises
    ------
    FileNotFoundError
        If `path` does not exist.
    ValueError
        If it is no complete zip file.
    """

    def __init__(self, path: str | Path, wanted: str) -> None:
        self.path, self.wanted = Path(path), wanted
        if not self.path.exists():
            raise FileNotFoundError(f"path={str(path)!r} does not exist. Wanted: {wanted}.")
        self._archive: zipfile.ZipFile | None = None
        if self.path.is_dir():
            files = (file for file in sorted(self.path.rglob("*")) if file.is_file())
            self.names = [
                PurePosixPath(self.path.name, *file.relative_to(self.path).parts) for file in files
            ]
            return
        try:
            self._archive = zipfile.ZipFile(self.path)
        except (zipfile.BadZipFile, EOFError) as error:
            raise self._incomplete() from error
        names = sorted(self._archive.namelist())
        self.names = [PurePosixPath(name) for name in names if not name.endswith("/")]

    def __enter__(self) -> "PictureFiles":
        return self

    def __exit__(self, *_: object) -> None:
        if self._archive is not None:
            self._archive.close()

    def _incomplete(self) -> ValueError:
        return ValueError(f"{self.path} is not a complete zip file. Fetch it again: {self.wanted}.")

    def read(self, name: PurePosixPath) -> bytes:
        """Read the content of a file."""
        if self._archive is None:
            return self.path.joinpath(*name.parts[1:]).read_bytes()
        try:
            return self._archive.read(str(name))
        except (zipfile.BadZipFile, EOFError) as error:
            raise self._incomplete() from error

    def picture(self, name: PurePosixPath, mode: str, image_size: int | None) -> np.ndarray:
        """Read a picture as uint8: (height, width) for mode "L", (height, width, 3) for "RGB".

        It is reduced by averaging to `image_size` x `image_size`, unless that is None.
        """
        from PIL import Image  # optional: only the loaders of pictures need it

        try:
            with Image.open(io.BytesIO(self.read(name))) as picture:
                converted = picture.convert(mode)
        except OSError as error:
            raise ValueError(f"{name} is not a readable picture. Wanted: {self.wanted}.") from error
        if image_size is not None:
            converted = converted.resize((image_size, image_size), Image.Resampling.BOX)
        return np.asarray(converted)
