"""Write QUESTIONS.md from questions.jsonl."""

from pathlib import Path

from gyre_demo.page import questions_page
from gyre_demo.questions import read_questions

PAGE = Path(__file__).parent / "QUESTIONS.md"


def main() -> None:
    PAGE.write_text(questions_page(read_questions()), encoding="utf-8")
    print(PAGE)


if __name__ == "__main__":
    main()
