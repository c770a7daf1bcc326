"""Students: Hugging Face models built from a genome."""

from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from rosearch.encode.tokenizer import EncodedTokenizer
from rosearch.student.configuration import StudentConfig
from rosearch.student.export import export_onnx, export_program
from rosearch.student.flops_and_latency import flops, latency, parameters, student_cost
from rosearch.student.inheritance import Inheritance, inherit
from rosearch.student.initialization import (
    CompressedEmbedding,
    compress_embedding,
    start_from_teacher,
)
from rosearch.student.modeling import StudentForSequenceClassification
from rosearch.student.nearest_words import (
    CachedNearestWords,
    EmbeddingNearestWords,
    VectorNearestWords,
    WordNetNearestWords,
)
from rosearch.student.onnx_folder import export_folder
from rosearch.student.record import AttackRates, StudentRecord

AutoConfig.register(StudentConfig.model_type, StudentConfig, exist_ok=True)
# What development versions called it; AutoConfig.register takes one name for a class only.
CONFIG_MAPPING.register("rosearch", StudentConfig, exist_ok=True)
AutoModelForSequenceClassification.register(
    StudentConfig, StudentForSequenceClassification, exist_ok=True
)
# By this, AutoTokenizer finds the class by its name, in the folders of other models too.
AutoTokenizer.register(StudentConfig, fast_tokenizer_class=EncodedTokenizer, exist_ok=True)

__all__ = [
    "AttackRates",
    "CachedNearestWords",
    "CompressedEmbedding",
    "EmbeddingNearestWords",
    "Inheritance",
    "StudentConfig",
    "StudentForSequenceClassification",
    "StudentRecord",
    "VectorNearestWords",
    "WordNetNearestWords",
    "compress_embedding",
    "export_folder",
    "export_onnx",
    "export_program",
    "flops",
    "inherit",
    "latency",
    "parameters",
    "start_from_teacher",
    "student_cost",
]
