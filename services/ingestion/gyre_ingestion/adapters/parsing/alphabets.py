"""Letters beyond ASCII that Latin-script languages use: they tell neighbouring code pages apart."""

LETTERS: dict[str, frozenset[str]] = {
    language: frozenset(letters)
    for language, letters in {
        "English": "éèêçñïöü",
        "German": "äöüß",
        "French": "àâæçéèêëîïôœùûüÿ",
        "Spanish": "áéíñóúüªº",
        "Portuguese": "áàâãçéêíóôõúüªº",
        "Italian": "àèéìíîòóùú",
        "Dutch": "áéëïóöüè",
        "Swedish": "åäöé",
        "Norwegian": "æøåéòô",
        "Danish": "æøåé",
        "Finnish": "äöåšž",
        "Estonian": "äöõüšž",
        "Icelandic": "áðéíóúýþæö",
        "Hungarian": "áéíóöőúüű",
        "Polish": "ąćęłńóśźż",
        "Czech": "áčďéěíňóřšťúůýž",
        "Slovak": "áäčďéíĺľňóôŕšťúýž",
        "Slovene": "čšžćđ",
        "Croatian": "čćđšž",
        "Romanian": "ăâîșşțţ",
        "Turkish": "çğıöşüâîû",
        "Lithuanian": "ąčęėįšųūž",
        "Vietnamese": "àáâãèéêìíòóôõùúýăđĩũơưạảấầẩẫậắằẳẵặẹẻẽếềểễệỉịọỏốồổỗộớờởỡợụủứừửữựỳỵỷỹ",
    }.items()
}


def fit(text: str, language: str) -> float:
    """Share of the letters beyond ASCII that the language uses; 0 where it is not listed."""
    high = [char for char in text.lower() if char > "\x7f" and char.isalpha()]
    known = LETTERS.get(language, frozenset())
    return sum(char in known for char in high) / len(high) if high and known else 0.0
