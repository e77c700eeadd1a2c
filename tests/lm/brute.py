"""Small texts, and language models worked out slowly, straight from the formulas, with dictionaries of tuples."""

from __future__ import annotations

import itertools
import math
from collections import Counter

import numpy as np
from hypothesis import strategies as st

from asrkit.lm.model import BOS, EOS, NgramModel

Ngram = tuple[str, ...]

texts = st.lists(st.lists(st.sampled_from("abcd"), max_size=6), min_size=1, max_size=8).filter(any)


def count(sentences: list[list[str]], n: int) -> Counter[Ngram]:
    """How often each n-gram occurs."""
    counts: Counter[Ngram] = Counter()
    for sentence in filter(None, sentences):
        words = [BOS, *sentence, EOS]
        counts.update(tuple(words[i : i + n]) for i in range(len(words) - n + 1))
    return counts


def adjusted(sentences: list[list[str]], n: int, order: int) -> Counter[Ngram]:
    """Counts of an order of a Kneser-Ney model: left neighbours below the highest order."""
    if n == order:
        counts = count(sentences, n)
    else:
        counts = Counter(ngram[1:] for ngram in count(sentences, n + 1))
        counts.update({ngram: c for ngram, c in count(sentences, n).items() if ngram[0] == BOS})
    counts.pop((BOS,), None)
    return counts


def discounts(counts: Counter[Ngram]) -> list[float]:
    """Chen & Goodman's D1, D2, D3+, or KenLM's fallback."""
    n1, n2, n3, n4 = (sum(c == j for c in counts.values()) for j in (1, 2, 3, 4))
    if n1 and n2 and n3:
        y = n1 / (n1 + 2 * n2)
        result = [1 - 2 * y * n2 / n1, 2 - 3 * y * n3 / n2, 3 - 4 * y * n4 / n3]
        if all(0 < d <= j for j, d in enumerate(result, 1)):
            return result
    return [0.5, 1.0, 1.5]


def kneser_ney(sentences: list[list[str]], order: int, context: Ngram, word: str, num_events: int) -> float:
    """P(word | context) of the interpolated modified Kneser-Ney model, by recursion."""
    counts = adjusted(sentences, len(context) + 1, order)
    lower = kneser_ney(sentences, order, context[1:], word, num_events) if context else 1.0 / num_events
    here = {ngram[-1]: c for ngram, c in counts.items() if ngram[:-1] == context}
    if not here:
        return lower
    d = [0.0, *discounts(counts)]
    total = sum(here.values())
    c = here.get(word, 0)
    return (c - d[min(c, 3)] + sum(d[min(c, 3)] for c in here.values()) * lower) / total


def witten_bell(sentences: list[list[str]], context: Ngram, word: str, num_events: int) -> float:
    """P(word | context) of the interpolated Witten-Bell model, by recursion."""
    counts = count(sentences, len(context) + 1)
    counts.pop((BOS,), None)
    lower = witten_bell(sentences, context[1:], word, num_events) if context else 1.0 / num_events
    here = {ngram[-1]: c for ngram, c in counts.items() if ngram[:-1] == context}
    if not here:
        return lower
    return (here.get(word, 0) + len(here) * lower) / (sum(here.values()) + len(here))


def contexts(model: NgramModel, longest: int) -> list[Ngram]:
    """Every context of up to ``longest`` words, listed or not, with ``<s>`` only in front."""
    inner = [word for word in model.words if word not in (BOS, EOS)]
    result: list[Ngram] = []
    for n in range(longest + 1):
        result += list(itertools.product(inner, repeat=n))
        result += [(BOS, *rest) for rest in itertools.product(inner, repeat=n - 1)] if n else []
    return result


def assert_sums_to_one(model: NgramModel, tolerance: float = 1e-9) -> None:
    """Check that in every context the words and ``</s>`` have probabilities >= 0 that sum to one."""
    events = [i for i, word in enumerate(model.words) if word != BOS]
    for context in contexts(model, model.order - 1):
        rows = np.array([[*model.ids(context), event] for event in events])
        probs = 10.0 ** model.row_log10_probs(rows)
        assert not np.isnan(probs).any(), context
        assert (probs >= 0).all(), context
        assert math.isclose(probs.sum(), 1.0, abs_tol=tolerance), (context, probs.sum())
