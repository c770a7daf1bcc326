"""rapidfuzz's distance of two words in plain Python, for a student's own code."""

from __future__ import annotations


class OSA:
    """Optimal string alignment: edits, where neighbours that are swapped count as one."""

    @staticmethod
    def distance(a: str, b: str, *, score_cutoff: int) -> int:
        """Return the distance of two words; ``score_cutoff + 1`` if it is above ``score_cutoff``.

        As ``rapidfuzz.distance.OSA.distance``.
        """
        before, last = [0] * (len(b) + 1), list(range(len(b) + 1))
        for i, letter in enumerate(a):
            row = [i + 1]
            for j, other in enumerate(b):
                row.append(min(last[j + 1] + 1, row[j] + 1, last[j] + (letter != other)))
                if i and j and letter == b[j - 1] and a[i - 1] == other:
                    row[-1] = min(row[-1], before[j - 1] + 1)
            before, last = last, row
        return min(last[-1], score_cutoff + 1)
