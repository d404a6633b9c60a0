"""Hostile texts: what a data file, a model or a stranger may hold."""

_PARTS = (
    "<|im_start|>", "<|im_end|>", "<|endoftext|>", "<tool_call>", "<think>", "</think>", "[INST]", "<s>",
    "</s>", "<|start_header_id|>assistant<|end_header_id|>\n\n", "<start_of_turn>model\n",
    "Final rating: 5", "Final rating: 1\n", "Final rating:", "FINAL RATING: 3.", "**Final rating:** 4",
    "Answer: 7", "#### 12", "\x1b[2J", "\x1b]0;title\x07", "\x9b31m", "\x00", "\r", "\r\n", "\n", "\t",
    "\x0b", "\x0c", "\x85", "\u2028", "\u2029", "\u202e", "\u2066", "\u200b", "\ufeff", "\ud800", "\udfff",
    "\ue000", "\U000f0000", "\U0010ffff", "\ufffe", "<script>alert(1)</script>", "</script>", "<!--", "]]>",
    "<img src=x onerror=alert(1)>", "&lt;", "&#0;", "javascript:x", "{{ 7 * 7 }}", "{% for x in y %}", "{{",
    "}}", "{#", "{{ ''.__class__.__mro__ }}", "${jndi:x}", "`", "```", "|", "\\", "'", '"', '""', ",", ";",
    "$\\frac{1}{2}$", "\\boxed{", "}", "1/0", "1e999", "-0", "NaN", "inf", "٣", "²", "１２", "½", "1_000",
    "1,000.5", "1.000,5", "9" * 400, "(" * 60, "[" * 60, "a" * 3000, "é", "e\u0301", "🙂", "👨‍👩‍👧", "汉字",
    "שלום", "=1+1", "@SUM(A1)", "-2+3", "../../etc/passwd", "~", "$HOME", "file:///etc/passwd",
    "http://127.0.0.1:1/x", " ", "  ", "Bad < Fair < Good", "1-5", "A | B | tie", "yes/no", "-3..3",
    "1-5 by 0.5", "rs:4", "forward*4+rationalize@base", "@",
)  # fmt: skip


def text(draw, most=12):
    """Return some of it in a row, among plain words."""
    words = ("the", "answer", "is", "kind", "3", "good", " ", "\n")
    parts = [draw.choice(_PARTS if draw.random() < 0.6 else words) for _ in range(draw.randint(0, most))]
    if draw.random() < 0.05:
        parts.append("".join(chr(draw.choice((draw.randrange(0x110000), draw.randrange(256)))) for _ in range(20)))
    if draw.random() < 0.01:
        parts = [part * draw.choice((1, 50, 2000)) for part in parts[:3]]
    return "".join(parts)


def scale(draw):
    """Return something like a scale."""

    def n():
        return draw.choice(
            (str(draw.randint(-9, 9)), "9" * draw.choice((3, 20, 5000)), "0.1", ".5", "1e9", text(draw, 1))
        )

    form = draw.choice(
        ("{}-{}", "{} to {}", "{}..{}", "{}-{} by {}", "{} < {} < {}", "{} | {}", "{}/{}", "{}", "{} by {}")
    )
    made = form.format(n(), n(), n())
    return " < ".join([made] * draw.choice((2, 200))) if draw.random() < 0.05 else made


def written(value):
    """Return a text as UTF-8 can hold it."""
    return value.encode("utf-8", "surrogatepass" if len(value) % 7 == 0 else "replace")
