"""TextAttack's attacks in rosearch's evaluator, and rosearch's victims in TextAttack.

Needs the extra ``rosearch[textattack]``. Importing this package does not import TextAttack; using
it does, and leaves loggers, environment, warning filters and random generators as they were.
"""

from rosearch.attack.textattack.attack import TextAttackAttack
from rosearch.attack.textattack.loading import load_textattack
from rosearch.attack.textattack.wrapping import wrapper

__all__ = ["TextAttackAttack", "load_textattack", "wrapper"]
