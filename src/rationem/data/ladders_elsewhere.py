"""Rating words of forms in other languages than English, worst first, as ``ladders.normal`` gives them.

Each language has a ladder of quality, of agreement, of correctness, of frequency, and of yes and no. School grades are
words of quality too: the German "ausreichend" is above "mangelhaft".
"""

from __future__ import annotations

LADDERS: dict[str, tuple[tuple[str, ...], ...]] = {
    "German": (
        (
            *(
                "sehr schlecht",
                "schlecht",
                "ungenügend",
                "mangelhaft",
                "ausreichend",
                "mittelmässig",
                "mittel",
                "neutral",
            ),
            *("befriedigend", "in ordnung", "ok", "okay", "gut", "sehr gut", "ausgezeichnet", "hervorragend"),
        ),
        (
            *("stimme überhaupt nicht zu", "stimme gar nicht zu", "stimme nicht zu", "stimme eher nicht zu"),
            *("neutral", "teils/teils", "teils teils", "weder noch"),
            *("stimme eher zu", "stimme zu", "stimme voll zu", "stimme voll und ganz zu"),
        ),
        (
            *("trifft überhaupt nicht zu", "trifft gar nicht zu", "trifft nicht zu", "trifft eher nicht zu"),
            *("neutral", "teils/teils", "teils teils"),
            *("trifft eher zu", "trifft zu", "trifft voll zu", "trifft voll und ganz zu"),
        ),
        ("falsch", "teilweise falsch", "teilweise richtig", "grösstenteils richtig", "richtig"),
        (
            "nie",
            "sehr selten",
            "selten",
            "gelegentlich",
            "manchmal",
            "oft",
            "häufig",
            "sehr oft",
            "sehr häufig",
            "immer",
        ),
        ("nein", "eher nein", "teilweise", "teils", "vielleicht", "eher ja", "ja"),
    ),
    "French": (
        (
            *("très mauvais", "mauvais", "insuffisant", "médiocre", "passable", "neutre", "moyen", "correct"),
            *("satisfaisant", "assez bien", "assez bon", "bien", "bon", "très bien", "très bon", "excellent"),
        ),
        (
            *("pas du tout d'accord", "pas d'accord", "plutôt pas d'accord"),
            *("neutre", "ni d'accord ni pas d'accord", "ni en accord ni en désaccord"),
            *("plutôt d'accord", "d'accord", "tout à fait d'accord"),
        ),
        ("faux", "incorrect", "partiellement correct", "correct"),
        ("faux", "vrai"),
        ("jamais", "rarement", "parfois", "quelquefois", "souvent", "très souvent", "toujours"),
        ("non", "plutôt non", "partiellement", "en partie", "peut être", "plutôt oui", "oui"),
    ),
    "Spanish": (
        (
            *("pésimo", "muy malo", "malo", "insuficiente", "deficiente", "regular", "neutral", "aceptable"),
            *("suficiente", "bueno", "notable", "muy bueno", "sobresaliente", "excelente"),
        ),
        (
            *("totalmente en desacuerdo", "muy en desacuerdo", "en desacuerdo", "algo en desacuerdo"),
            *("neutral", "ni de acuerdo ni en desacuerdo"),
            *("algo de acuerdo", "de acuerdo", "muy de acuerdo", "totalmente de acuerdo"),
        ),
        ("incorrecto", "parcialmente correcto", "correcto"),
        ("falso", "verdadero"),
        ("nunca", "casi nunca", "rara vez", "a veces", "a menudo", "frecuentemente", "casi siempre", "siempre"),
        ("no", "en parte", "parcialmente", "tal vez", "quizás", "sí"),
    ),
    "Italian": (
        (
            *("pessimo", "molto scarso", "scarso", "insufficiente", "mediocre", "neutro", "sufficiente", "discreto"),
            *("buono", "molto buono", "ottimo", "eccellente"),
        ),
        (
            *("fortemente in disaccordo", "completamente in disaccordo", "in disaccordo"),
            *("neutrale", "né d'accordo né in disaccordo"),
            *("d'accordo", "completamente d'accordo", "fortemente d'accordo"),
        ),
        ("sbagliato", "parzialmente corretto", "corretto"),
        ("mai", "raramente", "a volte", "qualche volta", "spesso", "molto spesso", "sempre"),
        ("no", "in parte", "parzialmente", "forse", "sì"),
    ),
    "Portuguese": (
        (
            *("péssimo", "muito ruim", "muito mau", "ruim", "mau", "insuficiente", "regular", "neutro", "razoável"),
            *("suficiente", "bom", "muito bom", "ótimo", "excelente"),
        ),
        (
            *("discordo totalmente", "discordo", "discordo parcialmente"),
            *("neutro", "não concordo nem discordo", "nem concordo nem discordo"),
            *("concordo parcialmente", "concordo", "concordo totalmente"),
        ),
        ("incorreto", "parcialmente correto", "correto"),
        ("nunca", "raramente", "às vezes", "frequentemente", "quase sempre", "sempre"),
        ("não", "em parte", "parcialmente", "talvez", "sim"),
    ),
    "Dutch": (
        (
            *("zeer slecht", "slecht", "onvoldoende", "matig", "neutraal", "redelijk", "voldoende"),
            *("goed", "zeer goed", "uitstekend"),
        ),
        (
            *("helemaal mee oneens", "zeer oneens", "mee oneens", "oneens"),
            *("neutraal", "niet mee eens en niet mee oneens"),
            *("eens", "mee eens", "zeer eens", "helemaal mee eens"),
        ),
        ("fout", "gedeeltelijk juist", "juist"),
        ("nooit", "zelden", "soms", "vaak", "heel vaak", "altijd"),
        ("nee", "gedeeltelijk", "misschien", "ja"),
    ),
}
