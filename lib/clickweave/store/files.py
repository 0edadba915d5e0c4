"""Bytes on any filesystem that pyarrow reaches: whole files, written atomically. No Spark here.

Paths are local paths or URIs (file://, hdfs://, s3://). A reader never sees half a file.
"""

import glob
import json
import os
import uuid
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

from pyarrow import fs

from clickweave.errors import ContractError, PublishError


def filesystem(path: str) -> tuple[fs.FileSystem, str]:
    """The filesystem of a path or URI, and the path inside it.

    Raises:
        PublishError: the scheme is unknown or not reachable.
    """
    if len(urlparse(path).scheme) < 2:  # a plain path, or a drive letter
        return fs.LocalFileSystem(), os.path.abspath(path)
    try:
        found, inner = fs.FileSystem.from_uri(path)
    except (OSError, ValueError, ImportError) as error:
        raise PublishError(f"storage: cannot open {path!r}: {_first_line(error)}") from error
    return found, inner


def read_bytes(path: str) -> bytes:
    """The content of one file.

    Raises:
        ContractError: the file is missing or unreadable.
    """
    found, inner = filesystem(path)
    try:
        with found.open_input_file(inner) as stream:
            return bytes(stream.readall())
    except OSError as error:
        raise ContractError(f"storage: cannot read {path}: {_first_line(error)}") from error


def first_line(path: str) -> str:
    """The first line of a text file, unpacked by its suffix (.gz, .bz2), without the line end; empty if there is none.

    Raises:
        ContractError: the file is missing, unreadable or not UTF-8.
    """
    found, inner = filesystem(path)
    try:
        with found.open_input_stream(inner, compression="detect") as stream:
            line = b""
            while b"\n" not in line and (more := stream.read(1 << 16)):
                line += more
        return line.partition(b"\n")[0].decode("utf-8-sig").rstrip("\r")
    except (OSError, UnicodeDecodeError) as error:
        raise ContractError(f"storage: cannot read {path}: {_first_line(error)}") from error


def read_json(path: str) -> Any:
    """The JSON document in one file.

    Raises:
        ContractError: the file is missing or is not JSON.
    """
    try:
        return json.loads(read_bytes(path))
    except ValueError as error:
        raise ContractError(f"storage: {path} is not JSON: {error}") from error


def write_bytes(path: str, data: bytes) -> None:
    """Writes one file whole: into a new name beside it, then renamed over it.

    Raises:
        PublishError: the storage refuses.
    """
    found, inner = filesystem(path)
    temporary = f"{inner}.{uuid.uuid4().hex}.tmp"
    try:
        found.create_dir(str(Path(inner).parent), recursive=True)
        if isinstance(found, fs.LocalFileSystem):
            _write_durably(temporary, data)
        else:
            with found.open_output_stream(temporary) as stream:
                stream.write(data)
        found.move(temporary, inner)
    except OSError as error:
        raise PublishError(f"storage: cannot write {path}: {_first_line(error)}") from error


def write_text(path: str, text: str) -> None:
    """`write_bytes` of UTF-8 text."""
    write_bytes(path, text.encode())


def write_json(path: str, value: Any) -> None:
    """`write_bytes` of indented JSON with sorted keys."""
    write_text(path, json.dumps(value, indent=2, sort_keys=True) + "\n")


def append_text(path: str, text: str) -> None:
    """Adds text to the end of a file, for logs.

    Raises:
        PublishError: the storage refuses, or cannot append.
    """
    found, inner = filesystem(path)
    try:
        found.create_dir(str(Path(inner).parent), recursive=True)
        with found.open_append_stream(inner) as stream:
            stream.write(text.encode())
    except (OSError, NotImplementedError) as error:
        raise PublishError(f"storage: cannot append to {path}: {_first_line(error)}") from error


def create_exclusive(path: str, data: bytes) -> bool:
    """Creates a file that must not exist yet; False if another writer was first. One winner per path.

    Local disks only: a full temporary file is hard-linked to its name, which fails if the name is taken.

    Raises:
        PublishError: the storage refuses, or has no such operation.
    """
    found, inner = filesystem(path)
    if not isinstance(found, fs.LocalFileSystem):
        raise PublishError(f"storage: publishing to {path} is not built yet; use a folder on a local or shared disk")
    temporary = f"{inner}.{uuid.uuid4().hex}.tmp"
    try:
        os.makedirs(os.path.dirname(inner), exist_ok=True)
        _write_durably(temporary, data)
        try:
            os.link(temporary, inner)
        except FileExistsError:
            return False
        finally:
            os.unlink(temporary)
    except OSError as error:
        raise PublishError(f"storage: cannot write {path}: {_first_line(error)}") from error
    return True


def exists(path: str) -> bool:
    """Whether a file or folder is there."""
    found, inner = filesystem(path)
    return bool(found.get_file_info(inner).type != fs.FileType.NotFound)


def list_files(folder: str, suffix: str = "") -> list[str]:
    """All files below a folder whose name ends with `suffix`, sorted; hidden and `_` files are left out."""
    return [info.path for info in _infos(folder) if info.path.endswith(suffix)]


def list_parts(folder: str) -> list[tuple[str, ...]]:
    """The path of each data file below a folder, relative to it, part by part; sorted."""
    _, inner = filesystem(folder)
    return [tuple(info.path[len(inner) :].strip("/").split("/")) for info in _infos(folder)]


def is_glob(path: str) -> bool:
    """Whether a local path is a pattern (`*`, `?`, `[]`)."""
    return any(mark in path for mark in "*?[") and len(urlparse(path).scheme) < 2


def expand(path: str) -> list[str]:
    """The files and folders that a path or glob (on local disks) names; empty if nothing is there."""
    if is_glob(path):
        return sorted(glob.glob(path))
    return [path] if exists(path) else []


def file_stamps(folder_or_file: str) -> list[tuple[str, int, int]]:
    """(path inside the folder, bytes, change time in ns) of each data file: changes when the data may have changed."""
    return [(os.path.basename(info.path), info.size, info.mtime_ns or 0) for info in _infos(folder_or_file)]


def list_folders(folder: str) -> list[str]:
    """Names of the folders directly below, sorted."""
    found, inner = filesystem(folder)
    selector = fs.FileSelector(inner, allow_not_found=True)
    return sorted(info.base_name for info in found.get_file_info(selector) if info.type == fs.FileType.Directory)


def delete_dir(path: str) -> None:
    """Removes a folder with everything in it; no error if it is not there."""
    found, inner = filesystem(path)
    if found.get_file_info(inner).type == fs.FileType.Directory:
        found.delete_dir(inner)


def _infos(path: str) -> list[fs.FileInfo]:
    found, inner = filesystem(path)
    info = found.get_file_info(inner)
    if info.type == fs.FileType.File:
        return [info]
    below = found.get_file_info(fs.FileSelector(inner, allow_not_found=True, recursive=True))
    files = [i for i in below if i.type == fs.FileType.File and not _hidden(i.path[len(inner) :])]
    return sorted(files, key=lambda i: i.path)


def _hidden(inner_path: str) -> bool:
    return any(part.startswith((".", "_")) for part in inner_path.split("/") if part) or inner_path.endswith(".tmp")


def _write_durably(path: str, data: bytes) -> None:
    with open(path, "wb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
