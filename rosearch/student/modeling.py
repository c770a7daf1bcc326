"""Students as Hugging Face sequence classifiers, with their tokenizer."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from transformers import PreTrainedTokenizerBase
from transformers.utils import cached_file

from rosearch.classifiers import load_tokenizer
from rosearch.student.network import StudentNetwork
from rosearch.student.record import RECORD_FILE, StudentRecord
from rosearch.student.saving import (
    FOLDER,
    complete_folder,
    file_times,
    read_record,
    upload,
    written,
)
from rosearch.student.tokenizer_files import limited

# Arguments of uploading, and of loading that the tokenizer needs too.
_UPLOAD = tuple("private token revision commit_message commit_description create_pr".split())
_DOWNLOAD = tuple(
    "cache_dir force_download local_files_only proxies revision subfolder token".split()
)


class StudentForSequenceClassification(StudentNetwork):
    """A student: the genome's input and graph, pooling, and a linear classifier.

    Saves and loads like any Hugging Face model, also by ``AutoModelForSequenceClassification``. If
    :attr:`tokenizer` is set, as by the Distiller, it is saved and loaded with the model.

    Args:
        config: Architecture and sizes.

    Raises:
        DataError: The configuration is of a multi-label classifier or a regression.
    """

    record: StudentRecord = StudentRecord()
    """How it was made and how good it is, for its model card; saved and loaded with it."""

    _tokenizer: PreTrainedTokenizerBase | None = None

    @property
    def tokenizer(self) -> PreTrainedTokenizerBase | None:
        """The tokenizer shared with the teacher.

        Its ``model_max_length`` is at most the student's ``max_position_embeddings``: one that is
        assigned and allows more is replaced by a copy, so that ``truncation=True`` fits.
        """
        return self._tokenizer

    @tokenizer.setter
    def tokenizer(self, value: PreTrainedTokenizerBase | None) -> None:
        limit = self.config.max_position_embeddings
        self._tokenizer = None if value is None else limited(value, limit)

    def save_pretrained(
        self, save_directory: str | Path, *, picture: bool = True, **kwargs: Any
    ) -> Any:
        """Save configuration, weights (safetensors), tokenizer, if set, code and a model card.

        By its code the folder loads without rosearch too, with ``trust_remote_code=True``; a
        student with operators or encodings of other packages has none. The card has what
        :attr:`record` knows.

        Args:
            save_directory: Folder to write to. A model card written by hand stays.
            picture: Whether to draw the architecture for the card, if matplotlib is installed.
            kwargs: Further arguments of every Hugging Face model, such as ``max_shard_size`` or
                ``push_to_hub=True`` and ``repo_id``.

        Returns:
            After an upload, the hub's answer.
        """
        folder = Path(save_directory)
        settings = {name: kwargs.pop(name) for name in _UPLOAD if name in kwargs}
        uploads, repo_id = kwargs.pop("push_to_hub", False), kwargs.pop("repo_id", folder.name)
        place = repo_id if uploads else FOLDER
        tags = kwargs.pop("tags", None) or ()
        before = file_times(folder)
        super().save_pretrained(save_directory, **kwargs)
        # Other processes of a distributed training save nothing.
        if kwargs.get("is_main_process", True) and folder.is_dir():
            complete_folder(self, folder, before, place=place, tags=tags, picture=picture)
            if uploads:
                return upload(written(folder, before), repo_id, **settings)
        return None

    def push_to_hub(self, repo_id: str, **kwargs: Any) -> Any:
        """Upload configuration, weights, tokenizer, if set, and model card to the Hub.

        Args:
            repo_id: Name of the repository, such as ``"someone/student"``.
            kwargs: Further arguments as of every Hugging Face model.

        Returns:
            The hub's answer, a ``huggingface_hub.CommitInfo``.
        """
        with TemporaryDirectory() as folder:
            return self.save_pretrained(folder, push_to_hub=True, repo_id=repo_id, **kwargs)

    @classmethod
    def from_pretrained(cls, name_or_folder: Any, *args: Any, **kwargs: Any) -> Any:
        """Load a student, and its tokenizer if one was saved.

        Raises:
            DataError: As for :func:`rosearch.classifiers.load_tokenizer`.
        """
        loaded = super().from_pretrained(name_or_folder, *args, **kwargs)
        # A pair with output_loading_info.
        model = loaded[0] if isinstance(loaded, tuple) else loaded
        place = {key: value for key, value in kwargs.items() if key in _DOWNLOAD}

        def find(name: str) -> Any:
            return cached_file(
                name_or_folder,
                name,
                _raise_exceptions_for_missing_entries=False,
                _raise_exceptions_for_connection_errors=False,
                **place,
            )

        if find("tokenizer_config.json") is not None:
            model.tokenizer = load_tokenizer(name_or_folder, **place)
        if (file := find(RECORD_FILE)) is not None:
            model.record = read_record(file)
        return loaded
