"""What attacks need besides Python packages: where it is, and how to get it."""

from rosearch.attack.resources.inventory import Resource, ResourceTable, status
from rosearch.attack.resources.nltk_data import prepare_nltk
from rosearch.wordnet import WORDNET_VARIABLE, WordNet, find_wordnet

__all__ = [
    "WORDNET_VARIABLE",
    "Resource",
    "ResourceTable",
    "WordNet",
    "find_wordnet",
    "prepare_nltk",
    "status",
]
