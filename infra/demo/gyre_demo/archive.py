"""Office files are zip archives full of clocks; here the clocks are stopped."""

from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from gyre_demo.source import Source

_EPOCH = (1980, 1, 1, 0, 0, 0)  # the first moment that a zip archive knows


def stamp(properties: object, source: Source) -> None:
    """Both libraries want times without a zone and mean UTC."""
    moment = source.updated.replace(tzinfo=None)
    values = {
        "author": "Larkmoor Telecom",
        "last_modified_by": "Larkmoor Telecom",
        "title": source.title,
        "language": source.language,
        "comments": "",
        "created": moment,
        "modified": moment,
    }
    for name, value in values.items():
        setattr(properties, name, value)


def fix_times(path: Path) -> None:
    """Write the archive anew, members in the same order, all with the same time."""
    with ZipFile(path) as archive:
        members = [(name, archive.read(name)) for name in archive.namelist()]
    with ZipFile(path, "w") as archive:
        for name, content in members:
            info = ZipInfo(name, _EPOCH)
            archive.writestr(info, content, compress_type=ZIP_DEFLATED)
