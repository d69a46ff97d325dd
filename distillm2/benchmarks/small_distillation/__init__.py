"""A true distillation small enough for a CPU: bytes of Korean statutes, a teacher trained here, students by every loss.

LLMFLOW_EVAL_DATA=... python -m small_distillation --output results     (from distillm2/benchmarks)
"""
