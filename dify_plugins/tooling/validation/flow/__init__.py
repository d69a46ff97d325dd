"""Importable apps of Dify, DSL 0.6.0.

Read by ``api/services/app_dsl_service.py`` of https://github.com/langgenius/dify.
"""
