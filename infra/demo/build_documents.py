"""Make the PDF, DOCX and PPTX files of the knowledge base from `sources/`.

python build_documents.py                 into knowledge_base/
python build_documents.py --output DIR    somewhere else, to compare
"""

from argparse import ArgumentParser
from pathlib import Path

from gyre_demo.as_docx import write_docx
from gyre_demo.as_pdf import write_pdf
from gyre_demo.as_pptx import write_pptx
from gyre_demo.source import read_source

HERE = Path(__file__).parent
WRITERS = {".pdf": write_pdf, ".docx": write_docx, ".pptx": write_pptx}


def build(sources: Path, output: Path) -> list[Path]:
    return [_build_one(path, output) for path in sorted(sources.glob("*.md"))]


def _build_one(path: Path, output: Path) -> Path:
    source = read_source(path)
    target = output / source.output
    target.parent.mkdir(parents=True, exist_ok=True)
    WRITERS[target.suffix](source, target)
    return target


def main() -> None:
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=HERE / "knowledge_base")
    for path in build(HERE / "sources", parser.parse_args().output):
        print(path)


if __name__ == "__main__":
    main()
