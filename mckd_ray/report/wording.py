"""Numbers as people read them, the same in a terminal, in HTML and in Markdown."""


def duration(seconds: float) -> str:
    """Such as `1 h 02 min`, `3 min 05 s` or `7 s`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes_left = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes_left:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


def p_value(p: float) -> str:
    """Such as `p = 0.012`, or `p < 0.001` below that."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


def metric_name(metric: str) -> str:
    """Such as `unlabelled F1` of unlabelled_f1."""
    return metric.replace("_", " ").replace("f1", "F1").replace("bleu", "BLEU").replace("chrf", "chrF")
