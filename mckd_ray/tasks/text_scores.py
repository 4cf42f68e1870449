"""BLEU, chrF and ROUGE-L from counts that add up, by sacrebleu and rouge-score."""

from functools import cache
from typing import TYPE_CHECKING

from mckd_ray.tasks.base import Counts

if TYPE_CHECKING:
    from rouge_score.rouge_scorer import RougeScorer
    from sacrebleu.metrics.base import Metric


def count_text(gold: str, predicted: str | None) -> Counts:
    """What one pair adds: sacrebleu's sufficient statistics, ROUGE-L's F1 (0 to 1) and whether they are equal."""
    answer = predicted or ""
    counts = {"sentences": 1.0, "exact": float(predicted == gold)}
    counts["rouge_l"] = float(_rouge().score(gold, answer)["rougeL"].fmeasure)
    for name in ("bleu", "chrf"):
        # Its public interface gives scores only; what they are computed from is what adds up over sentences.
        (statistics,) = _metric(name)._extract_corpus_statistics([answer], [[gold]])
        counts.update({f"{name}_{place}": float(value) for place, value in enumerate(statistics)})
    return counts


def bleu(total: Counts) -> float:
    """Corpus BLEU, in percent."""
    return _score("bleu", total)


def chrf(total: Counts) -> float:
    """Corpus chrF, in percent; of one pair's counts: sentence chrF."""
    return _score("chrf", total)


def _score(name: str, total: Counts) -> float:
    statistics = [total[key] for key in sorted((key for key in total if key.startswith(name)), key=_place)]
    return float(_metric(name)._compute_score_from_stats([int(value) for value in statistics]).score)


def _place(key: str) -> int:
    return int(key.rpartition("_")[2])


@cache
def _metric(name: str) -> "Metric":
    from sacrebleu.metrics.bleu import BLEU
    from sacrebleu.metrics.chrf import CHRF

    return BLEU() if name == "bleu" else CHRF()


@cache
def _rouge() -> "RougeScorer":
    from rouge_score.rouge_scorer import RougeScorer

    return RougeScorer(["rougeL"])
