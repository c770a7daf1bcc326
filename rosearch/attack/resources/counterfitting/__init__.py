"""Counter-fitted word vectors, made from a model's word embeddings and WordNet.

Mrkšić, Ó Séaghdha, Thomson, Gašić, Rojas-Barahona, Su, Vandyke, Wen, Young: "Counter-fitting Word
Vectors to Linguistic Constraints", NAACL 2016, arXiv 1603.00892.

``python -m rosearch.attack.resources.counterfitting MODEL`` makes the vectors that recipes use by
default if no others are installed.
"""

from rosearch.attack.resources.counterfitting.descent import counterfit
from rosearch.attack.resources.counterfitting.models import counterfit_from_model

__all__ = ["counterfit", "counterfit_from_model"]
