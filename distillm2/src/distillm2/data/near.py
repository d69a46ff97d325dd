"""Groups of near-duplicate texts, found exactly: all pairs whose character trigrams overlap by a given share."""

from __future__ import annotations

import math
import unicodedata
from bisect import insort
from collections import Counter, defaultdict
from collections.abc import Sequence

SHINGLE = 3
SLACK = 1e-9  # rounding of threshold times size must not lose a pair
LARGE = 32  # a group of so many texts is looked up by itself, and skipped whole by a text that belongs to it
SMALL = -1


def near_groups(texts: Sequence[str], threshold: float) -> list[int]:
    """The group of each text, as the position of the group's first text; pairs of Jaccard >= threshold share one.

    Letters' case, punctuation and white space are not compared. Groups are transitive: a chain of near-duplicates is
    one group. Prefix filtering (Chaudhuri et al. 2006; Xiao et al. 2008): two sets that overlap enough share one of
    their rarest shingles, so that few pairs are compared although none is missed.
    """
    groups = _Groups(len(texts))
    ranked = _ranked([_shingles(text) for text in texts])
    sets = [frozenset(each) for each in ranked]
    first_with: dict[tuple[int, ...], int] = {}
    index: dict[int, dict[int, list[tuple[float, int]]]] = defaultdict(lambda: defaultdict(list))
    for number in sorted(range(len(texts)), key=lambda place: (len(ranked[place]), place)):
        mine = ranked[number]
        twin = first_with.setdefault(mine, number)
        groups.join(number, twin)
        if twin != number:
            continue
        size = len(mine)
        # At the first shingle that both have, no more can be common than what follows it in either. With the common
        # ones that the threshold asks for this bounds the other's size, and what the other has left.
        least_left = threshold * size - SLACK
        compared: set[int] = set()
        for at, shingle in enumerate(mine[: size - math.ceil(threshold * size - SLACK) + 1]):
            largest = ((1 + threshold) * (size - at) - threshold * size + SLACK) / threshold
            for group, entries in index[shingle].items():
                for negative_left, other in entries:
                    if -negative_left < least_left or (group != SMALL and groups.of(group) == groups.of(number)):
                        break
                    if other in compared or len(ranked[other]) > largest:
                        continue
                    compared.add(other)
                    if groups.of(other) != groups.of(number) and _jaccard(sets[other], sets[number]) >= threshold:
                        groups.join(number, other)
        group = groups.of(number) if groups.size(number) >= LARGE else SMALL
        for place, shingle in enumerate(mine[: size - math.ceil(2 * threshold / (1 + threshold) * size - SLACK) + 1]):
            insort(index[shingle][group], ((1 + threshold) * place - size, number))
    return [groups.of(number) for number in range(len(texts))]


def _ranked(shingles: Sequence[frozenset[str]]) -> list[tuple[int, ...]]:
    """Each text's shingles as numbers in one order for all, the rarest first."""
    counts = Counter(shingle for each in shingles for shingle in each)
    rank = {shingle: number for number, shingle in enumerate(sorted(counts, key=lambda one: (counts[one], one)))}
    return [tuple(sorted(rank[shingle] for shingle in each)) for each in shingles]


class _Groups:
    def __init__(self, count: int) -> None:
        self.parent = list(range(count))
        self.sizes = [1] * count

    def of(self, number: int) -> int:
        while self.parent[number] != number:
            self.parent[number] = self.parent[self.parent[number]]
            number = self.parent[number]
        return number

    def size(self, number: int) -> int:
        return self.sizes[self.of(number)]

    def join(self, one: int, other: int) -> None:
        first, second = sorted((self.of(one), self.of(other)))
        if first != second:
            self.parent[second] = first
            self.sizes[first] += self.sizes[second]


def _shingles(text: str) -> frozenset[str]:
    folded = unicodedata.normalize("NFKC", text).casefold()
    letters = " ".join("".join(sign if sign.isalnum() else " " for sign in folded).split()) or folded
    return frozenset(letters[at : at + SHINGLE] for at in range(max(1, len(letters) - SHINGLE + 1)))


def _jaccard(one: frozenset[int], other: frozenset[int]) -> float:
    common = len(one & other)
    return common / (len(one) + len(other) - common)
