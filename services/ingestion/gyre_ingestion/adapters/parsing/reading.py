"""What a reader hands back."""

from dataclasses import dataclass, field

from gyre_ingestion.domain.outline import Outline


@dataclass
class Reading:
    """Blocks and what the file says about itself."""

    outline: Outline = field(default_factory=Outline)
    title: str = ""
    page_count: int = 0
    metadata: dict[str, str] = field(default_factory=dict)
