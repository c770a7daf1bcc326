"""What attacks need besides Python packages: where it is, and how to get it."""

from rosearch.attack.resources.inventory import status
from rosearch.attack.resources.nltk_data import prepare_nltk
from rosearch.wordnet import fetch_wordnet, find_wordnet

__all__ = ["fetch_wordnet", "find_wordnet", "prepare_nltk", "status"]
